"""The nodes of the quadrature: where they lie, and the sums over them."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from stochastic_net._types import Array
from stochastic_net.moments._integrals.ascending import in_order
from stochastic_net.moments._integrals.precision import Moments
from stochastic_net.moments._integrals.taylor import Function, Slopes, slope_of
from stochastic_net.moments._integrals.two_lines import TwoLines, joined
from stochastic_net.random._elementary import exp
from stochastic_net.random._fence import both

Breaks = tuple[Array, ...]

_NODES = 12  # in each panel
_REACH = 7.0  # deviations; 3e-12 of the mass lies beyond
_BEYOND = 3.0  # deviations beyond a break
_BULK = 2.5  # deviations of the inner panels
_INNER = 5.0  # and their length for a wide Gaussian, where they hold what f does near 0
_PARTS = (-2.0, -1.0, -0.5, 0.5, 1.0, 2.0)  # of it, where panels end
_EDGE = 20.0  # where a function is at its asymptotes
_FAR = 100.0  # and where it is in every digit of float32, its logarithm included
_TAIL = 13.0  # deviations; beyond, a tail is no normal number of float32
_WIDE = 1.0  # the deviation above which panels are where functions do most
_FURTHEST = 10.0  # where asymptotes may meet


def _rule() -> tuple[np.ndarray, ...]:
    """Places and weights on [0, 1], and what a bend adds to them."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    nodes, weights = (nodes + 1) / 2, weights / 2
    return nodes, nodes * nodes - nodes, weights, weights * (2 * nodes - 1)


_RULE = _rule()


class _Panel(NamedTuple):
    """From `start` over `length`, of either sign; there f is near the line.

    Nodes are denser at the start where `dense` is part of the length, not where it is 0.
    """

    start: Array
    length: Array
    dense: Array
    slope: Array
    intercept: Array


