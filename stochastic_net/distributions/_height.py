r"""The height w = mu . x of a von Mises-Fisher draw x: its law, its draws and their derivative.

Its density is proportional to e^(kappa w) (1 - w^2)^((d - 3)/2). In t = tan(angle / 2), where
w = (1 - t^2)/(1 + t^2), both ends have their full resolution. With z = (1 - w)/2 = t^2/(1 + t^2)
and m = (d - 1)/2 the density of y = logit z = 2 log t is proportional to

  e^-E(y),  E = 2 kappa z - m log(4 z (1 - z)),

which has one peak. The derivative of a draw that leaves its quantile in place is, with M and D the
integrals of e^-E and of |z - z_draw| e^-E over the y below (<) or above (>) the draw,

  dy/dkappa = -2 (M_< D_> + M_> D_<) e^E(draw) / (M_< + M_>)

(implicit reparameterisation, Figurnov, Mohamed & Mnih 2018, arXiv:1805.08498): the mean of z, which
the derivative of the normaliser brings in, is written by the same integrals, and what is left has
one sign. Gauss-Legendre nodes that begin or end at the peak, up to where E has risen from there by
the cut, converge exponentially. They give the normaliser and the moments as well.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

from stochastic_net._types import Array, Key
from stochastic_net.distributions._stable import exp_less_linear
from stochastic_net.random._implicit import moving
from stochastic_net.random._inverse import Coupling, quantile
from stochastic_net.random._quadrature import unit_nodes
from stochastic_net.random._rejection import first_accepted
from stochastic_net.random._stream import stream, uniforms
from stochastic_net.random._tails import both_tails

_CUT = {np.dtype(np.float32): 18.0, np.dtype(np.float64): 40.0}  # e^-E is left out beyond
_NODES = (24, 64)
_HALVINGS = 12


class Point(NamedTuple):
    """A z as its distance x to the end that is ahead, and 1 - x; ahead is z = 0 if sign = -1."""

    x: Array
    rest: Array
    sign: Array


def draw_height(key: Key, kappa: Array, dimension: int, coupling: Coupling = "fast") -> Array:
    """Draw t = tan(angle / 2) > 0; the derivative in kappa is implicit."""

    @moving
    def move(t: Array, kappa: Array) -> tuple[Array]:
        return (-t * fall(t * t, kappa, _order(dimension)),)

    draw = _quantile if coupling == "smooth" else _draw
    return move(draw(key, lax.stop_gradient(kappa), dimension), kappa)


def _order(dimension: int) -> float:
    return 0.5 * (dimension - 1)


def _draw(key: Key, kappa: Array, dimension: int) -> Array:
    """The rejection of Wood (1994, "Simulation of the von Mises Fisher distribution").

    A proposal is the height on the sphere without a preferred direction (Ulrich 1984, "Computer
    generation of distributions on the m-sphere"), of which the odds z / (1 - z) are multiplied by
    b. In h, which is 0 where it is accepted for sure, the ratio of the densities does not cancel.
    """
    words, m = stream(key, kappa.shape), _order(dimension)
    root = jnp.sqrt(kappa * kappa + m * m)
    b = m / (kappa + root)
    shrunk = kappa * (1 + kappa / (root + m)) / (kappa + root)  # 1 - b

    def propose(n: Array) -> Array:
        angle, radius = uniforms(words, 2 * n, kappa.dtype)
        level, _ = uniforms(words, 2 * n + np.uint32(1), kappa.dtype)
        z, rest = _uniform_height(angle, radius, dimension)
        h = (z - rest) * shrunk / (2 * (rest + b * z))
        rejected = jnp.log(level) > 2 * m * (jnp.log1p(h) - h)
        return jnp.where(rejected, jnp.inf, jnp.sqrt(b * (z / rest)))

    unknown = ~jnp.isfinite(kappa)  # a NaN would be rejected for ever
    return first_accepted(lambda n: jnp.where(unknown, jnp.nan, propose(n)))


def _quantile(key: Key, kappa: Array, dimension: int) -> Array:
    """Of one uniform number. A logit y beyond its peak has less than e^(2.5 m - m abs(y)) / m."""
    m = _order(dimension)
    u, complement = both_tails(*stream(key, kappa.shape)(0), kappa.dtype)
    peak = _peak(kappa, m)
    middle, reach = jnp.log(peak.x / peak.rest), 50 / m + 4

    def law(y: Array) -> Sides:
        return _sides(jnp.exp(y), kappa, m)

    y = quantile(
        lambda y: law(y).masses(),
        lambda y: law(y).log_density(),
        u,
        complement,
        middle - reach,
        middle + reach,
    )
    return jnp.exp(0.5 * y)


def _uniform_height(angle: Array, radius: Array, dimension: int) -> tuple[Array, Array]:
    """z and 1 - z of a uniform direction, of two uniform numbers; neither is 0."""
    cosine, sine = jnp.sin(math.pi * (0.5 - angle)), jnp.sin(math.pi * angle)
    if dimension == 2:
        return cosine * cosine, sine * sine
    log_square = jnp.log(radius) * (2 / (dimension - 2))
    r = jnp.sqrt(-jnp.expm1(log_square))
    short = 0.5 * jnp.exp(log_square) / (1 + r)  # (1 - r) / 2
    return short + r * cosine * cosine, short + r * sine * sine


class Sides(NamedTuple):
    """The integrals over y out from a draw and in from it, past the peak, in units of the peak.

    `depth` is how far E has risen from its peak to the draw; of `outer` e^depth has been taken out.
    Moments are of the distance of z to the draw.
    """

    below: Array
    depth: Array
    outer: Array
    outer_moment: Array
    inner: Array
    inner_moment: Array

    def masses(self) -> tuple[Array, Array]:
        """The mass below the draw, and above it."""
        return _swap(self.below, self._outer() / self._total(), self.inner / self._total())

    def log_density(self) -> Array:
        """Of y at the draw."""
        return -self.depth - jnp.log(self._total())

    def slope(self) -> Array:
        """-dlog t/dkappa."""
        return (self.outer * self.inner_moment + self.inner * self.outer_moment) / self._total()

    def _outer(self) -> Array:
        return self.outer * jnp.exp(-self.depth)

    def _total(self) -> Array:
        return self._outer() + self.inner


def fall(odds: Array, kappa: Array, m: float) -> Array:
    """-dlog t/dkappa at the draw with z / (1 - z) = odds."""
    return _sides(odds, kappa, m).slope()


def _sides(odds: Array, kappa: Array, m: float) -> Sides:
    low, high = odds / (1 + odds), 1 / (1 + odds)
    peak = _peak(kappa, m)
    below = low < peak.x
    draw = Point(*_swap(below, low, high), jnp.where(below, -1.0, 1.0).astype(kappa.dtype))
    near = Point(*_swap(below, peak.x, peak.rest), draw.sign)
    far = Point(near.rest, near.x, -near.sign)
    distance = abs(low - peak.x)
    between = jnp.log(near.x / draw.x) + jnp.log(draw.rest / near.rest)
    depth = _climb(near, between, kappa, m)[1]  # of the draw's E over the peak's

    # Three pieces in one array: out from the draw, from the peak to the draw, and the other way.
    # A loop over them keeps XLA on CPU from computing the lengths anew at each node.
    ends = _length(draw, depth, kappa, m), _length(far, 0 * depth, kappa, m)
    out, back = lax.stop_gradient(ends)
    starts = Point(*(jnp.stack(parts) for parts in zip(draw, near, far, strict=True)))
    pieces = starts, jnp.stack((out, between, back))
    mass, moment = lax.map(lambda piece: _integrals(piece[0], piece[1], kappa, m), pieces)
    d_in = (distance * mass[1] - moment[1]) + (distance * mass[2] + moment[2])
    return Sides(below, depth, mass[0], moment[0], mass[1] + mass[2], d_in)


def _swap(below: Array, low: Array, high: Array) -> tuple[Array, Array]:
    return jnp.where(below, low, high), jnp.where(below, high, low)


def _peak(kappa: Array, m: float) -> Point:
    """Where E is least, with z = 0 ahead."""
    root = jnp.sqrt(kappa * kappa + m * m)
    total = kappa + m + root
    return Point(m / total, (kappa + root) / total, -jnp.ones_like(kappa))


def _integrals(start: Point, length: Array, kappa: Array, m: float) -> tuple[Array, Array]:
    """The integrals of e^(E(start) - E) and of the distance to the start times it."""
    mass = moment = jnp.zeros_like(length)
    for node, weight in zip(*_nodes(length.dtype), strict=True):
        step, rise = _climb(start, length * node, kappa, m)
        density = weight * jnp.exp(-rise)
        mass, moment = mass + density, moment + density * step
    return length * mass, length * moment


def _nodes(dtype) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on [0, 1] that are denser near 0, where the peak is."""
    u, weight = unit_nodes(*_NODES, dtype)
    return (u + 3 * u**3) / 4, weight * (1 + 9 * u**2) / 4


def _climb(start: Point, y: Array, kappa: Array, m: float) -> tuple[Array, Array]:
    """How far z has gone, and how far E has risen, where the logit is y ahead."""
    shrink, growth = _logs(start.x, start.rest, y)
    step = -start.x * jnp.expm1(-shrink)
    return step, 2 * kappa * start.sign * step + m * (shrink - growth)


def _logs(x: Array, rest: Array, y: Array) -> tuple[Array, Array]:
    """log(x / u) and log((1 - u) / (1 - x)) at the u whose logit is y below that of x."""
    small = x < 0.5
    step = jnp.log1p(jnp.where(small, x, rest) * jnp.expm1(jnp.where(small, -y, y)))
    return jnp.where(small, y + step, step), jnp.where(small, -step, y - step)


def _length(start: Point, depth: Array, kappa: Array, m: float) -> Array:
    """How far ahead E has risen by the cut, by bisection; it starts `depth` above its least."""
    cut = _CUT[np.dtype(depth.dtype)]
    low = jnp.zeros_like(depth)
    high = (cut + depth) / m + 2.5  # there E is m (high - 2.5) or more above its least
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        inside = _climb(start, middle, kappa, m)[1] < cut
        low, high = jnp.where(inside, middle, low), jnp.where(inside, high, middle)
    return high


class Height(NamedTuple):
    """The law of z on nodes: their distances to its mean, and their probabilities, last axis."""

    log_size: Array  # the logarithm of the integral of e^-E
    mean: Array
    offset: Array
    weight: Array
    sine: Array  # E (1 - w^2)

    @property
    def var(self) -> Array:
        """Of z."""
        return (self.weight * jnp.square(self.offset)).sum(-1)


def height(kappa: Array, dimension: int) -> Height:
    """The law of z = (1 - w) / 2 for this kappa, differentiable in it."""
    m = _order(dimension)
    low = Point(*(lax.stop_gradient(x) for x in _peak(kappa, m)))
    high = Point(low.rest, low.x, -low.sign)
    sides = [_masses(side, kappa, m) for side in (low, high)]
    step, mass, product = (jnp.concatenate(parts, -1) for parts in zip(*sides, strict=True))
    size = mass.sum(-1)
    weight = mass / size[..., None]
    shift = (weight * step).sum(-1)
    least = 2 * kappa * low.x - m * jnp.log(4 * low.x * low.rest)
    offset = step - shift[..., None]
    return Height(
        jnp.log(size) - least, low.x + shift, offset, weight, 4 * (weight * product).sum(-1)
    )


def _masses(start: Point, kappa: Array, m: float) -> tuple[Array, Array, Array]:
    """z less that of the start, its mass, and z (1 - z), on the nodes ahead of the peak."""
    length = lax.stop_gradient(_length(start, jnp.zeros_like(kappa), kappa, m))[..., None]
    node, weight = _nodes(kappa.dtype)
    row = (1,) * kappa.ndim + (-1,)
    y = length * node.reshape(row)
    start = Point(*(jnp.broadcast_to(x[..., None], y.shape) for x in start))
    wide = jnp.broadcast_to(kappa[..., None], y.shape)
    step, rise = _climb(start, y, wide, m)
    shrink, growth = _logs(start.x, start.rest, y)
    product = start.x * start.rest * jnp.exp(growth - shrink)
    return start.sign * step, length * weight.reshape(row) * jnp.exp(-rise), product


def log_size_divergence(p_kappa: Array, q_kappa: Array, p: Height, dimension: int) -> Array:
    """log size(q) - log size(p) + 2 (q - p) E_p z >= 0, exact where the two nearly agree."""
    tilt = -2 * (q_kappa - p_kappa)
    near = abs(tilt) * jnp.sqrt(p.var) < 0.5
    gap = jnp.where(near, tilt, 0.0)[..., None] * p.offset
    close = jnp.log1p((p.weight * exp_less_linear(gap)).sum(-1))
    far = height(q_kappa, dimension).log_size - p.log_size - tilt * p.mean
    return jnp.where(near, close, far)
