"""Standard draws by inverse cdf, right to the last digit in both tails."""

import math

import jax.numpy as jnp
from jax.typing import DTypeLike

from stochastic_net._types import Array, Key, Shape
from stochastic_net.random._fence import once
from stochastic_net.random._stream import stream
from stochastic_net.random._tails import signed_tail


def uniform_tail(key: Key, shape: Shape, dtype: DTypeLike) -> Array:
    """The smaller of u and 1 - u of uniform numbers on (0, 1), with a sign: positive if it is u.

    Of 64 random bits an element, as fine as floats are at both ends. A float32 of 23 random bits,
    as `jax.random.uniform` makes them, has no value between 0 and 1.2e-7, nor between 1 - 1.2e-7
    and 1: an inverse cdf turns that into missing tails and infinities.
    """
    return once(signed_tail(*stream(key, shape)(0), dtype))


def exponential(key: Key, shape: Shape, dtype: DTypeLike) -> Array:
    """Exponential draws of rate 1, from 3e-20 to 45: never 0."""
    tail = uniform_tail(key, shape, dtype)
    return -jnp.where(tail < 0, jnp.log1p(tail), jnp.log(jnp.abs(tail)))


def gumbel(key: Key, shape: Shape, dtype: DTypeLike) -> Array:
    """Standard Gumbel draws."""
    return -jnp.log(exponential(key, shape, dtype))


def laplace(key: Key, shape: Shape, dtype: DTypeLike) -> Array:
    """Standard Laplace draws."""
    tail = uniform_tail(key, shape, dtype)
    return jnp.copysign(jnp.log(2 * jnp.abs(tail)), -tail)


def logistic(key: Key, shape: Shape, dtype: DTypeLike) -> Array:
    """Standard logistic draws."""
    tail = uniform_tail(key, shape, dtype)
    near = jnp.abs(tail)
    return jnp.copysign(jnp.log1p(-near) - jnp.log(near), -tail)


def cauchy(key: Key, shape: Shape, dtype: DTypeLike) -> Array:
    """Standard Cauchy draws: finite, out to 1e19."""
    return -1 / jnp.tan(math.pi * uniform_tail(key, shape, dtype))


def between(key: Key, low: Array, high: Array) -> Array:
    """Uniform draws, each reckoned from the nearer end."""
    tail = uniform_tail(key, low.shape, low.dtype)
    step = (0.5 * high - 0.5 * low) * (2 * tail)  # halves, for the width may overflow
    return jnp.where(tail < 0, high, low) + step
