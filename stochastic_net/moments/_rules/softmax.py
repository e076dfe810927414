r"""Softmax and log-sum-exp of independent Gaussian logits: integrals over one number.

With S = sum_j e^{x_j} and 1/S = int_0^inf e^{-t S} dt the logits come apart: for t = e^s, and
T_k(s) = E e^{k (x + s)} exp(-e^{x + s}) of each,

  E p_i   = int T_1i(s) prod_{j != i} T_0j(s) ds,
  E p_i^2 = int T_2i(s) prod_{j != i} T_0j(s) ds,

exact for every variance. The sum over i of the first integrand is the density of U = log W - log S
for an exponential W, so that E log S = E log W - E U and Var log S = Var U - pi^2 / 6.

A published mean-field form is wrong by 0.06 in the mean at logits of deviation 3 (Daunizeau 2017,
arXiv:1703.00091), the log-normal ratio by a factor of 400 in the variance.

In a jaxpr a softmax has no name: it is e / sum(e) for e = exp(x - stop_gradient(max(x))). A shift
by a `stop_gradient` of the largest is taken as the constant that its author says it may be.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from stochastic_net._types import Array
from stochastic_net.moments._integrals.laplace import deviation, laplace
from stochastic_net.moments._integrals.precision import Moments, rounded, wide
from stochastic_net.moments._program.tape import node
from stochastic_net.moments._program.values import Line
from stochastic_net.random._elementary import log1p

_NODES = 28
_LEFT, _RIGHT = 18.0, 3.2  # of s, beyond where U lies: s^2 e^s and e^{-e^s} have died away
_SPAN = 3.5  # deviations of log S to either side
_WIDTHS = 7  # that this range has, of the unit w of the nodes
_SMALL = 0.05  # deviations below which the variance of p is that of its linear part
_SMALL_SUM = 0.15  # and that of log S of its quadratic part


class Integrals(NamedTuple):
    """E p and E p^2 elementwise; E log S and Var log S with axes of size 1."""

    first: Array
    second: Array
    log_sum: Array
    log_sum_var: Array


def integrals(mean: Array, var: Array, axes: tuple[int, ...]) -> Integrals:
    """Of softmax and log S over `axes`."""
    nodes, widths, gamma = *_nodes(mean, var, axes), jnp.asarray(np.euler_gamma, mean.dtype)
    centre = gamma + lax.stop_gradient(jax.nn.logsumexp(mean, axes, keepdims=True))

    def at(total: tuple[Array, ...], node: tuple) -> tuple[tuple[Array, ...], None]:
        s, width = node
        away, t1, t2 = laplace(3, mean + s, var)
        log_t0 = log1p(-jnp.minimum(away, 1 - jnp.finfo(away.dtype).eps))
        others = jnp.exp(log_t0.sum(axes, keepdims=True) - log_t0) * width
        first, place = others * t1, s + centre
        moment = place * first.sum(axes, keepdims=True)  # of the density of U
        parts = (first, others * t2, moment, place * moment)
        return tuple(t + x for t, x in zip(total, parts, strict=True)), None

    zeros = (*(jnp.zeros_like(mean),) * 2, *(jnp.zeros_like(centre),) * 2)
    (first, second, one, two), _ = lax.scan(jax.checkpoint(at), zeros, (nodes, widths))
    return Integrals(first, second, centre - gamma - one, two - one * one - math.pi**2 / 6)


def _nodes(mean: Array, var: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """Places s, and the length that each stands for, along a first axis.

    s = w (u - e^{-u}) - high on equal steps of u: the tail e^s on the left is long and tame.
    """
    low, high = map(lax.stop_gradient, _range(mean, var, axes))
    width = jnp.hypot((high - low) / _WIDTHS, 1.0)
    first, last = (_inverse(t / width) for t in (jnp.full_like(low, -_LEFT), high - low + _RIGHT))
    step = (last - first) / (_NODES - 1)
    k = jnp.arange(_NODES, dtype=mean.dtype).reshape(-1, *(1,) * mean.ndim)
    u = first[None] + k * step[None]
    decay = jnp.exp(-u)
    return width[None] * (u - decay) - high[None], (width * step)[None] * (1 + decay)


def _inverse(t: Array) -> Array:
    """u with u - e^{-u} = t, nearly, by Newton's steps."""
    u = jnp.where(t < 0, -jnp.log1p(jnp.maximum(-t, 0)), t)
    for _ in range(4):
        decay = jnp.exp(-u)
        u = u - (u - decay - t) / (1 + decay)
    return u


