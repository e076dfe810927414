r"""The beta law at a share x of 1 that is as small, or as near to 1, as one likes.

Below a least share the law is the power x^a, and 1 - x above it the power b: what a float cannot
hold is carried by the logarithm.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from stochastic_net._types import Array
from stochastic_net.random._beta_gradient import (
    beta_tails,
    log_beta_kernel,
    logit_beta_derivatives,
)


class Share(NamedTuple):
    """x and 1 - x, held above the least, and the logarithms (<= 0) of what was lost by that."""

    x: Array
    rest: Array
    lost: Array
    lost_rest: Array


def share(x: Array, rest: Array) -> Share:
    """Of x and 1 - x, neither of them 0."""
    return _held(x, rest, jnp.log(x), jnp.log(rest))


def share_of_logit(logit: Array) -> Share:
    """Of log(x / (1 - x)), the logarithm in which the law has no end."""
    return _held(jax.nn.sigmoid(logit), jax.nn.sigmoid(-logit), logit, -logit)


def share_of_odds(t: Array, unit: Array) -> Share:
    """Of odds x / (1 - x) = (t / unit)^2: the square and the quotient may over- or underflow."""
    near = t < unit
    inverse = jnp.where(near, t / unit, unit / t)
    square = inverse * inverse
    small, large = square / (1 + square), 1 / (1 + square)
    log_odds = 2 * (jnp.log(t) - jnp.log(unit))
    return _held(jnp.where(near, small, large), jnp.where(near, large, small), log_odds, -log_odds)


def tails(a: Array, b: Array, at: Share) -> tuple[Array, Array]:
    """The masses of Beta(a, b) below and above; without derivatives."""
    below, above = beta_tails(a, b, at.x, at.rest)
    below, above = below * jnp.exp(a * at.lost), above * jnp.exp(b * at.lost_rest)
    return jnp.where(at.lost_rest < 0, 1 - above, below), jnp.where(at.lost < 0, 1 - below, above)


def log_density(a: Array, b: Array, at: Share) -> Array:
    """Of the logit."""
    return log_beta_kernel(a, b, at.x, at.rest) + a * at.lost + b * at.lost_rest


def slopes(a: Array, b: Array, at: Share) -> tuple[Array, Array]:
    """How the logit of a draw moves with a and b."""
    by_a, by_b = logit_beta_derivatives(a, b, at.x, at.rest)
    return by_a - at.lost / a, at.lost_rest / b - by_b


def _held(x: Array, rest: Array, log_x: Array, log_rest: Array) -> Share:
    info = jnp.finfo(x.dtype)
    least = float(info.tiny) / float(info.eps)  # with a few digits below it, for products
    lost, lost_rest = (jnp.minimum(log - math.log(least), 0.0) for log in (log_x, log_rest))
    return Share(jnp.maximum(x, least), jnp.maximum(rest, least), lost, lost_rest)
