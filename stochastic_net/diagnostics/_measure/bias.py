r"""Whether the mean of the gradients is the gradient of the mean.

For every key the gradient along a direction is compared with a difference of f over the same key
(`_reference` says how), so that few keys tell much. Where f jumps as theta moves, the difference is
taken at a wide step, or over a lattice in place of keys.

A bias is suspected at p < 0.01 and said only if twice as many keys, independent of the first,
confirm it at p < 0.001. A wrong suspicion costs time; a wrong verdict has probability 1e-5 a test,
and 5 % at signal-to-noise 1 (which is 5 standard errors for 10,000 keys) is found in 99 % of cases.
An argument is tested once, or twice where f may jump: at a small and at a wide step.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from stochastic_net._types import Array
from stochastic_net.diagnostics._measure.directions import direction, generic
from stochastic_net.diagnostics._measure.objective import Objective
from stochastic_net.diagnostics._measure.quadrature import SHIFTS, quadrature
from stochastic_net.diagnostics._measure.reference import Reference, small_steps, wide_steps
from stochastic_net.diagnostics._measure.statistics import Statistics, student
from stochastic_net.diagnostics._program.flow import Draw

SUSPECTED, CONFIRMED = 1e-2, 1e-3  # false alarms, by independent keys: 1e-5 for both together
_TOLERANCE = 0.002  # of the derivative: rounding in float32
_KINKS = 0.01  # more, where there is no noise that kinks near the point could be told from
_TOGETHER = 6  # more arguments than these are tested along one direction
_COUNT = 50  # so many keys have to see a jump


class Bias(NamedTuple):
    """Of the derivative along one direction."""

    gradient: float
    reference: float
    error: float  # standard error of their difference
    z: float
    biased: bool
    by: str = ""  # which reference; "" if none would do


class Comparisons(NamedTuple):
    """Which watched leaves are compared how, by their numbers."""

    smooth: list[int]
    jumping: list[int]  # as these move, f jumps
    doubtful: list[int]  # these are in `smooth`, but f may jump

    @property
    def all(self) -> list[int]:
        """Every leaf that is tested."""
        return sorted({*self.smooth, *self.jumping})


def bias(
    objective: Objective, at: Statistics, tests: Comparisons, draws: list[Draw]
) -> dict[int, Bias]:
    """Of the watched leaves, one by one, or all of a kind together (as -1, -2, -3) if many."""
    one_by_one = len(tests.all) <= _TOGETHER
    found: dict[int, Bias] = {}
    line = _line(objective, at) if tests.all else None
    kinds = ((-1, tests.smooth, False), (-2, tests.jumping, True), (-3, tests.doubtful, True))
    for kind, which, jumps in kinds:
        if not which:
            continue
        groups = {i: [i] for i in which} if one_by_one else {kind: which}
        for name, one in _in_two_stages(objective, at, line, groups, jumps, draws).items():
            for i in {name, *groups[name]}:
                found[i] = one if i not in found or one.biased else found[i]
    return found


class _Line(NamedTuple):
    """Through a point near the given one, with the derivatives along it by key and leaf."""

    point: list[Array]
    moves: list[Array]
    slopes: np.ndarray


def _line(objective: Objective, at: Statistics) -> _Line:
    point = generic(objective.point)
    moves = direction(point, at.mean)
    return _Line(point, moves, objective.slopes(point, moves))


@jax.jit
def _moved(point: list[Array], moves: list[Array], step: Array) -> list[Array]:
    return [x + step.astype(x.dtype) * v for x, v in zip(point, moves, strict=True)]


def _in_two_stages(objective, at, line, groups: dict[int, list[int]], jumps: bool, draws) -> dict:
    first = _test(objective, line, groups, jumps, draws, SUSPECTED)
    suspected = {name: groups[name] for name, one in first.items() if one.biased}
    if not suspected:
        return first
    others = objective.again(2)
    return first | _test(others, _line(others, at), suspected, jumps, draws, CONFIRMED)


def _test(objective, line: _Line, groups, jumps: bool, draws, level: float) -> dict[int, Bias]:
    mean = quadrature(objective, draws) if jumps else None

    def one(group: list[int]) -> Bias:
        moves = [v if i in group else jnp.zeros_like(v) for i, v in enumerate(line.moves)]

        def moved(step: float) -> list[Array]:
            return _moved(line.point, moves, jnp.float32(step))

        def run(step: float) -> np.ndarray:
            return objective.values(moved(step))

        gradient = line.slopes[:, group].sum(1)
        if not jumps:
            return _paired(gradient, small_steps(run), level)
        nodes = wide_steps(lambda step: mean(moved(step)), "quadrature") if mean else None
        if nodes is not None:
            return _apart(gradient, nodes, level)
        return _paired(gradient, wide_steps(run), level)

    return {name: one(group) for name, group in groups.items()}


def _paired(gradient: np.ndarray, reference: Reference | None, level: float) -> Bias:
    """Key by key."""
    if reference is None:
        return Bias(gradient.mean(), float("nan"), float("nan"), 0.0, False)
    difference = gradient - reference.rows
    error = difference.std(ddof=1) / np.sqrt(len(difference))
    one = _verdict(gradient, reference, error, len(difference), level)
    if reference.by == "wide steps" and _count(difference) < _COUNT:
        return one._replace(biased=False, by="")
    return one


def _apart(gradient: np.ndarray, reference: Reference, level: float) -> Bias:
    """The mean over keys with one over nodes."""
    error = np.hypot(
        gradient.std(ddof=1) / np.sqrt(len(gradient)),
        reference.rows.std(ddof=1) / np.sqrt(len(reference.rows)),
    )
    return _verdict(gradient, reference, error, SHIFTS, level)


def _verdict(gradient, reference: Reference, error: float, n: int, level: float) -> Bias:
    mean, expected = gradient.mean(), reference.rows.mean()
    if not np.isfinite([mean, expected, error]).all():
        return Bias(mean, expected, float("nan"), 0.0, False)
    size = max(abs(mean), abs(expected))
    noisy = error > _TOLERANCE * size
    allowed = (_TOLERANCE if noisy else _KINKS) * size + reference.off
    excess = max(abs(mean - expected) - allowed, 0.0)
    z = excess / error if error > 0 else (np.inf if excess > 0 else 0.0)
    biased = bool(excess > 0 and student(z, n) < level)
    z = float(np.copysign(z, mean - expected)) if z else 0.0
    return Bias(float(mean), float(expected), float(error), z, biased, reference.by)


def _count(rows: np.ndarray) -> float:
    """How many rows make up what varies among them."""
    squares = np.square(rows - rows.mean())
    return float(squares.sum() ** 2 / max(np.square(squares).sum(), 1e-300))
