r"""The derivatives of E and Var of a function of a narrow Gaussian, by Taylor's theorem.

With Parseval's identity

  Var f = sum_k (s^k E f^(k))^2 / k! = v (E f')^2 + v^2 (E f'')^2 / 2 + ...,

a sum of squares, and E f' = f' + v f^(3) / 2 + ....
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from stochastic_net._types import Array

Function = Callable[[Array], Array]


class Slopes(NamedTuple):
    """The derivatives of E and Var."""

    mean_by_mean: Array
    mean_by_var: Array
    var_by_mean: Array
    var_by_var: Array


def taylor_slopes(function: Function, mean: Array, var: Array) -> Slopes:
    """Those of E f and Var f, but for terms of the order of var^2 and var^3."""
    first, second, third, fourth = _derivatives(function, 4)(mean)
    slope, bend = first + 0.5 * var * third, second + 0.5 * var * fourth
    return Slopes(
        slope,
        0.5 * bend,
        var * (2 * slope * bend + var * second * third),
        jnp.square(slope) + var * (jnp.square(second) + slope * third),
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
