r"""Gauss-Hermite nodes, few, for functions that are smooth on the scale of a Gaussian.

  E f(m + s Z) ~ sum_j w_j f(m + s t_j)

converges exponentially where f is analytic, the faster the further off the line its poles are: with
ten nodes it is right for silu to deviations of 0.7, with 16 for tanh to 0.5. Nobody has to know the
poles: a function whose constants are known is tried, while the program is traced, on Gaussians all
along the line beside a dense rule.
"""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike

from stochastic_net._types import Array
from stochastic_net.moments._integrals.log_slopes import TRIED, Tail, moved, tails_of
from stochastic_net.moments._integrals.precision import Moments
from stochastic_net.moments._integrals.taylor import Function, Slopes, slope_of
from stochastic_net.random._elementary import exp

_COUNTS = (8, 10, 12, 16)  # of nodes
_ENOUGH = 0.6  # the first count that reaches this deviation is taken, else the last
_DEVIATIONS = (0.1, 0.15, 0.25, 0.35, 0.5, 0.6, 0.7, 0.85, 1.0, 1.25, 1.5)  # that are tried
_FIRST = 2  # of them; those before are for who fails it, as far from 0 they are rounded
_FAR = 40.0  # as far as they are tried
_ERROR = 2e-6  # in units of the second moment's root
_FLOOR = 1e-7  # and of the largest value near 0, which for what grows like a line is no more than
_LINE = 14.0  # that many times the largest within 1
_ROW = 2039  # numbers that a function is asked for at once; no array of a network is as long

Nodes = tuple[np.ndarray, np.ndarray]  # in deviations, and weights that sum to one


class Rule(NamedTuple):
    """Nodes that are right for a function up to a deviation."""

    nodes: Nodes
    reach: float
    tails: tuple[Tail, ...] = ()


def _gauss(count: int) -> Nodes:
    t, weight = np.polynomial.hermite_e.hermegauss(count)
    return t, weight / weight.sum()


def _dense() -> Nodes:
    t = np.arange(-7.0, 7.1, 0.2)
    mass = np.exp(-0.5 * t * t)
    return t, mass / mass.sum()


_RULES = [*map(_gauss, _COUNTS), _dense()]
_TRIALS = [
    np.arange(-_FAR, _FAR, 1.5 * scale)[:, None] + scale * t
    for scale in _DEVIATIONS
    for t, _ in _RULES
]
_NEAR = np.linspace(-10, 10, 41)
_PLACES = np.concatenate([_NEAR, TRIED, *map(np.ravel, _TRIALS)])


def rule_for(function: Function, breaks: tuple[ArrayLike, ...], dtype: DTypeLike) -> Rule | None:
    """A rule that is right for `function`; None where none is, or that cannot be known.

    What may be a break is none where the rule is right there.
    """
    if not all(map(_is_tried, breaks)):
        return None
    values = values_of(function, _PLACES.astype(dtype))
    if values is None or not np.isfinite(values).all():
        return None
    sizes = [_NEAR.size, TRIED.size, *(x.size for x in _TRIALS)]
    near, away, *tried = np.split(values, np.cumsum(sizes)[:-1])
    found = [
        _moments(x.reshape(u.shape), weights)
        for u, x, (_, weights) in zip(_TRIALS, tried, itertools.cycle(_RULES), strict=False)
    ]
    within, largest = (np.abs(x).max() for x in (near[np.abs(_NEAR) <= 1], near))
    floor, best = _FLOOR * min(largest, _LINE * within), None
    for index, nodes in enumerate(_RULES[:-1]):
        reach = _reach(found[index :: len(_RULES)], found[len(_COUNTS) :: len(_RULES)], floor)
        best = Rule(nodes, reach, tails_of(away, reach)) if reach > 0 else best
        if reach >= _ENOUGH:
            break
    return best


def _is_tried(place: ArrayLike) -> bool:
    return not isinstance(place, jax.core.Tracer) and bool((np.abs(place) < _FAR - 5).all())


def _reach(few: list[np.ndarray], dense: list[np.ndarray], floor: float) -> float:
    """The deviation to which they agree."""
    errors = [np.abs(one - two).max(0) for one, two in zip(few, dense, strict=True)]
    sizes = [_ERROR * np.hypot(*two) + floor for two in dense]
    agree = [bool((e <= size).all()) for e, size in zip(errors, sizes, strict=True)]
    start = _FIRST if agree[_FIRST] else 0
    right = sum(itertools.takewhile(bool, agree[start:]))  # how many, one after the other
    return _DEVIATIONS[start + right - 1] if right else 0.0


def _moments(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """E and deviation of each row."""
    first = values @ weights
    return np.stack([first, np.sqrt(np.square(values - first[:, None]) @ weights)])


def values_of(function: Function, u: np.ndarray) -> np.ndarray | None:
    """The function at u here and now; None where its constants are not known, or one an element.

    In rows of one length, for which it is compiled once.
    """
    rows, compiled = np.pad(u, (0, -u.size % _ROW)).reshape(-1, _ROW), jax.jit(function)
    with jax.ensure_compile_time_eval():
        try:
            values = [compiled(jnp.asarray(row)) for row in rows]
        except (TypeError, ValueError):
            return None
    if isinstance(values[0], jax.core.Tracer):
        return None
    return np.concatenate(values).astype(float)[: u.size]


class FewNodes:
    """The nodes of one function and one Gaussian, and the sums over them."""

    def __init__(self, function: Function, rule: Rule, mean: Array, var: Array) -> None:
        self.function, self.mean, self.scale = function, mean, jnp.sqrt(var)
        self.nodes = [x.astype(mean.dtype) for x in rule.nodes]
        self.away = moved(rule.tails, mean, var) if rule.tails else None

    def moments(self) -> Moments:
        """E and Var."""
        terms = [(self.function(u), weight) for u, _, weight in self._places()]
        first, second, total = (jnp.zeros_like(self.mean) for _ in range(3))
        for x, weight in terms:
            first += weight * x
        for x, weight in terms:
            second, total = second + weight * jnp.square(x - first), total + weight
        if self.away is not None:  # far from the mean a constant is not integrated
            missed = jnp.maximum(1 - total, 0)
            second += jnp.where(self.away == 0, 0.0, missed * jnp.square(first))
        return first, second

    def slopes(self) -> Slopes:
        """Their derivatives: E f' and E f' (u - m) / (2 v), and those of f^2."""
        first, by_mean, by_var, two, two_t = (jnp.zeros_like(self.mean) for _ in range(5))
        for u, t, weight in self._places():
            slope = weight * slope_of(self.function, u)
            value = self.function(u)
            first += weight * value
            by_mean, by_var = by_mean + slope, by_var + slope * t
            two, two_t = two + slope * value, two_t + slope * value * t
        inverse = 1 / self.scale
        return Slopes(
            by_mean,
            0.5 * by_var * inverse,
            2 * (two - first * by_mean),
            (two_t - first * by_var) * inverse,
        )

    def _places(self) -> Iterator[tuple[Array, Array | np.ndarray, Array | np.ndarray]]:
        for t, weight in zip(*self.nodes, strict=True):
            if self.away is None:
                yield self.mean + self.scale * t, t, weight
            else:
                mass = weight * exp(-self.away * (t + 0.5 * self.away))
                yield self.mean + self.scale * (t + self.away), t + self.away, mass
