"""Where a function of a Gaussian changes its sign, found by looking: kinks of a composition.

`relu(u**2 - 1)` is bent where its inside crosses zero, which no algebra here knows. The inside is
looked at on a grid over the Gaussian, as dense near 0 as functions there ask for where it is wide,
and each change of sign is closed in on by bisection. Where two branches are the same but for their
rounding, as `elu(u)` and `u` are above 0, they do not cross.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from stochastic_net._types import Array
from stochastic_net.moments._integrals.taylor import slope_of
from stochastic_net.moments._program.values import Line

Function = Callable[[Array], Array]

MOST = 4  # crossings of one function that are kept, the leftmost
_LOOKS, _HALVINGS = 112, 23
_BULK, _REACH = 6.0, 13.0  # deviations, as dense as may be and at all
_ROUNDING = 1e-6  # in units of 1 + |u|
_WIDE = 1.0  # the deviation above which the grid is dense near 0


def crossings(inside: Function, line: Line, moving: bool) -> list[Array]:
    """The places u of the line where inside(u) crosses 0; infinite where there are fewer.

    `moving`: they move with what `inside` closes over, as jumps have to, and are no less for being
    between values that are nearly the same.
    """
    mean, var = lax.stop_gradient(line.moments())
    at, step = _grid(mean, jnp.sqrt(var)), jnp.arange(_LOOKS)

    def look(state: tuple, k: Array) -> tuple[tuple, None]:
        left, side, count, lows, highs = state
        here = at(k)
        value = inside(here)
        noise = 0.0 if moving else _ROUNDING * (1 + jnp.abs(here))
        above = jnp.where((jnp.abs(value) <= noise) & (k > 0), side, value > 0)
        crossed = (above != side) & (k > 0)
        slot = crossed[None] & (count[None] == slots)
        lows, highs = jnp.where(slot, left[None], lows), jnp.where(slot, here[None], highs)
        return (here, above, count + crossed.astype(count.dtype), lows, highs), None

    slots = jnp.arange(MOST).reshape(-1, *[1] * mean.ndim)
    none = jnp.full((MOST, *mean.shape), jnp.inf, mean.dtype)
    start = mean, jnp.zeros(mean.shape, bool), jnp.zeros(mean.shape, jnp.int32), none, none
    (_, _, _, lows, highs), _ = lax.scan(look, start, step)
    rises = jax.vmap(inside)(highs) > 0

    def halve(ends: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], None]:
        low, high = ends
        middle = 0.5 * (low + high)
        beyond = (jax.vmap(inside)(middle) > 0) == rises
        return (jnp.where(beyond, low, middle), jnp.where(beyond, middle, high)), None

    (lows, highs), _ = lax.scan(halve, (lows, highs), None, _HALVINGS)
    places = list(lax.stop_gradient(0.5 * (lows + highs)))
    return [_moved(inside, place) for place in places] if moving else places


def _grid(mean: Array, scale: Array) -> Callable[[Array], Array]:
    """The k-th place to look at, from left to right: even in deviations, or in arcsinh u."""
    range_of_sinh = jnp.arcsinh(jnp.abs(mean) + _REACH * scale)

    def at(k: Array) -> Array:
        t = k.astype(mean.dtype) * np.asarray(2 / (_LOOKS - 1), mean.dtype) - 1
        away = t * (_BULK + (_REACH - _BULK) * t**8)
        return jnp.where(scale > _WIDE, jnp.sinh(t * range_of_sinh), mean + away * scale)

    return at


def _moved(inside: Function, place: Array) -> Array:
    """`place`, by one step of Newton's method: it is 0, and has the derivative of a root."""
    known = jnp.isfinite(place)
    at = jnp.where(known, place, 0.0)
    value, slope = inside(at), lax.stop_gradient(slope_of(inside, at))
    step = (value - lax.stop_gradient(value)) / jnp.where(slope == 0, 1.0, slope)
    return jnp.where(known & (slope != 0), at - step, place)
