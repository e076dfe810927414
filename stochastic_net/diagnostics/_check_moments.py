"""How far the moments that `propagate` gives are from those of draws, layer by layer."""

from collections.abc import Callable
from typing import Literal

import jax

from stochastic_net._types import Array, Key, PyTree
from stochastic_net.diagnostics._measure.monte_carlo import drawn_moments
from stochastic_net.diagnostics._report.moment_report import LayerMoments, MomentReport
from stochastic_net.distributions import Gaussian, sample
from stochastic_net.moments import layers, propagate
from stochastic_net.random import check_key


def check_moments(
    f: Callable[..., PyTree],
    x: PyTree,
    key: Key,
    *,
    covariance: Literal["diagonal", "full", "adjoint"] = "diagonal",
    num_samples: int = 4096,
) -> MomentReport:
    r"""Measure the moments of `propagate(f, covariance)(x)` against draws, layer by layer.

    For every element of every layer and output, with the mean and deviation mu, sigma of draws,

      error of the mean = (E - mu) / sigma,    ratio of the deviations = sqrt(Var) / sigma,

    and beside them the skewness and excess kurtosis of the draws: where these are large the value
    is not near Gaussian, and what the next layer takes it for is wrong. The errors of f at the mean
    of x, which is what a network without moments computes, are there to compare.

    Args:
      f: a function of one argument, or a module; it is run unchanged.
      x: its argument, a pytree with a `Gaussian` wherever it is random.
      key: one typed key, consumed.
      covariance: of the outputs; what is between the layers is always "diagonal".
      num_samples: draws, rounded up to whole batches of 32. The error of the mean is itself known
        to 1 / sqrt(num_samples), the ratio to 1 / sqrt(2 num_samples) for a Gaussian.

    Returns:
      A `MomentReport`: `print(report)` is a table, `report.plot()` a figure, `report.findings` says
      where and why the description by mean and variance fails.

    Raises:
      NoRule: as `propagate` does.
      TypeError: there is no Gaussian in `x` or in the module, or `key` is not a typed key.
      ValueError: fewer than 32 draws.

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> x = sn.Gaussian(jnp.zeros(8), jnp.ones(8))
      >>> f = lambda x: jax.nn.relu(x @ jnp.eye(8)).sum()
      >>> report = sn.check_moments(f, x, jax.random.key(0))
      >>> report.ok, len(report.layers)
      (True, 2)
    """
    check_key(key)
    if any(map(_is_gaussian, _leaves(f))):  # its weights are random
        f, x = (lambda both: both[0](both[1])), (f, x)
    if not any(isinstance(leaf, Gaussian) for leaf in _leaves(x)):
        raise TypeError(
            "there is no Gaussian in it, neither x nor f: nothing is random and to be checked."
        )
    if num_samples < 32:
        raise ValueError(f"num_samples must be at least 32, got {num_samples}.")

    between = layers(f, x)
    outputs = jax.jit(propagate(f, covariance))(x)
    named = [
        ("output" + jax.tree_util.keystr(path), leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(outputs, is_leaf=_is_gaussian)
    ]
    random = [isinstance(leaf, Gaussian) for _, leaf in named]
    labels = [
        *between.labels,
        *(name for (name, _), keep in zip(named, random, strict=True) if keep),
    ]
    pairs = [*between.moments, *(leaf for _, leaf in named if isinstance(leaf, Gaussian))]

    def values(x: PyTree) -> list[Array]:
        found = jax.tree.leaves(f(x))
        return [*between.at(x), *(y for y, keep in zip(found, random, strict=True) if keep)]

    at_mean = jax.jit(values)(jax.tree.map(_mean, x, is_leaf=_is_gaussian))
    drawn = drawn_moments(lambda k: values(sample(x, k)), pairs, key, num_samples)
    found = zip(labels, pairs, drawn, at_mean, strict=True)
    return MomentReport(
        [LayerMoments.compare(*row) for row in found], covariance, num_samples, sum(random)
    )


def _leaves(x: PyTree) -> list:
    return jax.tree.leaves(x, is_leaf=_is_gaussian)


def _is_gaussian(x: object) -> bool:
    return isinstance(x, Gaussian)


def _mean(x: Array | Gaussian) -> Array:
    return x.mean if isinstance(x, Gaussian) else x