def _range(mean: Array, var: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """Where log S lies: about the log-normal number of the mean and variance of S (Fenton 1960).

    That one is drawn to what is rare and huge, and no bound where it is wide; the largest terms
    are.
    """
    scale = deviation(var)
    count = math.prod(mean.shape[axis] for axis in axes)
    log_mean = jax.nn.logsumexp(mean + var / 2, axes, keepdims=True)
    log_own = 2 * mean + var + _log_expm1(var)
    spread = jnp.logaddexp(jax.nn.logsumexp(log_own, axes, keepdims=True) - 2 * log_mean, 0.0)
    centre, half = log_mean - spread / 2, _SPAN * jnp.sqrt(spread)
    least = (mean - 4 * scale).max(axes, keepdims=True)
    most = (mean + 4 * scale).max(axes, keepdims=True) + math.log(count)
    largest = (mean + _SPAN * scale).max(axes, keepdims=True)
    low = jnp.maximum(centre - half, least)
    return low, jnp.maximum(jnp.minimum(jnp.maximum(centre + half, largest), most), low)


def _log_expm1(x: Array) -> Array:
    return jnp.where(x > 20, x, jnp.log(jnp.expm1(jnp.minimum(x, 20.0))))


def softmax_node(line: Line, axes: tuple[int, ...]) -> Moments:
    """The softmax of a line, as a node of the program."""
    like, _ = line.moments()
    mean, var = wide(line.moments())
    found = integrals(mean, var, axes)
    p = found.first
    explained = p * p * jnp.maximum((1 - 2 * p) * var + _linear(p, var, axes), 0)
    small = deviation(var).max(axes, keepdims=True) < _SMALL
    out = jnp.where(small, explained, jnp.maximum(found.second - p * p, 0.0))
    return node(*rounded((p, out), like), lambda: (out - explained).astype(like.dtype))


class LogSumExp:
    """log sum exp of a line over `axes`: its moments, and those of the line less it."""

    def __init__(self, line: Line, axes: tuple[int, ...]) -> None:
        self.line, self.axes = line, axes
        self._like, _ = line.moments()
        self._mean, self._var = wide(line.moments())
        found = integrals(self._mean, self._var, axes)
        self._p, self._log_sum = found.first, found.log_sum
        self._explained = _linear(self._p, self._var, axes)
        small = deviation(self._var).max(axes, keepdims=True) < _SMALL_SUM
        near = self._explained + _quadratic(self._p, self._var, axes)
        self._log_sum_var = jnp.where(small, near, jnp.maximum(found.log_sum_var, self._explained))

    def node(self) -> Moments:
        """Of log S, without the axes."""
        mean, var = self._log_sum.squeeze(self.axes), self._log_sum_var.squeeze(self.axes)
        return node(*rounded((mean, var), self._like), lambda: self._rest().squeeze(self.axes))

    def log_softmax(self) -> Moments:
        """Of x - log S: Cov(x_i, log S) = v_i E p_i, by Stein's lemma."""
        var = jnp.maximum(self._var * (1 - 2 * self._p) + self._log_sum_var, 0.0)
        rest = jnp.broadcast_to(self._rest(), var.shape)
        return node(*rounded((self._mean - self._log_sum, var), self._like), lambda: rest)

    def _rest(self) -> Array:
        return (self._log_sum_var - self._explained).astype(self._like.dtype)


def _linear(p: Array, var: Array, axes: tuple[int, ...]) -> Array:
    """sum_j p_j^2 v_j, the variance of log S that its slopes explain."""
    return (p * p * var).sum(axes, keepdims=True)


def _quadratic(p: Array, var: Array, axes: tuple[int, ...]) -> Array:
    """sum_ij H_ij^2 v_i v_j / 2 for the second derivatives H = diag(p) - p p^T."""
    linear = _linear(p, var, axes)
    own = (p * p * (1 - 2 * p) * var * var).sum(axes, keepdims=True)
    return 0.5 * jnp.maximum(own + linear * linear, 0.0)
