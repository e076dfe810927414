"""Uniform numbers whose distance to 0 and to 1 is known in full: for laws drawn by inversion."""

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from stochastic_net._types import Array
from stochastic_net.random._elementary import reciprocal, root
from stochastic_net.random._fence import once


def both_tails(high: Array, low: Array, dtype: DTypeLike) -> tuple[Array, Array]:
    """(u, 1 - u) from 64 random bits, the smaller of the two never below 2^-65.

    The first bit says which half u is in, the others how far it is from the end of that half.
    """
    return split(once(signed_tail(high, low, dtype)))


def signed_tail(high: Array, low: Array, dtype: DTypeLike) -> Array:
    """The smaller of u and 1 - u, with a sign: positive if it is u."""
    distance = (
        (high & np.uint32(0x7FFFFFFF)).astype(dtype)
        + (low.astype(dtype) + 0.5) * np.asarray(2.0**-32, dtype)
    ) * np.asarray(2.0**-32, dtype)
    return jnp.where(high < np.uint32(0x80000000), distance, -distance)


def split(signed: Array) -> tuple[Array, Array]:
    """(u, 1 - u)."""
    below, distance = signed > 0, jnp.abs(signed)
    return jnp.where(below, distance, 1 - distance), jnp.where(below, 1 - distance, distance)


def normal_quantile_guess(log_tail: Array) -> Array:
    """x >= 0 with log Q(x) near `log_tail` <= log 1/2; the error is below 5e-4.

    Hastings' approximation (Abramowitz & Stegun 26.2.23), a start for one step of Newton's method.
    """
    t = root(-2 * log_tail)
    above = 2.515517 + t * (0.802853 + t * 0.010328)
    below = 1 + t * (1.432788 + t * (0.189269 + t * 0.001308))
    return t - above * reciprocal(below)
