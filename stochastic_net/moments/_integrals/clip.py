r"""Mean and variance of a Gaussian clipped to [a, b], a + relu(X - a) - relu(X - b).

X is reflected, where need be, so that its mean m is the nearer to a. In units of the deviation s
let A and B be the distances of m from a and b, d the width b - a, p and q the mass below a and
above b, T_n the tail moments, and y = (E - a) / s. Then

  m < a:   y = T_1(A) - T_1(B),      Var = v (T_2(A) - T_2(B) - 2 d T_1(B) - y^2),
  m >= a:  y = A + T_1(A) - T_1(B),  Var = v (1 - S(A) - S(B) - (T_1(A) - T_1(B))^2)

with S(t) = T_2(t) + 2 t T_1(t). A width that is small against what the density changes over loses
digits there. With the moments M_k of (X - a) / (b - a) between them, by Gauss-Legendre nodes, it is

  y = d (M_1 + q),    Var = (b - a)^2 (M_2 + q - (M_1 + q)^2).

Near the middle c it is E - c that has the digits, the integral of dE/dm from c to m, or, with K the
moment of (X - c) / s between a and b, s (K - (p - q) d / 2). The derivatives are

  dE/dm = M_0,    dE/dv = (phi(A) - phi(B)) / (2 s),    dE/da = p,    dE/db = q,
  dVar/dm = 2 s (p y - q (d - y)) = 2 s ((p - q) M_0 d / 2 + (p + q) K),
  dVar/dv = M_0 - d phi(B) - y (phi(A) - phi(B)),    dVar/da = -2 s p y,  dVar/db = 2 s q (d - y).
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from stochastic_net._types import Array
from stochastic_net.moments._integrals.flat import flat
from stochastic_net.moments._integrals.tail import Standard, standard
from stochastic_net.random._elementary import expm1
from stochastic_net.random._fence import both

_NARROW = 2.0  # the width, in units of what the density changes over, below which nodes are taken
_NEAR = 1.0  # deviations of the mean from the middle
_FAR = 128.0  # deviations; an end beyond is none


def _legendre(count: int) -> list[tuple[float, float]]:
    """Places and weights on [0, 1]."""
    places, weights = np.polynomial.legendre.leggauss(count)
    return list(zip((places + 1) / 2, weights / 2, strict=True))


_PANEL, _MIDDLE = _legendre(7), _legendre(4)


class Clipped(NamedTuple):
    """E and Var, and the distances of E from both ends, which may be less than a digit of it."""

    mean: Array
    var: Array
    from_low: Array
    from_high: Array


def clip(mean: Array, var: Array, low: Array, high: Array) -> Clipped:
    """Of X where it is between `low` and `high`, and of these beyond."""
    shape, rows = mean.shape, flat(mean.shape)
    low, high = (jnp.broadcast_to(x, shape).reshape(rows) for x in (low, high))
    mean, var = (x.reshape(rows) for x in both(mean, var))
    is_low = mean - low <= high - mean
    mean, low, high = (
        jnp.where(is_low, one, other) for one, other in ((mean, -mean), (low, -high), (high, -low))
    )
    reach = _FAR * lax.stop_gradient(standard(mean, var).scale)
    low = jnp.where(jnp.isinf(low), mean - reach, low)
    high = jnp.where(jnp.isinf(high), mean + reach, high)
    first, second, near = _clipped(mean, var, low, high)
    far = high - low - near
    first = jnp.where(is_low, first, -first)
    ends = jnp.where(is_low, near, far), jnp.where(is_low, far, near)
    return Clipped(*(x.reshape(shape) for x in (first, second, *ends)))


class _Panel(NamedTuple):
    """M_0, M_1, M_2, K, phi(A) - phi(B), M_0 - d phi(B) and p - q."""

    mass: Array
    first: Array
    second: Array
    tilt: Array
    drop: Array
    above_end: Array
    skew: Array


class _Place(NamedTuple):
    """A Gaussian as the two ends see it."""

    low: Standard
    high: Standard
    below: Array  # whether the mean is
    width: Array
    narrow: Array  # whether the panel is to be used
    panel: _Panel
    rise: Array  # y


@jax.jit  # traced once
def _place(mean: Array, var: Array, low: Array, high: Array) -> _Place:
    a, b, below = standard(mean - low, var), standard(high - mean, var), mean < low
    width = jnp.minimum((high - low) * a.inverse, _FAR)
    narrow = ~a.point & (width * (1 + jnp.where(below, a.t, 0.0)) < _NARROW)
    panel = _panel(a.density, jnp.where(below, a.t, -a.t), jnp.where(narrow, width, 0.0))
    far = jnp.where(below, 0.0, a.t) + (a.first - b.first)
    rise = jnp.where(narrow, width * (panel.first + b.beyond), far)
    return _Place(a, b, below, width, narrow, panel, rise)


def _panel(density: Array, start: Array, width: Array) -> _Panel:
    """Of the density phi(start) from there on; phi(t) = phi(start) (1 + g) without cancellation."""
    end = expm1(-width * (start + width / 2))
    sums = [jnp.zeros_like(density)] * 5
    for place, weight in _PANEL:
        t = width * place
        g = expm1(-t * (start + t / 2))
        part = place * (1 + g)
        terms = (1 + g, part, place * part, (t - width / 2) * g, g - end)
        sums = [s + weight * x for s, x in zip(sums, terms, strict=True)]
    mass, first, second, tilt, above_end = (width * density * s for s in sums)
    left, right = (lax.erf(math.sqrt(0.5) * x) for x in (start, start + width))
    return _Panel(mass, first, second, tilt, -density * end, above_end, (left + right) / 2)


@jax.custom_jvp
@jax.jit  # traced once
def _clipped(mean: Array, var: Array, low: Array, high: Array) -> tuple[Array, Array, Array]:
    """E, Var and E - low."""
    x = _place(mean, var, low, high)
    a, b, gap = x.low, x.high, x.low.first - x.high.first
    outside = a.second - b.second - 2 * x.width * b.first - x.rise * x.rise
    inside = 1 - (a.second + 2 * a.t * a.first) - (b.second + 2 * b.t * b.first) - gap * gap
    in_panel = x.panel.second + b.beyond - jnp.square(x.panel.first + b.beyond)
    spread = jnp.where(x.narrow, in_panel, jnp.where(x.below, outside, inside))
    unit = jnp.where(x.narrow, jnp.square(high - low), var)
    at_a_point = jnp.where((low < mean) & (mean < high), var, 0.0)
    first = jnp.where(x.below, low + a.scale * x.rise, mean + a.scale * gap)
    first = _from_the_middle(x, mean, low + (high - low) / 2, first)
    first, second = both(first, jnp.where(a.point, at_a_point, unit * jnp.maximum(spread, 0)))
    return first, second, a.scale * x.rise


def _from_the_middle(x: _Place, mean: Array, middle: Array, far: Array) -> Array:
    """E, where that has more digits than `far`."""
    away, half = (middle - mean) * x.low.inverse, x.width / 2
    near = (away < _NEAR) & ~(x.below | x.low.point)
    away, slope = jnp.where(near, away, 0.0), jnp.zeros_like(mean)
    for place, weight in _MIDDLE:
        for side in (half + away * place, half - away * place):
            slope += weight / 2 * lax.erf(side * math.sqrt(0.5))
    in_panel = x.panel.tilt - half * x.panel.skew
    less = jnp.where(x.below, in_panel, -away * slope)
    near |= x.narrow & x.below & (x.low.t < _NEAR)
    return jnp.where(near, middle + x.low.scale * less, far)


@_clipped.defjvp  # pyrefly: ignore[bad-argument-type]
def _clipped_jvp(primals, tangents):
    x = _place(*primals)
    a, b = x.low, x.high
    tail = jnp.where(a.point & (a.t == 0), 0.5, a.beyond)
    p, q = jnp.where(x.below, 1 - tail, tail), b.beyond
    mass = jnp.where(x.narrow, x.panel.mass, jnp.where(x.below, tail - q, 1 - tail - q))
    drop = jnp.where(x.narrow, x.panel.drop, a.density - b.density)
    above_end = jnp.where(x.narrow, x.panel.above_end, mass - x.width * b.density)
    lower, upper = p * x.rise, q * (x.width - x.rise)
    skewed = x.panel.skew * (x.width / 2) * mass + (p + q) * x.panel.tilt
    slopes = (
        both(mass, 2 * a.scale * jnp.where(x.narrow, skewed, lower - upper)),
        both(0.5 * drop * a.inverse, above_end - x.rise * drop),
        both(p, -2 * a.scale * lower),
        both(q, 2 * a.scale * upper),
    )
    first, second = (
        sum(slope * move for slope, move in zip(row, tangents, strict=True))
        for row in zip(*slopes, strict=True)
    )
    return _clipped(*primals), (first, second, first - tangents[2])
