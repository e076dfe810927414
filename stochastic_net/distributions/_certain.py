"""Probabilities of exactly 0 and 1, whose logarithms are infinite and whose derivatives are not.

d log p = dp / p and dp = p d log p take a number in the place of a p of 0, always the same one, so
that the two cancel to dp. A second derivative at 0 this does not give.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from stochastic_net._types import Array
from stochastic_net.distributions._stable import logit

Function = Callable[[Array], Array]


def _moves_by(slope: Callable[[Array, Array], Array]) -> Callable[[Function], Function]:
    """Give the decorated elementwise function the derivative `slope(value, x)`."""

    def give(function: Function) -> Function:
        moving = jax.custom_jvp(function)
        moving.defjvps(lambda tangent, value, x: slope(value, x) * tangent)
        return moving

    return give


def _stand_in(dtype: DTypeLike) -> float:
    """Small enough to be 0 beside anything else; its square is 0, and 1 over that no number."""
    return 2.0**-600 if jnp.dtype(dtype) == jnp.float64 else 2.0**-100


def _unless(absent: Array, p: Array) -> Array:
    return jnp.where(absent, _stand_in(p.dtype), p)


@_moves_by(lambda _, p: 1 / _unless(p == 0, p))
def log_of_probs(probs: Array) -> Array:
    """log(p), with a derivative at 0 for the functions below."""
    return jnp.log(probs)


@_moves_by(lambda _, p: 1 / _unless((p == 0) | (p == 1), p * (1 - p)))
def log_odds_of_probs(probs: Array) -> Array:
    """log(p / (1 - p)), with a derivative at 0 and 1."""
    return logit(probs)


@_moves_by(lambda p, log_p: _unless(log_p == -jnp.inf, p))
def exp_log(log_p: Array) -> Array:
    """e^log_p, with a derivative at -inf."""
    return jnp.exp(log_p)


@_moves_by(lambda _, t: _unless(t == -jnp.inf, jax.nn.sigmoid(t)))
def softplus(t: Array) -> Array:
    """log(1 + e^t), with a derivative at -inf."""
    return jax.nn.softplus(t)


@_moves_by(lambda p, t: _unless(jnp.isinf(t), p * sigmoid(-t)))
def sigmoid(t: Array) -> Array:
    """1 / (1 + e^-t), with a derivative at infinite t."""
    return jax.nn.sigmoid(t)


def softmax(logits: Array) -> Array:
    """The weights along the last axis, with derivatives where they are 0."""
    return exp_log(log_softmax(logits))


@jax.custom_jvp
def log_softmax(logits: Array) -> Array:
    """The logarithms of the weights along the last axis, with derivatives where these are 0."""
    return jax.nn.log_softmax(logits)


@log_softmax.defjvp
def _log_softmax_jvp(primals, tangents):
    (logits,) = primals
    log_p = log_softmax(logits)
    # The smallest weight may be larger, or 0, if the logits are no logarithms of probabilities.
    size = jnp.exp(-jnp.clip(jax.nn.logsumexp(logits, -1, keepdims=True), -20.0, 80.0))
    absent = _stand_in(logits.dtype) * jnp.broadcast_to(size, logits.shape)
    weights = jnp.where(logits == -jnp.inf, absent, jnp.exp(log_p))
    mean = (weights * tangents[0]).sum(-1, keepdims=True)
    return log_p, tangents[0] - jnp.broadcast_to(mean, logits.shape)
