"""How the derivatives of E and Var of a function move: their own derivatives, taken forward.

In reverse the sums over the nodes would be pulled back node by node, each with arrays of its own: a
gradient of a gradient then takes thousands of arrays, and hundreds of times as long.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from stochastic_net._types import Array
from stochastic_net.moments._integrals.precision import Moments
from stochastic_net.moments._integrals.taylor import Slopes


def moved_slopes(
    slopes: Callable[[Array, Array], tuple[Array, ...]],
    at: Slopes,
    primals: Moments,
    moves: Moments,
) -> Slopes:
    """By how much the slopes, which are `at`, move with mean and variance."""
    one, zero = jnp.ones_like(at.mean_by_mean), jnp.zeros_like(at.mean_by_mean)
    by_mean, by_var = (
        Slopes(*jax.jvp(slopes, primals, direction)[1]) for direction in ((one, zero), (zero, one))
    )
    dm, dv = moves
    # The heat equation: the second derivative of E by the mean is twice the first by the variance.
    return Slopes(
        2 * at.mean_by_var * dm + by_mean.mean_by_var * dv,
        by_mean.mean_by_var * dm + by_var.mean_by_var * dv,
        by_mean.var_by_mean * dm + by_mean.var_by_var * dv,
        by_mean.var_by_var * dm + by_var.var_by_var * dv,
    )
