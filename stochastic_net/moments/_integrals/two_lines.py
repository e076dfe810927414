"""A function that is one line below a place and another above: leaky relu, a step, asymptotes."""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeAlias

import jax.numpy as jnp

from stochastic_net._types import Array
from stochastic_net.moments._integrals.kink import positive_part, relu
from stochastic_net.moments._integrals.precision import Moments
from stochastic_net.moments._integrals.tail import standard

Coefficients: TypeAlias = tuple[Array, Array] | tuple[float, float]  # slope and intercept

_NEAR_0 = 1e-5  # a place that is taken for 0


@dataclasses.dataclass(frozen=True)
class TwoLines:
    """a x + b of x = u - bend: with the coefficients `below` for x < 0, else with `above`."""

    below: Coefficients
    above: Coefficients
    bend: Array | float = dataclasses.field(default=0.0, kw_only=True)

    def moments(self, mean: Array, var: Array) -> Moments:
        """E and Var for u ~ N(mean, var)."""
        x = mean - self.bend
        (a, b), (c, d) = self.below, self.above
        seen = (x, a, b, c, d), (-x, -c, d, -a, b)  # from below, and from above
        turned = abs(c) < abs(a)  # the flatter first: what is added to it does not cancel it
        if isinstance(turned, bool):
            return _moments(var, *seen[turned])
        sides = zip(*seen, strict=True)
        return _moments(var, *(jnp.where(turned, there, here) for here, there in sides))


def _moments(
    var: Array,
    mean: Array,
    slope: Array | float,
    intercept: Array | float,
    steeper: Array | float,
    higher: Array | float,
) -> Moments:
    """E and Var of a x + b + (d x + j) 1(x > 0)."""
    more, jump = steeper - slope, higher - intercept
    up, up_var = relu(mean, var)
    if all(isinstance(x, float) and x == 0.0 for x in (slope, intercept, jump)):
        return more * up, more * more * up_var
    above, below = positive_part(mean, var), positive_part(-mean, var)
    x = standard(mean, var)
    line_var = slope * slope * var + more * more * up_var + (jump * above) * (jump * below)
    cross = slope * more * var * above + slope * jump * x.scale * x.density
    return slope * mean + intercept + more * up + jump * above, (
        line_var + 2 * (cross + more * jump * up * below)
    )


def joined(below: Any, above: Any, most: float, where: Callable) -> tuple[Any, Any, Any]:
    """Two lines, a u + b, as coefficients of `TwoLines`, and where they meet, which is their bend.

    That is 0 where they meet further off than `most`, or nowhere. `where` is numpy's or jax's.
    """
    slope, jump = above[0] - below[0], above[1] - below[1]
    known = abs(jump) < most * abs(slope)
    place = -jump / where(known, slope, 1.0)
    known &= abs(place) > _NEAR_0
    place = where(known, place, 0.0)
    low, high = (a * place + b for a, b in (below, above))
    level = where(abs(below[0]) < abs(above[0]), low, high)  # that of the steeper is rounded more
    low, high = (where(known, level, height) for height in (low, high))
    return (below[0], low), (above[0], high), place
