"""The integrals of softmax at 28 nodes, one after another: for any logits, in little memory."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from stochastic_net._types import Array
from stochastic_net.moments._integrals.laplace import laplace
from stochastic_net.moments._integrals.softmax_rest import likeliest, second_of_rest
from stochastic_net.random._elementary import log1p

_NODES = 28
_LEFT, _RIGHT = 18.0, 3.2  # of s, beyond where U lies: s^2 e^s and e^{-e^s} have died away
_WIDTHS = 7  # that the range of log S has, of the unit w of the nodes


def by_nodes(
    mean: Array, var: Array, low: Array, high: Array, axes: tuple[int, ...]
) -> tuple[Array, ...]:
    """The integrals, for log S between `low` and `high`."""
    nodes, widths, gamma = *_nodes(low, high), jnp.asarray(np.euler_gamma, mean.dtype)
    top = likeliest(mean, axes)
    centre = gamma + lax.stop_gradient(jax.nn.logsumexp(mean, axes, keepdims=True))

    def at(total: tuple[Array, ...], node: tuple) -> tuple[tuple[Array, ...], None]:
        s, width = node
        away, t1, t2 = laplace(3, mean + s, var)
        log_t0 = log1p(-jnp.minimum(away, 1 - jnp.finfo(away.dtype).eps))
        others = jnp.exp(log_t0.sum(axes, keepdims=True) - log_t0) * width
        first, place = others * t1, s + centre
        moment = place * first.sum(axes, keepdims=True)  # of the density of U
        rest = second_of_rest(top, log_t0, t1, t2, axes) * width
        parts = (first, others * t2, rest, moment, place * moment)
        return tuple(t + x for t, x in zip(total, parts, strict=True)), None

    zeros = (*(jnp.zeros_like(mean),) * 2, *(jnp.zeros_like(centre),) * 3)
    (first, second, rest, one, two), _ = lax.scan(jax.checkpoint(at), zeros, (nodes, widths))
    return first, second, rest, centre - gamma - one, two - one * one - math.pi**2 / 6


def _nodes(low: Array, high: Array) -> tuple[Array, Array]:
    """Places s, and the length that each stands for, along a first axis.

    s = w (u - e^{-u}) - high on equal steps of u: the tail e^s on the left is long and tame.
    """
    width = jnp.hypot((high - low) / _WIDTHS, 1.0)
    first, last = _inverse(
        jnp.stack([jnp.full_like(low, -_LEFT), high - low + _RIGHT]) / width[None]
    )
    step = (last - first) / (_NODES - 1)
    k = jnp.arange(_NODES, dtype=low.dtype).reshape(-1, *(1,) * low.ndim)
    u = first[None] + k * step[None]
    decay = jnp.exp(-u)
    return width[None] * (u - decay) - high[None], (width * step)[None] * (1 + decay)


def _inverse(t: Array) -> Array:
    """u with u - e^{-u} = t, nearly, by Newton's steps."""

    def nearer(_: int, u: Array) -> Array:
        decay = jnp.exp(-u)
        return u - (u - decay - t) / (1 + decay)

    start = jnp.where(t < 0, -jnp.log1p(jnp.maximum(-t, 0)), t)
    return lax.fori_loop(0, 4, nearer, start)
