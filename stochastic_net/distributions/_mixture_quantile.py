"""Draws of a mixture as quantiles: for a fixed key they are smooth in weights and components.

A number is where the mixture's cdf reaches a uniform number, in a coordinate that opens the support
and spans every scale. The elements of a vector follow in order, each in the mixture that the
elements before leave.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from stochastic_net._types import Array, Key
from stochastic_net.distributions._support import Support, positive, unit_interval
from stochastic_net.distributions._survival import survival
from stochastic_net.random._inverse import quantile
from stochastic_net.random._stream import stream
from stochastic_net.random._tails import both_tails


class Coordinate(NamedTuple):
    """The value at a y, and the logarithm of its slope there."""

    value: Callable[[Array], Array]
    log_slope: Callable[[Array], Array]


def draw_quantile(key: Key, logits: Array, components: Any, support: Support) -> Array:
    """Without derivatives, for logits of shape (..., K) and components (..., K) or (..., K, D)."""
    vector = len(components.shape) > logits.ndim
    shape = logits.shape[:-1] + components.shape[logits.ndim :]
    u, complement = both_tails(*stream(key, shape)(0), components.dtype)
    coordinate = _coordinate(support)
    if not vector:
        return _solve(u, complement, logits, components, coordinate)

    def element(weights: Array, inputs: tuple) -> tuple[Array, Array]:
        u, complement, part = inputs
        z = _solve(u, complement, weights, part, coordinate)
        return weights + part.log_prob(_wide(z, weights)), z

    parts = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, -1, 0), components)
    masses = jnp.moveaxis(u, -1, 0), jnp.moveaxis(complement, -1, 0)
    return jnp.moveaxis(lax.scan(element, logits, (*masses, parts))[1], 0, -1)


def _solve(u: Array, complement: Array, logits: Array, part: Any, coordinate: Coordinate) -> Array:
    weights = jax.nn.softmax(logits)

    def tails(y: Array) -> tuple[Array, Array]:
        z = _wide(coordinate.value(y), logits)
        return (weights * part.cdf(z)).sum(-1), (weights * survival(part, z)).sum(-1)

    def log_density(y: Array) -> Array:
        log_density = jax.nn.log_softmax(logits) + part.log_prob(_wide(coordinate.value(y), logits))
        return jax.nn.logsumexp(log_density, -1) + coordinate.log_slope(y)

    edge = jnp.full_like(u, math.log(float(jnp.finfo(u.dtype).max)) - 1.5)
    return coordinate.value(quantile(tails, log_density, u, complement, -edge, edge))


def _wide(z: Array, logits: Array) -> Array:
    return jnp.broadcast_to(z[..., None], logits.shape)


def _coordinate(support: Support) -> Coordinate:
    if support is positive:
        return Coordinate(jnp.exp, lambda y: y)
    if support is unit_interval:
        return Coordinate(jax.nn.sigmoid, lambda y: -jax.nn.softplus(y) - jax.nn.softplus(-y))
    return Coordinate(jnp.sinh, lambda y: jnp.logaddexp(y, -y) - math.log(2))
