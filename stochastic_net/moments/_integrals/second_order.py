"""How the derivatives of E and Var of a function move: their own derivatives, taken forward.

In reverse the sums over the nodes would be pulled back node by node, each with arrays of its own: a
gradient of a gradient would hold thousands of them.
"""

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp

from stochastic_net._types import Array
from stochastic_net.moments._integrals.precision import Moments
from stochastic_net.moments._integrals.taylor import Slopes

OfGaussian: TypeAlias = Callable[[Array, Array], Slopes]  # of mean and variance, elementwise


def moved_slopes(at: Slopes, by_mean: Slopes, by_var: Slopes, moves: Moments) -> Slopes:
    """By how much the slopes, which are `at`, move, from their derivatives."""
    dm, dv = moves
    # The heat equation: the second derivative of E by the mean is twice the first by the variance.
    return Slopes(
        2 * at.mean_by_var * dm + by_mean.mean_by_var * dv,
        by_mean.mean_by_var * dm + by_var.mean_by_var * dv,
        by_mean.var_by_mean * dm + by_mean.var_by_var * dv,
        by_mean.var_by_var * dm + by_var.var_by_var * dv,
    )


def derivatives(function: OfGaussian) -> tuple[OfGaussian, OfGaussian]:
    """By mean and by variance, taken forward."""

    def along(mean: Array, var: Array, by_mean: float) -> Slopes:
        one = jnp.full_like(mean, by_mean)
        return jax.jvp(function, (mean, var), (one, 1 - one))[1]

    return lambda mean, var: along(mean, var, 1.0), lambda mean, var: along(mean, var, 0.0)


def always_forward(function: OfGaussian) -> OfGaussian:
    """The function, with derivatives of every order taken forward. It may close over no tracer."""
    value = jax.custom_jvp(function)

    @value.defjvp
    def _(primals: Moments, tangents: Moments) -> tuple[Slopes, Slopes]:
        by_mean, by_var = (always_forward(by)(*primals) for by in derivatives(function))
        dm, dv = tangents
        moved = (a * dm + b * dv for a, b in zip(by_mean, by_var, strict=True))
        return value(*primals), Slopes(*moved)

    return value
