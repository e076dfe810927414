"""Of gradients over many keys: their mean, its error, signal beside noise."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from stochastic_net._types import Shape


class Statistics(NamedTuple):
    """Of the gradients at one point over keys; a list has an entry for every leaf or draw."""

    count: int
    mean: list[np.ndarray]
    error: list[np.ndarray]  # standard error of the mean, by element
    finite: list[float]  # share of finite entries
    zero: list[bool]  # whether every entry is exactly zero, for every key

    def signal(self, leaf: int) -> float:
        """Signal-to-noise ratio of one key's gradient: |mean| / deviation, as norms over a leaf.

        The squared norm of a mean of n noisy gradients is too large by the noise's share, 1 / n,
        which is taken off.
        """
        n = self.count
        noise = float(np.sum(np.square(self.error[leaf], dtype=np.float64))) * n
        power = float(np.sum(np.square(self.mean[leaf], dtype=np.float64))) - noise / n
        if noise == 0:
            return math.inf if power > 0 else 0.0
        return math.sqrt(max(power, 0.0) / noise)

    def norms(self, leaf: int) -> tuple[float, float]:
        """Of the mean and of its standard error."""
        return _norm(self.mean[leaf]), _norm(self.error[leaf])


def _norm(x: np.ndarray) -> float:
    return float(np.sqrt(np.sum(np.square(x, dtype=np.float64))))


def statistics(sums: "list[Sums]", count: int) -> Statistics:
    """What was summed up."""
    return Statistics(
        count,
        [one.mean for one in sums],
        [np.sqrt(one.second / max(one.count - 1, 1) / one.count) for one in sums],
        [1 - one.bad / (one.count * max(one.mean.size, 1)) for one in sums],
        [one.zero for one in sums],
    )


class Sums:
    """Welford's sums, and what is not finite or always zero."""

    def __init__(self, shape: Shape) -> None:
        dtype = np.float64 if math.prod(shape) < 1e5 else np.float32
        self.count, self.bad, self.zero = 0, 0, True
        self.mean, self.second = np.zeros(shape, dtype), np.zeros(shape, dtype)

    def add(self, g: np.ndarray) -> None:
        """Rows of gradients."""
        m, n = len(g), self.count
        self.count += m
        with np.errstate(invalid="ignore", over="ignore"):
            if not np.isfinite(g.sum()):
                self.bad += int(g.size - np.isfinite(g).sum())
            self.zero = self.zero and not g.any()
            here = g[0] if m == 1 else g.mean(0, dtype=self.mean.dtype)
            away = np.asarray(here - self.mean)  # of no axes numpy makes a number
            if m > 1:
                self.second += np.square(g - here).sum(0)
            self.mean += away * (m / self.count)
            np.square(away, out=away)
            away *= n * m / self.count
            self.second += away


def student(t: float, n: int) -> float:
    """The probability of |T| > |t| with n - 1 degrees of freedom."""
    free = n - 1
    if not math.isfinite(t):
        return 0.0
    x = free / (free + t * t)
    return float(jax.scipy.special.betainc(free / 2, 0.5, jnp.float32(x)))
