r"""Where a function dies away, and how fast: what moves the nodes of a Gaussian that reaches there.

Of E f(m + s Z) with f = e^{-b |u|}, or e^{-u^2 / 2}, the mass is not near the mean: it is where f
times the density is largest. There the nodes go, and with a = the way in deviations it is

  E f(m + s Z) = E f(m + s (Z + a)) e^{-a Z - a^2 / 2}.

The slope of log |f| is read off the values of f, once, as a line in |u|.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

from stochastic_net._types import Array

_STEP, _END = 0.25, 60.0
_LEAST = 1e-36  # a value that has its digits
_STEEP = 0.5  # the slope of log |f| from which on it is a tail
_LONG = 8  # steps
_MOVED = 0.9  # the change of log |f| over a deviation from which on nodes are moved
_POWER = 1.5  # they go between the mass of f and that of f^2

_AWAY = np.arange(_STEP, _END, _STEP)
TRIED = np.concatenate([-_AWAY, _AWAY])  # places where values are asked for


class Tail(NamedTuple):
    """log |f| falls by `slope` + `bend` |u| where `side` u > `start`."""

    side: float
    start: float
    slope: float
    bend: float


def tails_of(values: np.ndarray, reach: float) -> tuple[Tail, ...]:
    """Those of a function that move nodes up to the deviation `reach`, from values at `TRIED`."""
    sides = zip((-1.0, 1.0), np.split(values, 2), strict=True)
    return tuple(tail for side, x in sides if (tail := _tail(side, np.abs(x), reach)))


def _tail(side: float, size: np.ndarray, reach: float) -> Tail | None:
    known = np.flatnonzero(size > _LEAST)
    if known.size == 0:
        return None
    size, away = size[: known[-1] + 1], _AWAY[: known[-1]] + _STEP / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        falls = -np.diff(np.log(size)) / _STEP
    gentle = np.flatnonzero(~((falls > _STEEP) & np.isfinite(falls)))
    first = gentle[-1] + 1 if gentle.size else 0
    if falls.size - first < _LONG or falls[first:].max() * reach < _MOVED:
        return None
    bend, slope = np.polyfit(away[first:], falls[first:], 1)
    if bend < 0.01:
        bend, slope = 0.0, falls[first:].mean()
    return Tail(side, float(away[first]), float(slope), float(bend))


def log_slope(tails: tuple[Tail, ...], mean: Array) -> tuple[Array, Array]:
    """The slope of log |f| where that is a tail, else 0, and by how much it falls."""
    found, falls = jnp.zeros_like(mean), jnp.zeros_like(mean)
    for side, start, slope, bend in tails:
        away = side * mean
        inside = away > start
        found = jnp.where(inside, -side * (slope + bend * away), found)
        falls = jnp.where(inside, np.asarray(bend, mean.dtype), falls)
    return found, falls


def steep(tails: tuple[Tail, ...], mean: Array, var: Array) -> Array:
    """Where the nodes are moved."""
    return var * jnp.square(log_slope(tails, mean)[0]) > _MOVED**2


def moved(tails: tuple[Tail, ...], mean: Array, var: Array) -> Array:
    """By how many deviations."""
    slope, falls = log_slope(tails, mean)
    far = _POWER * jnp.sqrt(var) * slope / (1 + _POWER * falls * var)
    return lax.stop_gradient(jnp.where(steep(tails, mean, var), far, 0.0))
