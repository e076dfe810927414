"""How large a gradient estimate is: what the parameters of a control variate are trained by."""

from typing import Any

import jax
import jax.numpy as jnp

from stochastic_net._types import Array, Estimator, Key, PyTree
from stochastic_net.estimators._estimator import Function
from stochastic_net.estimators._floats import floats


def second_moment(
    estimator: Estimator, f: Function, dist: PyTree, key: Key, **options: Any
) -> Array:
    r"""The squared length of one estimate g of the gradient in the parameters of `dist`.

    E |g|^2 = |E g|^2 + tr Var g, and for an unbiased estimator the first term does not depend on
    its control variate: the derivative of this number in whatever the estimator is configured with
    (a temperature, a scale, a network) is an unbiased estimate of that of the variance.

    Args:
      estimator: any; its options may be traced.
      f: with a scalar value.
      dist, key: as for the estimator.
      options: num_samples, for example.

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> coins, f = sn.distributions.Bernoulli(jnp.ones(3)), lambda z: (z.sum() - 2.0) ** 2
      >>> def squared(scale):
      ...     rebar = sn.estimators.rebar(scale=scale)
      ...     return sn.estimators.second_moment(rebar, f, coins, jax.random.key(0))
      >>> print(jax.grad(squared)(1.0).shape)
      ()

    Source: Grathwohl et al. (2018, arXiv:1711.00123, section 3).
    """
    leaves, rebuild = floats(dist)

    def estimate(leaves: list[Array]) -> Array:
        return estimator(f, rebuild(leaves), key, **options)

    gradient = jax.grad(estimate)(leaves)
    return jnp.stack([jnp.square(g).sum() for g in gradient]).sum()
