r"""Mean and variance of a softmax of independent Gaussian logits: an integral over one number.

With S = sum_j e^{x_j} and 1/S = int_0^inf e^{-t S} dt the logits come apart: for t = e^s,

  E p_i   = int H_i(s) prod_{j != i} G_j(s) ds,    E p_i^2 = int K_i(s) prod_{j != i} G_j(s) ds,
  G = E exp(-e^{x + s}),    H = E e^{x + s} exp(-e^{x + s}),    K = E e^{2 (x + s)} exp(-e^{x + s}),

which is exact for every variance; the trapezoidal rule converges exponentially for both the line of
s and the Gaussian of x. For a wide Gaussian it is the density g(y) = e^y exp(-e^y) that is narrow:
G = int P(x + s < y) g(y) dy, and H and K likewise with the density of x + s at y.

A published mean-field form is wrong by 0.06 in the mean at logits of deviation 3 (Daunizeau 2017,
arXiv:1703.00091), the log-normal ratio by a factor of 400 in the variance.

In a jaxpr a softmax has no name: it is e / sum(e) for e = exp(x - stop_gradient(max(x))). A shift
by a `stop_gradient` of the largest is taken as the constant that its author says it may be.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from stochastic_net._types import Array
from stochastic_net.moments._precision import rounded, wide
from stochastic_net.moments._tape import Moments, node
from stochastic_net.moments._values import Line

_OUTER, _INNER = 48, 32  # nodes of s, and of x
_SPAN = 5.5  # deviations of x
_SMALL = 0.05  # deviations below which the variance is that of the linear part
_WIDE = 1.5  # deviations above which the Gumbel law is the narrower
_PEAK = 1 / math.sqrt(2 * math.pi)  # phi(0)
_LEFT, _RIGHT = 15.0, 3.5  # of s, beyond where 1 / S lies: e^s and e^{-e^s} have died away


def softmax(mean: Array, var: Array, axes: tuple[int, ...]) -> Moments:
    """E and Var of softmax over `axes`, elementwise."""
    first, second, _ = integrals(mean, var, axes)
    small_var = _explained(first, var, axes)
    far = jnp.maximum(second - first * first, 0.0)
    small = _scale(var).max(axes, keepdims=True) < _SMALL
    return first, jnp.where(small, small_var, far)


def integrals(mean: Array, var: Array, axes: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """E p and E p^2 elementwise, and E log S over `axes`, which are kept with size 1.

    The last is -gamma - a - int_a^inf prod_j G_j(s) ds for an a where the product is still 1.
    """
    scale = _scale(var)
    count = math.prod(mean.shape[axis] for axis in axes)
    most = (mean + 4 * scale).max(axes, keepdims=True) + math.log(count)
    least = (mean - 4 * scale).max(axes, keepdims=True)
    low, high = lax.stop_gradient((-most - _LEFT, -least + _RIGHT))
    step = (high - low) / (_OUTER - 1)

    def at(total: tuple[Array, ...], k: Array) -> tuple[tuple[Array, ...], None]:
        g, h, k2 = _expectations(mean + (low + k * step), scale)
        log_g = jnp.log(jnp.maximum(g, jnp.finfo(g.dtype).tiny))
        log_product = log_g.sum(axes, keepdims=True)
        others = jnp.exp(log_product - log_g) * step
        share = step * jnp.where(k == 0, 0.5, 1.0).astype(step.dtype)
        parts = (others * h, others * k2, share * jnp.exp(log_product))
        return tuple(t + x for t, x in zip(total, parts, strict=True)), None

    zeros = jnp.zeros_like(mean), jnp.zeros_like(mean), jnp.zeros_like(low)
    outer = jnp.arange(_OUTER, dtype=mean.dtype)
    (first, second, area), _ = lax.scan(jax.checkpoint(at), zeros, outer)
    return first, second, -low - area - np.asarray(np.euler_gamma, mean.dtype)


def _expectations(mean: Array, scale: Array) -> tuple[Array, Array, Array]:
    """G, H and K of Gaussian exponents, on the nodes of x or, where those are wide, of y."""
    eps, y = (np.linspace(*ends, _INNER) for ends in ((-_SPAN, _SPAN), (-_LEFT, _RIGHT)))
    weight, gumbel = np.exp(-0.5 * eps**2), np.exp(y - np.exp(y))
    nodes = eps, weight / weight.sum(), y, gumbel / gumbel.sum()
    wide = scale > _WIDE
    inverse = jnp.where(wide, 1 / jnp.where(wide, scale, 1.0), 0.0)

    def add(sums: tuple, node: tuple) -> tuple[tuple, None]:
        e, w, y, mass = node
        size = jnp.exp(jnp.minimum(mean + scale * e, 60.0))
        g = w * jnp.exp(-size)
        t = (y - mean) * inverse
        below = 0.5 * (1 + lax.erf(t * np.asarray(math.sqrt(0.5), t.dtype)))
        peak = mass * inverse * jnp.exp(-0.5 * t * t) * np.asarray(_PEAK, t.dtype)
        of_x, of_y = (g, g * size, g * size * size), (mass * below, peak, peak * jnp.exp(y))
        terms = (jnp.where(wide, b, a) for a, b in zip(of_x, of_y, strict=True))
        return tuple(s + x for s, x in zip(sums, terms, strict=True)), None

    nodes = tuple(np.asarray(x, mean.dtype) for x in nodes)
    return lax.scan(add, (jnp.zeros_like(mean),) * 3, nodes)[0]


def _scale(var: Array) -> Array:
    return jnp.where(var > 0, jnp.sqrt(jnp.where(var > 0, var, 1.0)), 0.0)


def _explained(p: Array, var: Array, axes: tuple[int, ...]) -> Array:
    """sum_j (dp_i/dx_j)^2 v_j = p_i^2 ((1 - 2 p_i) v_i + sum_j p_j^2 v_j)."""
    return p * p * jnp.maximum((1 - 2 * p) * var + (p * p * var).sum(axes, keepdims=True), 0)


def softmax_node(line: Line, axes: tuple[int, ...]) -> Moments:
    """The softmax of a line, as a node of the program."""
    like, _ = line.moments()
    mean, var = wide(line.moments())
    first, second = softmax(mean, var, axes)
    rest = second - _explained(first, var, axes)
    return node(*rounded((first, second), like), lambda: rest.astype(like.dtype))
