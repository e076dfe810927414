"""The expected loss of a random decision, with or without a prior."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from stochastic_net._types import Array, ArrayLike, Estimator, Key, PyTree
from stochastic_net.estimators import pathwise
from stochastic_net.objectives._elbo import elbo
from stochastic_net.objectives._parts import Parts


def expected_loss(
    loss: Callable[[Any], Array],
    dist: PyTree,
    key: Key,
    *,
    estimator: Estimator = pathwise,
    num_samples: int | None = None,
    prior: PyTree | None = None,
    beta: ArrayLike = 1.0,
) -> Parts:
    r"""E loss(z) for z ~ `dist`: minimise it. Of the bias of its estimator.

      E loss(z) + beta KL(dist || prior), the second term only if there is a prior.

    For weights that are random (a pytree of distributions), with beta one over the number of
    training examples and the mean loss over a batch this is the negative ELBO an example.

    Args:
      loss: of a draw, a number.
      dist: a distribution or a pytree of them; leaves that are arrays are passed on.
      key, estimator, num_samples: as for `elbo`.
      prior: as for `elbo`, or None.
      beta: weight of the divergence.

    Returns:
      `Parts`: the value, minus the expected loss as `log_likelihood`, the divergence (0 without a
      prior).

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> weights = {"w": sn.Gaussian(jnp.zeros(3), jnp.ones(3)), "b": jnp.zeros(())}
      >>> loss = lambda p: (jnp.ones(3) @ p["w"] + p["b"] - 1.0) ** 2
      >>> prior = sn.Gaussian(0.0, 1.0)
      >>> parts = sn.objectives.expected_loss(loss, weights, jax.random.key(0), prior=prior)
      >>> print(parts.value.shape, parts.kl)
      () 0.0

    Source: Graves (2011, "Practical variational inference for neural networks"); Blundell et al.
    (2015, arXiv:1505.05424).
    """

    def negative(z: PyTree) -> Array:
        return -jnp.asarray(loss(z))

    if prior is not None:
        options: dict[str, Any] = {"estimator": estimator, "num_samples": num_samples}
        parts = elbo(negative, dist, prior, key, beta=beta, **options)
        return parts._replace(value=-parts.value)
    count = {} if num_samples is None else {"num_samples": num_samples}
    value = estimator(negative, dist, key, **count)
    return Parts(-value, value, jnp.zeros_like(value))
