"""Where a law has its mass: the set of its values, and the set a parameter must lie in."""

import dataclasses
import math
from typing import ClassVar

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from stochastic_net._types import Array, ArrayLike


class Support:
    """A set of values whose last `event_ndim` axes belong to one value.

    A new set writes `excludes`, `interior` and, where a rounded draw could leave it, `admit`. One
    whose values lie in it but for rounding writes `excludes_rounded` too.
    """

    event_ndim: ClassVar[int] = 0
    integer: ClassVar[bool] = False

    def contains(self, x: ArrayLike) -> Array:
        """Whether `x` is in the set, elementwise; NaN is in none.

        Example:
          >>> import stochastic_net as sn
          >>> print(sn.distributions.Exponential(2.0).support.contains(-1.0))
          False
        """
        x = jnp.asarray(x)
        if not jnp.issubdtype(x.dtype, jnp.floating):
            x = x.astype(jnp.result_type(float))
        return ~self.excludes(x) & ~self._over_event(jnp.isnan(x))

    def excludes(self, x: Array) -> Array:
        """Whether `x` lies outside for certain: False for NaN, and where a bound is NaN."""
        raise NotImplementedError

    def excludes_rounded(self, x: Array, dtype: DTypeLike) -> Array:
        """`excludes`, of an x that may have been rounded to `dtype`, which may be a coarser one."""
        del dtype
        return self.excludes(x)

    def interior(self, x: Array) -> Array:
        """A value, of the shape of `x`, where every density of this support is smooth."""
        raise NotImplementedError

    def admit(self, draw: Array, dtype: DTypeLike) -> Array:
        """The draw in `dtype`, moved back into the set where rounding took it out."""
        return draw if self.integer else draw.astype(dtype)

    def _over_event(self, mask: Array) -> Array:
        return mask.any(tuple(range(-self.event_ndim, 0))) if self.event_ndim else mask


@dataclasses.dataclass(frozen=True, eq=False)
class Interval(Support):
    """The finite real numbers from `low` to `high`; an open end is not a value.

    The bounds may be infinite, and arrays (where they are parameters); an open end is a constant.
    """

    low: ArrayLike = -math.inf
    high: ArrayLike = math.inf
    open_low: bool = False
    open_high: bool = False

    def excludes(self, x: Array) -> Array:
        """Below, above, on an open end, or infinite."""
        x, low, high = _between(x, self.low, self.high)
        below = x <= low if self.open_low else x < low
        above = x >= high if self.open_high else x > high
        return below | above | jnp.isinf(x)

    def interior(self, x: Array) -> Array:
        """The middle, or one away from the only finite end, or 0."""
        x, low, high = _between(x, self.low, self.high)
        has_low, has_high = jnp.isfinite(low), jnp.isfinite(high)
        low, high = jnp.where(has_low, low, high - 1), jnp.where(has_high, high, low + 1)
        return jnp.where(has_low | has_high, 0.5 * low + 0.5 * high, 0.0)

    def admit(self, draw: Array, dtype: DTypeLike) -> Array:
        """The nearest value of `dtype` in the interval; the derivative of a finite draw is kept."""
        low = _innermost(self.low, self.open_low, dtype)
        high = -_innermost(-self.high, self.open_high, dtype)  # pyrefly: ignore
        return _clip(*_between(draw, low, high)).astype(dtype)

    def __str__(self) -> str:
        if isinstance(self.low, float | int) and isinstance(self.high, float | int):
            half_line = self.low == 0 and self.high == math.inf
            named = ("positive" if self.open_low else "not negative") if half_line else None
            bounds = f"in {'(' if self.open_low else '['}{self.low}, {self.high}"
            bounds += ")" if self.open_high else "]"
            unbounded = math.isinf(self.low) and math.isinf(self.high)
            return "finite" if unbounded else f"finite and {named or bounds}"
        return "in its interval"


@dataclasses.dataclass(frozen=True, eq=False)
class NotNaN(Support):
    """Any number, infinite ones too: what a bound or a logit may be."""

    def excludes(self, x: Array) -> Array:
        """Nothing."""
        return jnp.zeros(x.shape, bool)

    def interior(self, x: Array) -> Array:
        """Zero."""
        return jnp.zeros_like(x)

    def __str__(self) -> str:
        return "a number, not NaN"


@dataclasses.dataclass(frozen=True, eq=False)
class Integers(Support):
    """The integers from `low` to `high`."""

    low: ArrayLike = 0
    high: ArrayLike = math.inf
    integer: ClassVar[bool] = True

    def excludes(self, x: Array) -> Array:
        """Below, above, infinite, or between two integers."""
        x, low, high = _between(x, self.low, self.high)
        between = (x != jnp.floor(x)) & ~jnp.isnan(x)
        return (x < low) | (x > high) | jnp.isinf(x) | between

    def interior(self, x: Array) -> Array:
        """The lowest."""
        return _between(x, self.low, self.high)[1]

    def __str__(self) -> str:
        return f"integers from {self.low} to {self.high}"


