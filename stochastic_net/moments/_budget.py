"""Where the variance of an output comes from: which inputs, which layers."""

from collections.abc import Callable
from functools import partial, wraps
from typing import NamedTuple

import jax
import jax.numpy as jnp

from stochastic_net._types import Array, PyTree
from stochastic_net.moments._covariances.adjoint import linear, shares
from stochastic_net.moments._program.values import is_random
from stochastic_net.moments._propagate import is_gaussian, run_on, trace, weighted


class Budget(NamedTuple):
    """The variance of one output, and what it is the sum of.

    `inputs` are the arguments with the share of every random element in its place, behind the axes
    of the output; if f is a module with random weights it is the first of them. `layers` maps where
    a function is not linear, by your line, to its share: what of the variance is not linear in what
    went in.
    """

    total: Array
    inputs: PyTree
    layers: dict[str, Array]


def budget(f: Callable[..., PyTree]) -> Callable[..., PyTree]:
    r"""The function that splits the variance of f's values by input element and by layer.

    By Stein's lemma each operation that is not linear is its best linear one and a rest that is not
    correlated with what went in; an output y is then linear in the deviations D of inputs and
    rests, and its variance the sum of the shares

      (dy/dD)^2 Var D.

    They add up to the variance of `propagate(f, "adjoint")`, whose limits hold here.

    Args:
      f: as for `propagate`.

    Returns:
      A function of the same arguments that returns f's pytree with a `Budget` in the place of every
      random output, None in that of others. One derivative pass an output element.

    Raises:
      NoRule: as `propagate` does.

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> x = sn.Gaussian(jnp.array([1.0, 2.0]), jnp.array([0.1, 0.2]))
      >>> found = sn.moments.budget(lambda x: 3 * x[0] - x[1] + jnp.square(x).sum())(x)
      >>> print(found.inputs[0].round(2), found.total)  # the rest, 0.1, is of the squares
      [2.5 1.8] 4.4

    Source: as for `propagate`.
    """

    @wraps(f)
    def budget_of_f(*args: PyTree, **kwargs: PyTree) -> PyTree:
        call, given = weighted(f, args)
        program, leaves, shape = trace(call, given, kwargs)
        args = given if _is_random(f) else args
        found = linear(partial(run_on, program, leaves))
        count = sum(map(is_gaussian, leaves))
        index = iter(range(len(found.means)))
        return jax.tree.unflatten(
            shape,
            [
                _of_output(found, next(index), count, args) if is_random(x) else None
                for x in found.outputs
            ],
        )

    return budget_of_f


def _of_output(found, index: int, count: int, args: PyTree) -> Budget:
    labels = found.record.labels[count:]

    def collect(parts: list[Array]) -> tuple[list[Array], dict[str, Array]]:
        layers: dict[str, Array] = {}
        for label, part in zip(labels, parts[count:], strict=True):
            layers[label] = layers.get(label, 0.0) + part.sum()
        return parts[:count], layers

    inputs, layers = shares(found, index, collect)
    axes = found.means[index].ndim
    parts = [x.sum(tuple(range(axes, x.ndim))) for x in inputs]
    total = jnp.stack([*parts, *layers.values()]).sum(0)
    given = iter(inputs)

    def share(x: object) -> Array | None:
        return next(given) if is_gaussian(x) else None

    return Budget(total, jax.tree.map(share, args, is_leaf=is_gaussian), layers)


def _is_random(f: PyTree) -> bool:
    return any(map(is_gaussian, jax.tree.leaves(f, is_leaf=is_gaussian)))
