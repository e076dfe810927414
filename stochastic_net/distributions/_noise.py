"""Standard draws by inverse cdf, right to the last digit in both tails."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from stochastic_net._types import Array, Key, Shape


class TwoSided(NamedTuple):
    """A uniform number on (0, 1) as its distance to the nearer end, and whether that is 1."""

    tail: Array
    upper: Array


def two_sided_uniform(key: Key, shape: Shape, dtype: DTypeLike) -> TwoSided:
    """64 random bits an element: the distance to either end is as fine as floats are there.

    A float32 of 23 random bits, as `jax.random.uniform` makes them, has no value between 0 and
    1.2e-7, nor between 1 - 1.2e-7 and 1: an inverse cdf turns that into missing tails and
    infinities.
    """
    # XLA compiles a draw in three or more dimensions 5 to 30 times slower. The leading axis stays,
    # so that the draw can be sharded over the batch.
    flat = shape if len(shape) <= 2 else (shape[0], math.prod(shape[1:]))
    high, low = (jax.random.bits(k, flat, jnp.uint32) for k in jax.random.split(key))
    coarse = (high >> jnp.uint32(1)).astype(dtype) * 2.0**-32
    tail = coarse + (low.astype(dtype) + 0.5) * 2.0**-64
    return TwoSided(tail.reshape(shape), ((high & jnp.uint32(1)) == 1).reshape(shape))


def exponential(key: Key, shape: Shape, dtype: DTypeLike) -> Array:
    """Exponential draws of rate 1, from 3e-20 to 45: never 0."""
    u = two_sided_uniform(key, shape, dtype)
    return -jnp.where(u.upper, jnp.log1p(-u.tail), jnp.log(u.tail))


def gumbel(key: Key, shape: Shape, dtype: DTypeLike) -> Array:
    """Standard Gumbel draws."""
    return -jnp.log(exponential(key, shape, dtype))


def laplace(key: Key, shape: Shape, dtype: DTypeLike) -> Array:
    """Standard Laplace draws."""
    u = two_sided_uniform(key, shape, dtype)
    return _signed(u, -jnp.log(2 * u.tail))


def logistic(key: Key, shape: Shape, dtype: DTypeLike) -> Array:
    """Standard logistic draws."""
    u = two_sided_uniform(key, shape, dtype)
    return _signed(u, jnp.log1p(-u.tail) - jnp.log(u.tail))


def cauchy(key: Key, shape: Shape, dtype: DTypeLike) -> Array:
    """Standard Cauchy draws: finite, out to 1e19."""
    u = two_sided_uniform(key, shape, dtype)
    return _signed(u, 1 / jnp.tan(math.pi * u.tail))


def between(key: Key, low: Array, high: Array) -> Array:
    """Uniform draws, each reckoned from the nearer end."""
    u = two_sided_uniform(key, low.shape, low.dtype)
    step = (0.5 * high - 0.5 * low) * (2 * u.tail)  # halves, for the width may overflow
    return jnp.where(u.upper, high - step, low + step)


def _signed(u: TwoSided, size: Array) -> Array:
    return jnp.where(u.upper, size, -size)