class Nodes:
    """The nodes of one function and one Gaussian, and the sums over them.

    `deep`: the function has digits where it dies away, and is to have its moments in relative
    terms. `rolled`: the nodes of a panel are a loop, too.
    """

    def __init__(
        self,
        function: Function,
        mean: Array,
        var: Array,
        breaks: Breaks,
        deep: bool = False,
        rolled: bool = False,
    ) -> None:
        self.function, self.mean, self.var, self.breaks = function, mean, var, breaks
        self.deep, self.rolled = deep, rolled
        self.edge = _FAR if deep else _EDGE
        self.scale = jnp.sqrt(var)
        self.inverse = 1 / self.scale  # a quotient would be a pass of its own
        self.straight, self.lines = _asymptotes(function, mean, self.scale, breaks, self.edge)
        self.line_mean, self.line_var = both(*self.lines.moments(mean, var))

    def moments(self) -> Moments:
        """E and Var."""

        def terms(u: Array, _: Array, mass: Array, line: Array) -> list[Array]:
            rest = self.function(u) - line
            return [mass * rest, mass * (rest * (rest + 2 * (line - self.line_mean)))]

        first, square = self._sums(terms, 2)
        return both(
            self.line_mean + first, jnp.maximum(self.line_var + square - first * first, 0.0)
        )

    def slopes(self) -> Slopes:
        """The derivatives of both: by the scores where there are asymptotes or an infinite f'."""
        scored = self._scored()

        def terms(u: Array, t: Array, mass: Array, line: Array) -> list[Array]:
            rest = self.function(u) - line
            square = rest * (rest + 2 * (line - self.line_mean))
            slope = slope_of(self.function, u)
            one = mass * jnp.where(scored, rest * t, slope)
            two = mass * jnp.where(scored, square * t, rest * slope)
            return [mass * rest, mass * square, one, one * t, two, two * t]

        first, square, *sums = self._sums(terms, 6)
        for place in self.breaks:
            mass, rest = self._jump(place)
            mass, t = jnp.where(scored, 0.0, mass), (place - self.mean) * self.inverse
            found = (mass, mass * t, mass * rest, mass * rest * t)
            sums = [s + x for s, x in zip(sums, found, strict=True)]
        return self._of_sums(scored, first, square, *sums)

    def _scored(self) -> Array:
        bounded = [jnp.isfinite(slope_of(self.function, place)) for place in self.breaks]
        return functools.reduce(
            lambda found, is_bounded: found | ~is_bounded, bounded, self.straight
        )

    def _of_sums(self, scored: Array, first: Array, square: Array, *sums: Array) -> Slopes:
        one, one_t, two, two_t = sums
        i, unit, zero = self.inverse, jnp.ones_like(self.var), jnp.zeros_like(self.var)
        by_mean, by_var = (
            both(*jax.jvp(self.lines.moments, (self.mean, self.var), direction)[1])
            for direction in ((unit, zero), (zero, unit))
        )
        mean_by_mean = by_mean[0] + one * i
        mean_by_var = by_var[0] + (one_t - first) * (i * i / 2)
        far = Slopes(
            mean_by_mean,
            mean_by_var,
            by_mean[1] + two * i - 2 * first * mean_by_mean,
            by_var[1] + (two_t - square) * (i * i / 2) - 2 * first * mean_by_var,
        )
        near = Slopes(one, one_t * i / 2, 2 * (two - first * one), (two_t - first * one_t) * i)
        return Slopes(*(jnp.where(scored, a, b) for a, b in zip(far, near, strict=True)))

    def jump_slopes(self, place: Array) -> Moments:
        """By how much a jump at `place`, moved to the left, raises E and Var."""
        mass, rest = self._jump(place)
        return mass, 2 * mass * (rest + self.line_mean - self.moments()[0])

    def _jump(self, place: Array) -> tuple[Array, Array]:
        """[f] at a break with its mass, and f there less the line's mean; 0 for a mere kink."""
        away = 1e-6 * (jnp.abs(place) + self.scale)
        (low, low_slope), (high, high_slope) = (
            jax.jvp(self.function, (u,), (jnp.ones_like(u),)) for u in (place - away, place + away)
        )
        jump = (high - low) - away * (low_slope + high_slope)
        mass = density((place - self.mean) * self.inverse) * self.inverse
        return mass * jump, 0.5 * (low + high) - self.line_mean

    def _sums(self, terms: Callable[..., list[Array]], count: int) -> list[Array]:
        """The sums of `terms(u, t, mass, line)`, an even number, over the nodes of all panels.

        A loop: written out it takes twice as long to compile.
        """
        sums = [jnp.zeros_like(self.mean)] * count
        return lax.scan(lambda s, x: (self._add(s, x, terms), None), sums, self._panels())[0]

    def _add(
        self, sums: list[Array], panel: _Panel, terms: Callable[..., list[Array]]
    ) -> list[Array]:
        """The sums with the terms of one panel added."""
        length, dense = (jnp.abs(x) * self.inverse for x in (panel.length, panel.dense))
        start = (panel.start - self.mean) * self.inverse

        def add(sums: list[Array], node: tuple) -> list[Array]:
            place, bent, weight, bent_weight = node
            away = place * panel.length + bent * panel.dense
            u, t = panel.start + away, start + away * self.inverse  # t without the rounding of u
            mass = (weight * length + bent_weight * dense) * density(t)
            line = panel.slope * (u - self.lines.bend) + panel.intercept
            found = terms(u, t, mass, line)
            return [s + x for s, x in zip(sums, found, strict=True)]

        nodes = tuple(x.astype(self.mean.dtype) for x in _RULE)
        if self.rolled:
            return lax.scan(lambda sums, node: (add(sums, node), None), sums, nodes)[0]
        for node in zip(*nodes, strict=True):
            sums = add(sums, node)
        return [x for k in range(0, len(sums), 2) for x in both(*sums[k : k + 2])]

    def _panels(self) -> _Panel:
        """Along a first axis. They meet at 0, the mean, the breaks and the ends of what is inside.

        That is the bulk of a narrow Gaussian, and of a wide one where functions do most. There the
        nodes of the outermost panels are denser at their inner end. A function that dies away like
        e^u has its mass up to v off the mean, towards 0: where that can be, panels go there.
        """
        wide = self.scale > _WIDE
        edge = jnp.where(_long(self.straight, self.scale), self.edge, jnp.inf)
        far = _TAIL if self.deep else _REACH
        tail = (jnp.where(self.straight, far, _REACH) if self.rolled else far) * self.scale
        reach, below = _REACH * self.scale, self.mean < 0
        low = self.mean - jnp.where(below, reach, tail)
        high = self.mean + jnp.where(below, tail, reach)
        for place in self.breaks:  # all that there is may be beyond it
            seen = jnp.abs(place - self.mean) < _TAIL * self.scale
            low = jnp.where(seen, jnp.minimum(low, place - _BEYOND * self.scale), low)
            high = jnp.where(seen, jnp.maximum(high, place + _BEYOND * self.scale), high)
        low, high = (jnp.clip(x, -edge, edge) for x in (low, high))
        half = jnp.where(wide, _INNER, _BULK * self.scale)
        middle = jnp.where(wide, 0.0, self.mean)
        inner = [middle + k * half for k in _PARTS]
        bend = self.lines.bend + jnp.zeros_like(half)
        places = [*inner, bend, self.mean, *self.breaks]
        if self.deep:
            way = jnp.clip(-self.mean, -tail, tail)
            places += [middle - 4 * half, middle + 4 * half]
            places += [self.mean + k * way for k in (0.25, 0.5, 0.75)]
        low, high = low[None], high[None]
        places = jnp.clip(in_order(lax.stop_gradient(jnp.stack(places))), low, high)
        start = jnp.concatenate([places[:1], places])
        end = jnp.concatenate([low, places[1:], high])
        outer = np.zeros((len(start), *(1,) * self.mean.ndim), bool)
        below = start + end < 2 * bend[None]
        outer[[0, -1]] = True
        dense = jnp.where(outer & wide[None], 0.5 * (end - start), 0.0)
        line = (
            jnp.where(below, b, a) for b, a in zip(self.lines.below, self.lines.above, strict=True)
        )
        return _Panel(*map(lax.stop_gradient, (start, end - start, dense)), *line)


