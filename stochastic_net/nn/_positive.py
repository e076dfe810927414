"""A variance that cannot be invalid."""

import jax
import jax.numpy as jnp

from stochastic_net._types import Array
from stochastic_net.random import compute_dtype


def positive(raw: Array, floor: float) -> Array:
    """softplus(raw) + floor, computed in float32 for 16-bit floats; never below the floor."""
    wide = raw.astype(compute_dtype(raw.dtype))
    return (jax.nn.softplus(wide) + jnp.asarray(floor, wide.dtype)).astype(raw.dtype)


def check_floor(floor: float) -> float:
    """`min_var` if it is a variance."""
    if not 0.0 <= floor < float("inf"):
        raise ValueError(f"min_var must be finite and not negative, got {floor}.")
    return floor
