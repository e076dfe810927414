"""Where a value is from: what makes a pattern of several operations known as one.

A softmax and the variance of a norm have no name in a jaxpr, and taken operation by operation both
cancel against themselves. A value therefore remembers that it is a sum, or a maximum.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from stochastic_net._types import Array, Shape
from stochastic_net.moments._integrals.precision import Form
from stochastic_net.moments._program.values import (
    Elementwise,
    Line,
    Value,
    gaussian,
    origin,
)
from stochastic_net.moments._rules.closed_forms import square
from stochastic_net.moments._rules.softmax import LogSumExp

Place: TypeAlias = tuple[Line, tuple[int, ...]]


@dataclasses.dataclass(frozen=True, eq=False)
class Sum:
    """The sum of `terms` over `axes`."""

    terms: Elementwise
    axes: tuple[int, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Centred:
    """A line less its mean over `axes`."""

    line: Line
    axes: tuple[int, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class SampleVariance:
    """That of a line over `axes`."""

    line: Line
    axes: tuple[int, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class NormScale:
    """A function g of such a sample variance S, in an array that may repeat it.

    `relative()` is (dE g / dE S) / E g and `spread()` its square times Var S, the least that Var g
    can be in units of (E g)^2; no constant factor changes them.
    """

    line: Line
    axes: tuple[int, ...]
    relative: Callable[[], Array]
    spread: Callable[[], Array]

    def then(self, move: Callable[[Array], Array]) -> "NormScale":
        """In an array that is made of this one's entries."""
        relative, spread = self.relative, self.spread
        return NormScale(self.line, self.axes, lambda: move(relative()), lambda: move(spread()))


@dataclasses.dataclass(frozen=True, eq=False)
class Largest:
    """A maximum. `of_means()` is that of the means: what its author takes for a constant."""

    of_means: Callable[[], Array]

    def then(self, move: Callable[[Array], Array]) -> "Largest":
        """In an array that is made of this one's entries."""
        of_means = self.of_means
        return Largest(lambda: move(of_means()))


def sum_of_exponentials(total: Value, terms: Value | None = None) -> Place | None:
    """Of which line over which axes `total` is the sum of exponentials, of `terms` if given.

    They may be masked in the sum alone.
    """
    found = origin(_as_it_was(total))
    summed = _as_it_was(found.terms).exponential if isinstance(found, Sum) else None
    if summed is None or not isinstance(found, Sum):
        return None
    if terms is not None and _as_it_was(terms) not in (_as_it_was(found.terms), summed.before):
        return None
    return summed.of.as_line(), found.axes


def where_summed(total: Value, terms: Value) -> Array | None:
    """Where `terms` are masked in their sum `total`, if they are masked there alone."""
    found: Any = origin(_as_it_was(total))
    summed = _as_it_was(found.terms)
    return None if summed is _as_it_was(terms) else summed.exponential.chosen


def log_sum_exp_of(x: Value, total: Value) -> LogSumExp | None:
    """That of the line x over some axes, if `total` is it."""
    found = origin(_as_it_was(total))
    if not isinstance(found, LogSumExp) or not isinstance(x, Elementwise) or x.function:
        return None
    return found if _same(x.line, found.line) else None


def sample_variance(squares: Value, squared: Value) -> Place | None:
    """Of which line u over which axes, if `squares` is mean(u^2) and `squared` is mean(u)^2."""
    if getattr(squared, "closed", None) is not square:
        return None
    of_squares, of_line = _mean(squares, None), _mean(squared, square)
    if of_squares is None or of_line is None or of_squares.axes != of_line.axes:
        return None
    u, v = of_squares.terms, of_line.terms
    alike = u.closed is square and v.function is None and _same(u.line, v.line)
    return (v.line, of_line.axes) if alike else None


def centred(x: Value, mean: Value) -> Place | None:
    """Of which line over which axes, if x is a line and `mean` is its mean."""
    found = _mean(mean, None)
    if found is None or not isinstance(x, Elementwise) or x.function or found.terms.function:
        return None
    return (x.line, found.axes) if _same(x.line, found.terms.line) else None


def squares_of_centred(terms: Value, axes: tuple[int, ...]) -> Place | None:
    """Of which line, if `terms` are the squares of it less its mean over these axes."""
    if not isinstance(terms, Elementwise) or terms.closed is not square or not terms.line.is_root:
        return None
    found = terms.line.root.origin
    return (found.line, axes) if isinstance(found, Centred) and found.axes == axes else None


def norm_scale(x: Value) -> NormScale | None:
    """x as a function of a sample variance."""
    if not isinstance(x, Elementwise):
        return None
    found, shift = x.line.root.origin, x.line.shift
    if isinstance(found, SampleVariance) and x.function is not None:

        def relative() -> Array:
            return x.gain() / x.moments()[0]

        def spread() -> Array:
            return jnp.square(relative()) * x.line.moments()[1]

        return NormScale(found.line, found.axes, relative, spread)
    scaled = isinstance(found, NormScale) and x.function is None
    return found if scaled and isinstance(shift, float) and shift == 0.0 else None


def widen(value: Elementwise, shape: Shape) -> Elementwise:
    """`value` where an operation repeats it along axes of size 1; the copies share one noise."""
    if value.shape == shape:
        return value
    if value.function is None:
        line, root = value.line, value.line.root
        wide = root.repeat(shape, lambda m: jnp.broadcast_to(m, shape))
        return Elementwise(Line(wide, line.scale, line.shift))
    scale = norm_scale(value)
    if scale is not None:
        scale = scale.then(lambda a: jnp.broadcast_to(a, shape))
    mean, var = (jnp.broadcast_to(m, shape) for m in value.moments())
    return gaussian(mean, var, scale)


def is_divided(x: Value, scale: NormScale) -> bool:
    """Whether x is a line less its mean, of the same line as the scale."""
    found = origin(x)
    return isinstance(found, Centred) and found.axes == scale.axes and _same(found.line, scale.line)


def is_never_less(x: Value, bound: Value) -> bool:
    """Whether x is a sample variance, and the bound known and not above 0."""
    known = not isinstance(bound, jax.core.Tracer) and bool(np.all(np.asarray(bound) <= 0))
    return known and isinstance(origin(x), SampleVariance)


def _as_it_was(value: Any) -> Any:
    """Before it was cast: a network in 16 bits sums in 32."""
    was = getattr(value, "was", None)
    return _as_it_was(was) if was is not None else value


def _mean(value: Value, closed: Form | None) -> Sum | None:
    """The sum that `value`, or what it is the closed form of, is the mean of."""
    if not isinstance(value, Elementwise) or value.closed is not closed:
        return None
    line, found = value.line, value.line.root.origin
    if not isinstance(found, Sum):
        return None
    count = math.prod(found.terms.shape[axis] for axis in found.axes)
    known = [x for x in (line.scale, line.shift) if not isinstance(x, jax.core.Tracer)]
    is_mean = len(known) == 2 and np.allclose(known[0], 1 / count) and np.all(known[1] == 0)
    return found if is_mean else None


def _same(one: Line, two: Line) -> bool:
    """Whether they are one Gaussian, be it in two dtypes."""
    alike = one.root.kin is two.root.kin and one.root.how == two.root.how
    return one is two or (alike and one.is_root and two.is_root)
