"""Directions that are equally likely."""

import jax.numpy as jnp

from stochastic_net._types import Array


def direction(noise: Array) -> Array:
    """Normal noise of shape (..., d) as a vector of length 1; the first axis where it is all 0."""
    first = jnp.arange(noise.shape[-1]) == 0
    size = abs(noise).max(-1, keepdims=True)
    first = jnp.broadcast_to(first, noise.shape)
    some = jnp.where(size == 0, first.astype(noise.dtype), noise)
    return some / jnp.sqrt((some * some).sum(-1, keepdims=True))
