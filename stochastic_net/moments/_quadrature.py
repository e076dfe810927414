r"""E and Var of a function of a Gaussian by quadrature that is accurate at every deviation.

A fixed rule in units of the deviation s misses what a function does near 0 when s is large:
32 Gauss-Hermite nodes are wrong by 9e-2 for tanh at s = 10. Where s > 1 the function is split,

  f(u) = l(u) + r(u),    l(u) = a_- u + b_- below 0 and a_+ u + b_+ above,

into its asymptotes, whose moments are closed, and a rest that dies away, integrated where it lives.
The asymptotes are read off f at 20 and 40 and believed where 60 agrees; where they are not (a
square, a sine), l is 0 and the nodes span the Gaussian, as they do for s < 1. Below s = 1e-3 it is
Taylor's theorem. Two panels meet at 0, where kinks are, if that is within reach.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from stochastic_net._types import Array
from stochastic_net.moments._kink import positive_part, relu
from stochastic_net.moments._tail import standard
from stochastic_net.moments._tape import Moments

Function = Callable[[Array], Array]

_NODES = 14  # in each of the two panels
_REACH = 6.0  # deviations; 2e-9 of the mass lies beyond
_NEAR = 4.0  # deviations within which the panels meet at 0
_EDGE = 20.0  # where a function is at its asymptotes
_NARROW, _WIDE = 1e-3, 1.0  # the deviations where the three ways meet


def expectation(function: Function, mean: Array, var: Array) -> Moments:
    """E f(u) and Var f(u) for u ~ N(mean, var), elementwise, for an elementwise f."""
    narrow = var < _NARROW**2
    point = jnp.where(narrow, mean, 0.0)
    spread_mean, spread_var = _by_nodes(
        function, jnp.where(narrow, 0.0, mean), jnp.where(narrow, 1.0, var)
    )
    taylor_mean, taylor_var = _taylor(function, point, jnp.where(narrow, var, 0.0))
    out_mean = jnp.where(narrow, taylor_mean, spread_mean)
    return out_mean, jnp.where(narrow, taylor_var, jnp.maximum(spread_var, 0.0))


def _taylor(function: Function, mean: Array, var: Array) -> Moments:
    def slope(u: Array) -> Array:
        return jax.jvp(function, (u,), (jnp.ones_like(u),))[1]

    first, second = jax.jvp(slope, (mean,), (jnp.ones_like(mean),))
    bend = second * var
    return function(mean) + 0.5 * bend, jnp.square(first) * var + 0.5 * jnp.square(bend)


def _by_nodes(function: Function, mean: Array, var: Array) -> Moments:
    scale = jnp.sqrt(var)
    line = _asymptotes(function, scale)
    edge = jnp.where(line.believed, _EDGE, jnp.inf)
    low = jnp.clip(mean - _REACH * scale, -edge, edge)
    high = jnp.clip(mean + _REACH * scale, -edge, edge)
    near = line.believed | (jnp.abs(mean) < _NEAR * scale)
    middle = jnp.clip(jnp.where(near, 0.0, mean), low, high)

    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    v, w = ((nodes + 1) / 2).astype(mean.dtype), (weights / 2).astype(mean.dtype)

    def panel(length: Array, v: np.ndarray, w: np.ndarray) -> tuple[Array, Array]:
        """A node and its mass; denser near the middle where the rest of the function lives."""
        place = jnp.where(line.believed, length * (v * v), length * v)
        step = jnp.abs(jnp.where(line.believed, length * (2 * v * w), length * w))
        u = middle + place
        return u, step * standard_density((u - mean) / scale) / scale

    panels = [jax.vmap(partial(panel, length))(v, w) for length in (low - middle, high - middle)]
    u, mass = (jnp.concatenate(parts) for parts in zip(*panels, strict=True))

    pivot = jnp.where(line.believed, 0.0, function(mean))
    line_mean, line_var = line.moments(mean, var)

    def terms(u: Array, mass: Array) -> Moments:
        rest = function(u) - line.at(u) - pivot
        return mass * rest, mass * rest * (rest + 2 * (line.at(u) - line_mean))

    first, square = (x.sum(0) for x in jax.vmap(terms)(u, mass))
    return line_mean + pivot + first, line_var + square - first * first


def standard_density(t: Array) -> Array:
    """phi(t), for weights."""
    return jnp.exp(-0.5 * t * t) * np.asarray(1 / np.sqrt(2 * np.pi), t.dtype)


class _Line:
    """a_- u + b_- below 0, a_+ u + b_+ above; 0 where it is not believed."""

    def __init__(self, believed: Array, below: tuple, above: tuple) -> None:
        self.believed = believed
        self.below = tuple(jnp.where(believed, x, 0.0) for x in below)
        self.above = tuple(jnp.where(believed, x, 0.0) for x in above)

    def at(self, u: Array) -> Array:
        slope, shift = (jnp.where(u < 0, b, a) for b, a in zip(self.below, self.above, strict=True))
        return slope * u + shift

    def moments(self, mean: Array, var: Array) -> Moments:
        """Of a_- u + b_- + (d u + j) 1(u > 0)."""
        (slope, shift), (more, jump) = self.below, self.above
        more, jump = more - slope, jump - shift
        up, up_var = relu(mean, var)
        above, below = positive_part(mean, var), positive_part(-mean, var)
        x = standard(mean, var)
        line_var = slope * slope * var + more * more * up_var + jump * jump * above * below
        cross = slope * more * var * above + slope * jump * x.scale * x.density
        return slope * mean + shift + more * up + jump * above, (
            line_var + 2 * (cross + more * jump * up * below)
        )


def _asymptotes(function: Function, scale: Array) -> _Line:
    def side(sign: float) -> tuple[tuple[Array, Array], Array]:
        one, two, three = (function(jnp.full_like(scale, sign * k * _EDGE)) for k in (1, 2, 3))
        slope = (two - one) / (sign * _EDGE)
        error = jnp.abs(three - two - (two - one))
        small = 1e-5 * (jnp.abs(two - one) + jnp.minimum(jnp.abs(one), 1.0)) + 2e-6
        return (slope, one - slope * (sign * _EDGE)), error < small

    (below, low), (above, high) = side(-1.0), side(1.0)
    return _Line((scale > _WIDE) & low & high, below, above)