@dataclasses.dataclass(frozen=True, eq=False)
class OneHot(Support):
    """Vectors with a single 1 among zeros."""

    event_ndim: ClassVar[int] = 1

    def excludes(self, x: Array) -> Array:
        """Another entry than 0 and 1, or not exactly one 1."""
        other = ((x != 0) & (x != 1) & ~jnp.isnan(x)).any(-1)
        return other | (jnp.where(jnp.isnan(x), 0, x).sum(-1) != 1) & ~jnp.isnan(x).any(-1)

    def interior(self, x: Array) -> Array:
        """The first class."""
        first = jnp.arange(x.shape[-1]) == 0
        return jnp.broadcast_to(first.astype(x.dtype), x.shape)


@dataclasses.dataclass(frozen=True, eq=False)
class RealVector(Support):
    """Vectors of finite real numbers."""

    event_ndim: ClassVar[int] = 1

    def excludes(self, x: Array) -> Array:
        """An infinite entry."""
        return jnp.isinf(x).any(-1)

    def interior(self, x: Array) -> Array:
        """The origin."""
        return jnp.zeros_like(x)


@dataclasses.dataclass(frozen=True, eq=False)
class Simplex(Support):
    """Vectors of positive numbers whose sum is 1 but for rounding."""

    event_ndim: ClassVar[int] = 1

    def excludes(self, x: Array) -> Array:
        """An entry that is not positive, or another sum."""
        return self.excludes_rounded(x, x.dtype)

    def excludes_rounded(self, x: Array, dtype: DTypeLike) -> Array:
        """The same, of a sum that is 1 but for the rounding to `dtype`."""
        return (x <= 0).any(-1) | (abs(x.sum(-1) - 1) > slack(x, dtype))

    def interior(self, x: Array) -> Array:
        """The centre."""
        return jnp.full_like(x, 1 / max(x.shape[-1], 1))

    def admit(self, draw: Array, dtype: DTypeLike) -> Array:
        """No entry is 0 or 1."""
        return unit_interval.admit(draw, dtype)


@dataclasses.dataclass(frozen=True, eq=False)
class Sphere(Support):
    """Vectors of length 1 but for rounding."""

    event_ndim: ClassVar[int] = 1

    def excludes(self, x: Array) -> Array:
        """Another length."""
        return self.excludes_rounded(x, x.dtype)

    def excludes_rounded(self, x: Array, dtype: DTypeLike) -> Array:
        """The same, of a length that is 1 but for the rounding to `dtype`."""
        return abs((x * x).sum(-1) - 1) > slack(x, dtype)

    def interior(self, x: Array) -> Array:
        """The pole of the first axis."""
        return OneHot().interior(x)


real = Interval()
positive = Interval(0.0, math.inf, open_low=True)
nonnegative = Interval(0.0, math.inf)
unit_interval = Interval(0.0, 1.0, open_low=True, open_high=True)
not_nan = NotNaN()
counts = Integers()
boolean = Integers(0, 1)
one_hot = OneHot()
real_vector = RealVector()
simplex = Simplex()
sphere = Sphere()


def interval(low: ArrayLike, high: ArrayLike) -> Interval:
    """The numbers from `low` to `high`, both included where they are finite."""
    return Interval(low, high)


def hull(support: Support, axis: int) -> Support:
    """The least set of its kind that holds those along an axis of the bounds, if these have any."""
    if not isinstance(support, Interval | Integers):
        return support
    low, high = support.low, support.high
    if isinstance(low, float | int) and isinstance(high, float | int):
        return support
    low = low if isinstance(low, float | int) else jnp.min(low, axis)
    high = high if isinstance(high, float | int) else jnp.max(high, axis)
    return dataclasses.replace(support, low=low, high=high)


def slack(x: Array, dtype: DTypeLike) -> float:
    """How far a sum over the last axis of numbers that were rounded to `dtype` may be off."""
    return 16 * float(jnp.finfo(dtype).eps) * math.sqrt(max(x.shape[-1], 1))


def _between(x: Array, low: ArrayLike, high: ArrayLike) -> tuple[Array, Array, Array]:
    """A value and its bounds in one dtype and of one shape, said aloud."""
    arrays = (jnp.asarray(x), jnp.asarray(low, x.dtype), jnp.asarray(high, x.dtype))
    shape = jnp.broadcast_shapes(*(array.shape for array in arrays))
    x, low, high = (jnp.broadcast_to(array, shape) for array in arrays)
    return x, low, high


def _innermost(low: ArrayLike, is_open: bool, dtype: DTypeLike) -> ArrayLike:
    """The lowest number of `dtype` at or, at an open end, above the lower bound `low`."""
    info = jnp.finfo(dtype)
    if not is_open:
        return jnp.maximum(low, float(info.min))
    if low == 0:  # XLA may flush what is below the smallest normal number of its own arithmetic
        return float(info.smallest_subnormal if info.dtype == jnp.float16 else info.tiny)
    if low != -1:
        raise NotImplementedError("an open end is 0 or 1")
    return float(info.epsneg) - 1.0  # the neighbour of -1, which stands for the upper end 1


@jax.custom_jvp
def _clip(draw: Array, low: Array, high: Array) -> Array:
    return jnp.clip(draw, low, high)


@_clip.defjvp
def _clip_jvp(primals, tangents):
    """As if nothing had been moved by rounding; what overflowed no longer moves."""
    draw, low, high = primals
    slope = jnp.where(jnp.isinf(draw), jnp.zeros_like(draw), tangents[0])
    return _clip(draw, low, high), slope