def density(t: Array) -> Array:
    """phi(t), for weights."""
    return exp(-0.5 * t * t) * np.asarray(1 / np.sqrt(2 * np.pi), t.dtype)


def _asymptotes(
    function: Function, mean: Array, scale: Array, breaks: Breaks, edge: float
) -> tuple[Array, TwoLines]:
    """Whether a wide Gaussian has them, and the lines of a long one; else f at the mean."""

    def side(sign: float) -> tuple[tuple[Array, Array], Array]:
        one, two, three = (function(jnp.full_like(scale, sign * k * edge)) for k in (1, 2, 3))
        slope = (two - one) / (sign * edge)
        error = jnp.abs(three - two - (two - one))
        small = 1e-5 * (jnp.abs(two - one) + jnp.minimum(jnp.abs(one), 1.0)) + 2e-6
        return (slope, one - slope * (sign * edge)), error < small

    (below, low), (above, high) = side(-1.0), side(1.0)
    straight = (scale > _WIDE) & low & high
    for place in breaks:
        straight &= jnp.abs(place) <= edge
    pivot, long = function(mean), _long(straight, scale)

    def known(slope: Array, intercept: Array) -> tuple[Array, Array]:
        return jnp.where(long, slope, 0.0), jnp.where(long, intercept, pivot)

    left, right, bend = joined(known(*below), known(*above), _FURTHEST, jnp.where)
    return straight, TwoLines(left, right, bend=bend)


def _long(straight: Array, scale: Array) -> Array:
    """Where it reaches further than its nodes do, which its asymptotes are then for.

    Of a shorter one they may be most of what is integrated where f is next to nothing.
    """
    return straight & (scale > _EDGE / _REACH)
