r"""Fixed nodes for a wide Gaussian and a smooth function with asymptotes, all of it numbers.

f = l + r with its two asymptotes l, whose moments are closed, and a rest r that dies away from 0.
What remains are the sums of r(u_j), times numbers, against the density of the Gaussian at u_j: the
function itself is not in the program, only its values. l is bent where the asymptotes meet, so that
it is no larger than f where f dies away on one side, or at 0 if they are parallel. Nodes are
Gauss-Legendre's on panels that meet there, as many as twice as many agree with. Those far out are
asked only if a Gaussian reaches them.
"""

import itertools
import math
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike

from stochastic_net._types import Array
from stochastic_net.moments._integrals.few_nodes import values_of
from stochastic_net.moments._integrals.precision import Moments
from stochastic_net.moments._integrals.taylor import Function, Slopes
from stochastic_net.moments._integrals.tiles import any_above
from stochastic_net.moments._integrals.two_lines import TwoLines, joined
from stochastic_net.random._elementary import exp, inverse_root
from stochastic_net.random._fence import both

Line: TypeAlias = tuple[float, float]  # slope and intercept

_EDGE = 100.0  # where a function is at its asymptotes
_NEAR = 25.0  # what is beyond is far out
_PANELS = ((6.0, 40), (_NEAR, 56), (88.0, 144))  # where they end, and nodes
_FURTHEST = 12.0  # where asymptotes may meet
_REACH = 5.0  # deviations
_TRIED = np.linspace(-25, 25, 101)  # means
_ERROR = 2e-6


class Table(NamedTuple):
    """Places and weights of nodes, and l and r there."""

    u: np.ndarray
    weight: np.ndarray
    line: np.ndarray
    rest: np.ndarray


class Fixed(NamedTuple):
    """A function's asymptotes, and its nodes."""

    lines: TwoLines
    near: Table
    far: Table


def _gauss(times: int) -> tuple[np.ndarray, np.ndarray]:
    places, weights, start = [], [], 0.0
    for end, count in _PANELS:
        t, w = np.polynomial.legendre.leggauss(count * times)
        half = (end - start) / 2
        places.append(start + half * (1 + t))
        weights.append(half * w)
        start = end
    u, w = np.concatenate(places), np.concatenate(weights)
    return np.concatenate([-u[::-1], u]), np.concatenate([w[::-1], w])


_RULES = tuple(map(_gauss, (1, 2, 4)))
_FAR = _EDGE * np.array([-1.0, -2.0, -3.0, 1.0, 2.0, 3.0])


def fixed_nodes(function: Function, reach: float, dtype: DTypeLike) -> Fixed | None:
    """Nodes that are right from the deviation `reach` on; None without asymptotes, or if wrong."""
    lines = _asymptotes(function, dtype)
    if lines is None:
        return None
    scales = reach * np.array([1.0, 2.0, 4.0])
    tables = (_table(function, lines, *rule, dtype) for rule in _RULES)
    for few, many in itertools.pairwise(tables):
        if all(_agree(few, many, scale) for scale in scales):
            near = np.abs(few.u - lines.bend) < _NEAR
            return Fixed(lines, *(Table(*(x[part] for x in few)) for part in (near, ~near)))
    return None


def _asymptotes(function: Function, dtype: DTypeLike) -> TwoLines | None:
    values = values_of(function, np.concatenate([_FAR, _RULES[0][0]]).astype(dtype))
    if values is None:
        return None
    low, high, near = np.split(values, [3, 6])
    below, above = _line(low, -_EDGE, near), _line(high, _EDGE, near)
    if below is None or above is None:
        return None
    (a, b), (c, d), bend = joined(below, above, _FURTHEST, np.where)
    return TwoLines((a, float(b)), (c, float(d)), bend=float(bend))


def _line(values: np.ndarray, edge: float, near: np.ndarray) -> Line | None:
    """Slope and intercept from the values at one, two and three times the edge, if it is one."""
    one, two, three = map(float, values)
    error = abs(three - two - (two - one))
    if not error < 1e-5 * (abs(two - one) + min(abs(one), 1.0)) + 2e-6:
        return None
    slope = (three - two) / edge
    intercept, least = two - 2 * slope * edge, 1e-9 * np.abs(near).max()
    return slope if abs(slope) > least else 0.0, intercept if abs(intercept) > least else 0.0


