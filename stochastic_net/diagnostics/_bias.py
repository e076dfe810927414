r"""Whether the mean of the gradients is the gradient of the mean.

With the same keys on both sides, (f(theta + h v) - f(theta - h v)) / 2h has the expectation of the
directional derivative of E f, up to a term of order h^2 that a second step size measures. For every
key it is compared with the gradient, which is exact where f is smooth, so that few keys tell much.

Where f jumps as theta moves (rejection, hard choices), most keys see no jump and the rare ones
carry the rest of the derivative: that difference is not used as a reference.

A bias is suspected at p < 0.01 and said only if twice as many keys, independent of the first,
confirm it at p < 0.001. A wrong suspicion costs time; a wrong verdict has probability 1e-5 a test,
and 5 % at signal-to-noise 1 (which is 5 standard errors for 10,000 keys) is found in 99 % of cases.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from stochastic_net._types import Array
from stochastic_net.diagnostics._numbers import Objective, Statistics, student

SUSPECTED, CONFIRMED = 1e-2, 1e-3  # false alarms, by independent keys: 1e-5 for both together
_STEP = 0.01
_TOLERANCE = 0.002  # of the derivative: rounding in float32
_KINKS = 0.01  # more, where there is no noise that kinks near the point could be told from


class Bias(NamedTuple):
    """Of the derivative along one direction."""

    gradient: float
    reference: float
    error: float  # standard error of their difference
    z: float
    biased: bool


def generic(point: list[Array], seed: int = 0) -> list[Array]:
    """A point near, where no value sits on a kink by accident and none that is zero stays so.

    Signs are kept, and what is zero becomes positive: it may be a variance.
    """
    rng = np.random.default_rng(seed)

    def near(x: Array) -> Array:
        values = np.asarray(x, np.float64)
        size = np.abs(values).max(initial=0) or 1.0
        moved = values * (1 + 0.02 * rng.uniform(-1, 1, values.shape))
        start = 0.05 * size * rng.uniform(1, 2, values.shape)
        return jnp.asarray(np.where(values == 0, start, moved), x.dtype)

    return [near(x) for x in point]


def direction(point: list[Array], mean: list[np.ndarray], seed: int = 1) -> list[Array]:
    """Along the gradient, where there is most to see, and at random, where what is missing shows.

    In units of each value's size, so that a step does not change a sign.
    """
    rng = np.random.default_rng(seed)

    def one(x: Array, g: np.ndarray) -> Array:
        values = np.asarray(x, np.float64)
        same_sign = (values > 0).all() or (values < 0).all()
        typical = np.sqrt(np.mean(np.square(values))) if values.size else 1.0
        units = np.abs(values) if same_sign else np.full(values.shape, typical or 1.0)
        slope = np.nan_to_num(g) * units
        noise = rng.choice([-1.0, 1.0], values.shape) / np.sqrt(max(values.size, 1))
        steep = slope / (np.linalg.norm(slope) or 1.0)
        v = steep + 0.5 * noise
        return jnp.asarray(units * v / max(1.0, np.abs(v).max()), x.dtype)

    return [one(x, g) for x, g in zip(point, mean, strict=True)]


def bias(objective: Objective, at: Statistics, which: list[int]) -> dict[int, Bias]:
    """Of the watched leaves in `which`, one by one, or all together (as -1) if they are many."""
    point = generic(objective.point)
    moves = direction(point, at.mean)
    one_by_one = len(which) <= _MOST
    groups = {i: [i] for i in which} if one_by_one else {-1: which}
    first = _test(objective, point, moves, groups, SUSPECTED)
    suspected = {name: groups[name] for name, one in first.items() if one.biased}
    if not suspected:
        return first
    return first | _test(objective.again(2), point, moves, suspected, CONFIRMED)


_MOST = 6


def _test(objective, point, moves, groups: dict[int, list[int]], level: float) -> dict[int, Bias]:
    slopes = objective.slopes(point, moves)
    return {
        name: _compare(objective, point, moves, slopes[:, group].sum(1), group, level)
        for name, group in groups.items()
    }


def _compare(
    objective: Objective,
    point: list[Array],
    moves: list[Array],
    gradient: np.ndarray,
    group: list[int],
    level: float,
) -> Bias:
    def at(step: float) -> np.ndarray:
        moved = [
            x + jnp.asarray(step, x.dtype) * v if i in group else x
            for i, (x, v) in enumerate(zip(point, moves, strict=True))
        ]
        return objective.values(moved)

    near, far = ((at(h) - at(-h)) / (2 * h) for h in (_STEP, 2 * _STEP))
    difference = gradient - near
    n = len(difference)
    mean, error = difference.mean(), difference.std(ddof=1) / np.sqrt(n)
    if not np.isfinite([mean, error]).all():
        return Bias(gradient.mean(), near.mean(), float("nan"), 0.0, False)
    curved = np.abs((far - near).mean()) + 2 * (far - near).std(ddof=1) / np.sqrt(n)
    rounding = 4e-7 * np.abs(at(0.0)).mean() / _STEP
    size = max(abs(near.mean()), abs(gradient.mean()))
    noisy = error > _TOLERANCE * size
    allowed = (_TOLERANCE if noisy else _KINKS) * size + 2 * curved + rounding
    excess = max(abs(mean) - allowed, 0.0)
    z = excess / error if error > 0 else (np.inf if excess > 0 else 0.0)
    biased = excess > 0 and student(z, n) < level
    return Bias(gradient.mean(), near.mean(), error, float(np.copysign(z, mean)), bool(biased))
