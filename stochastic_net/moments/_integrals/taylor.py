"""E and Var of a function of a narrow Gaussian, and their derivatives, by Taylor's theorem."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from stochastic_net._types import Array
from stochastic_net.moments._integrals.precision import Moments

Function = Callable[[Array], Array]


class Slopes(NamedTuple):
    """The derivatives of E and Var."""

    mean_by_mean: Array
    mean_by_var: Array
    var_by_mean: Array
    var_by_var: Array


def taylor(function: Function, mean: Array, var: Array) -> Moments:
    """E f and Var f to second order."""
    first, second = _derivatives(function, 2)(mean)
    bend = second * var
    return function(mean) + 0.5 * bend, jnp.square(first) * var + 0.5 * jnp.square(bend)


def taylor_slopes(function: Function, mean: Array, var: Array) -> Slopes:
    """Their derivatives."""
    first, second, third = _derivatives(function, 3)(mean)
    return Slopes(
        first + 0.5 * third * var,
        0.5 * second,
        (2 * first + third * var) * second * var,
        jnp.square(first) + jnp.square(second) * var,
    )


def _derivatives(function: Function, order: int) -> Callable[[Array], list[Array]]:
    """The first `order` derivatives at a point."""

    def ahead(u: Array) -> list[Array]:
        if order == 0:
            return []
        slope = partial(slope_of, function)
        return [slope(u), *_derivatives(slope, order - 1)(u)]

    return ahead


def slope_of(function: Function, u: Array) -> Array:
    """f'(u), elementwise."""
    return jax.jvp(function, (u,), (jnp.ones_like(u),))[1]
