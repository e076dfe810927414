"""A line between bounds: max, min, clip, and `where` that puts a constant beyond a place."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import JaxprEqn
from jax.extend.core import primitives as p
from jax.typing import ArrayLike

from stochastic_net._types import Array
from stochastic_net.moments._integrals.clip import Clipped, clip
from stochastic_net.moments._integrals.kink import positive_part, relu
from stochastic_net.moments._integrals.precision import Moments, not_negative
from stochastic_net.moments._integrals.taylor import Function
from stochastic_net.moments._program.values import Elementwise, Line, Value, is_random, split


@dataclasses.dataclass(frozen=True, eq=False)
class Clip:
    """X, but `low` or `high` where it is beyond; None is no bound."""

    low: ArrayLike | None = None
    high: ArrayLike | None = None

    def __call__(self, mean: Array, var: Array) -> Moments:
        return self.beside_ends(mean, var)[:2]

    def beside_ends(self, mean: Array, var: Array) -> Clipped:
        """E and Var, and how far E is from the ends."""
        if self.low is None:
            if self.high is None:
                return Clipped(mean, var, mean, mean)
            return _bounded(-1.0, self.high, mean, var)
        if self.high is None:
            return _bounded(1.0, self.low, mean, var)
        return clip(mean, var, *(jnp.asarray(x, mean.dtype) for x in (self.low, self.high)))

    @property
    def ends(self) -> tuple[ArrayLike, ...]:
        """Those that there are."""
        return tuple(x for x in (self.low, self.high) if x is not None)

    def at_least(self, place: ArrayLike) -> "Clip":
        """And then no less than `place`."""
        high = None if self.high is None else _extreme(np.maximum, self.high, place)
        return Clip(place if self.low is None else _extreme(np.maximum, self.low, place), high)

    def at_most(self, place: ArrayLike) -> "Clip":
        """And then no more than `place`."""
        low = None if self.low is None else _extreme(np.minimum, self.low, place)
        return Clip(low, place if self.high is None else _extreme(np.minimum, self.high, place))


def under(x: Elementwise) -> Elementwise:
    """What x puts a bound on, the same for all; else x."""
    shared = isinstance(x.closed, Clip) and not any(map(jnp.ndim, x.closed.ends))
    return Elementwise(x.line) if shared else x


def under_bound(x: Elementwise, do: Callable[[Elementwise], Elementwise]) -> Elementwise:
    """do(x), done before the bound is put on that x puts on all alike."""
    inner = under(x)
    found = do(inner)
    if inner is x:
        return found
    return Elementwise(found.line, x.function, x.closed, x.breaks, x.clipped)


def _bounded(sign: float, place: ArrayLike, mean: Array, var: Array) -> Clipped:
    """max(X, c) = c + relu(X - c) for `sign` 1; min(X, c) = c - relu(c - X) for -1."""
    if not isinstance(place, jax.core.Tracer) and np.isfinite(place).all():
        end = jnp.asarray(np.asarray(place).astype(mean.dtype))
        more, more_var = relu(sign * (mean - end), var)
        return Clipped(end + sign * more, more_var, more, more)
    place = jnp.asarray(place)
    never = jnp.isinf(place) & (sign * place < 0)  # no bound
    end = jnp.where(never, 0, place).astype(mean.dtype)
    more, more_var = relu(sign * (mean - end), var)
    first = jnp.where(never, mean, end + sign * more)
    return Clipped(first, jnp.where(never, var, more_var), more, more)


def _extreme(of_two: np.ufunc, x: ArrayLike, y: ArrayLike) -> ArrayLike:
    """The larger or the smaller; known where both are."""
    if any(isinstance(z, jax.core.Tracer) for z in (x, y)):
        return getattr(jnp, of_two.__name__)(x, y)
    return of_two(np.asarray(x), np.asarray(y))


@dataclasses.dataclass(frozen=True, eq=False)
class Ended:
    """X between the bounds of `clip`, and constants beyond them; None is the bound itself.

    A jump of D from the end c, beyond which there is the mass P, adds D P to the mean of the
    clipped X and D P (D (1 - P) + 2 (c - E)) to its variance, two of them -2 D P D' P' more.
    """

    clip: Clip
    below: Array | None = None
    above: Array | None = None
    function: Function | None = None  # for what has no variance

    def __call__(self, mean: Array, var: Array) -> Moments:
        first, spread, from_low, from_high = self.clip.beside_ends(mean, var)
        sides = (
            (-1, self.clip.low, self.below, from_low),
            (1, self.clip.high, self.above, from_high),
        )
        moves = []
        for sign, end, beyond, away in sides:
            if end is not None and beyond is not None:
                place = jnp.asarray(end, mean.dtype)
                jump = jnp.asarray(beyond, mean.dtype) - place
                move = jump * positive_part(sign * (mean - place), var)
                rest = positive_part(sign * (place - mean), var)
                spread += move * (jump * rest + sign * 2 * away)
                moves.append(move)
        if len(moves) == 2:
            spread -= 2 * moves[0] * moves[1]
        point = var < jnp.finfo(var.dtype).tiny
        at_a_point = self.function(mean) if self.function else first
        return jnp.where(point, at_a_point, sum(moves, first)), not_negative(spread)


def clipped(eqn: JaxprEqn, operands: list[Value]) -> Clip | None:
    """The bounds of a line, after an operation that puts constant ones on it."""
    randoms, constants = split(operands)
    before = _bounds(randoms[0]) if len(randoms) == 1 else None
    if before is None:
        return None
    match eqn.primitive, constants:
        case p.clamp_p, [low, high] if is_random(operands[1]):
            return before.at_least(low).at_most(high)
        case p.max_p, [place]:
            return before.at_least(place)
        case p.min_p, [place]:
            return before.at_most(place)
    return None


def _bounds(x: Elementwise) -> Clip | None:
    """Those of a line, be there any or not."""
    if not x.clipped:
        return None
    return x.closed if isinstance(x.closed, Clip) else Clip()


def ended(line: Line, place: Array, below: Value, above: Value) -> Ended | None:
    """The choice of a constant on one side of the place, of a line that may have ended before."""
    if not isinstance(above, Elementwise):
        found = _ends(below, line)
        if found and found.clip.high is None and _is_less(found.clip.low, place):
            clip = Clip(found.clip.low, place)
            return dataclasses.replace(found, clip=clip, above=above)
    elif not isinstance(below, Elementwise):
        found = _ends(above, line)
        if found and found.clip.low is None and _is_less(place, found.clip.high):
            clip = Clip(place, found.clip.high)
            return dataclasses.replace(found, clip=clip, below=below)
    return None


def _ends(x: Value, line: Line) -> Ended | None:
    """Those of `line`, if x is that between them."""
    if not isinstance(x, Elementwise) or x.line is not line:
        return None
    if isinstance(x.closed, Ended):
        return x.closed
    bounds = _bounds(x)
    return Ended(bounds) if bounds else None


def _is_less(low: ArrayLike | None, high: ArrayLike | None) -> bool:
    """Whether that is known; it is where one is no bound."""
    if low is None or high is None:
        return True
    known = not any(isinstance(x, jax.core.Tracer) for x in (low, high))
    return known and bool(np.all(np.asarray(low) <= np.asarray(high)))