def _table(
    function: Function, lines: TwoLines, away: np.ndarray, weight: np.ndarray, dtype: DTypeLike
) -> Table:
    u = np.asarray(lines.bend + away, dtype)  # where the function is asked
    values = values_of(function, u)
    assert values is not None  # its constants are known
    u = u.astype(float)
    x, (a, b), (c, d) = u - lines.bend, lines.below, lines.above
    line = np.asarray(np.where(x < 0, a * x + b, c * x + d))
    return Table(u, weight, line, values - line)


def _agree(few: Table, many: Table, scale: float) -> bool:
    """Whether the sums of r, and of their squares, are those of more nodes, but for rounding."""
    floor = 1e-7 * np.abs(many.rest).max()
    for power in (1, 2):
        (one, *_), (two, size, rounding) = (_sums(x, scale, power) for x in (few, many))
        if not (np.abs(one - two) <= _ERROR * size + rounding + floor).all():
            return False
    return True


def _sums(table: Table, scale: float, power: int) -> list[np.ndarray]:
    mass = table.weight * np.exp(-0.5 * ((table.u - _TRIED[:, None]) / scale) ** 2) / scale
    terms = table.rest**power
    return [mass @ x for x in (terms, np.abs(terms), 1e-7 * np.abs(table.line) ** power)]


class FixedNodes:
    """The sums over the nodes for one Gaussian."""

    def __init__(self, fixed: Fixed, mean: Array, var: Array) -> None:
        self.fixed, self.mean, self.var = fixed, mean, var
        self.inverse = inverse_root(var)
        self.line_mean, self.line_var = both(*fixed.lines.moments(mean, var))

    def moments(self) -> Moments:
        """E and Var."""
        first, square = self._sums(0)
        return self.line_mean + first, jnp.maximum(self.line_var + square - first * first, 0.0)

    def slopes(self) -> Slopes:
        """The derivatives of both, by the scores."""
        first, square, one, two, one_t, two_t = self._sums(2)
        i, unit, zero = self.inverse, jnp.ones_like(self.var), jnp.zeros_like(self.var)
        by_mean, by_var = (
            both(*jax.jvp(self.fixed.lines.moments, (self.mean, self.var), direction)[1])
            for direction in ((unit, zero), (zero, unit))
        )
        mean_by_mean = by_mean[0] + one * i
        mean_by_var = by_var[0] + (one_t - first) * (i * i / 2)
        return Slopes(
            mean_by_mean,
            mean_by_var,
            by_mean[1] + two * i - 2 * first * mean_by_mean,
            by_var[1] + (two_t - square) * (i * i / 2) - 2 * first * mean_by_var,
        )

    def _sums(self, powers: int) -> list[Array]:
        """Of r t^k and (2 (l - E l) r + r^2) t^k for k up to `powers`, t in deviations.

        A pass of XLA on CPU has one result: the two are one complex number.
        """
        start = [lax.complex(self.mean * 0, self.mean * 0)] * (powers + 1)
        near, far = (len(table.u) for table in (self.fixed.near, self.fixed.far))
        both_tables = zip(self.fixed.near, self.fixed.far, strict=True)
        u, weight, line, rest = map(np.concatenate, both_tables)
        rows = np.stack([u, weight / np.sqrt(2 * np.pi), line, rest], 1).astype(self.mean.dtype)
        reached = jnp.abs(self.mean - self.fixed.lines.bend) + _REACH * jnp.sqrt(self.var)
        reaches_far = reached > _NEAR

        def add(state: tuple, _: None) -> tuple[tuple, None]:
            k, sums = state
            u, weight, line, rest = jnp.asarray(rows)[k]
            t = (u - self.mean) * self.inverse
            mass = (weight * rest) * self.inverse * exp(-0.5 * t * t)
            mass = jnp.where((k < near) | reaches_far, mass, 0.0)  # no element sees the others
            square = mass * (rest + 2 * (line - self.line_mean))
            terms = [lax.complex(mass * t**n, square * t**n) for n in range(len(sums))]
            return (k + 1, [s + x for s, x in zip(sums, terms, strict=True)]), None

        def part(state: tuple, _: None) -> tuple[tuple, None]:
            asked = (state[0] < near) | any_above(reached, _NEAR)
            added = lambda state: lax.scan(add, state, None, length)[0]  # noqa: E731
            return lax.cond(asked, added, lambda state: state, state), None

        length = math.gcd(near, far)  # one loop for both, to be compiled once
        (_, sums), _ = lax.scan(part, (jnp.int32(0), start), None, (near + far) // length)
        return [side(s) for s in sums for side in (lax.real, lax.imag)]
