"""E and Var, and their precision: float32 for 16-bit floats, rounded last."""

from collections.abc import Callable
from typing import TypeAlias

import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from stochastic_net._types import Array
from stochastic_net.random import compute_dtype

Moments: TypeAlias = tuple[Array, Array]  # E and Var
Form: TypeAlias = Callable[[Array, Array], Moments]  # from those of u to those of f(u)


def wide(moments: Moments) -> Moments:
    """The moments in the dtype to compute in."""
    mean, var = moments
    dtype = compute_dtype(mean.dtype)
    return mean.astype(dtype), var.astype(dtype)


def rounded(moments: Moments, like: Array) -> Moments:
    """The moments in the dtype of `like`."""
    mean, var = moments
    return mean.astype(like.dtype), var.astype(like.dtype)


def not_negative(x: Array) -> Array:
    """x where rounding has not made it negative; of derivative 1 at 0, where `maximum` has half."""
    return jnp.where(x < 0, jnp.zeros_like(x), x)


def product(x: ArrayLike, y: ArrayLike) -> Array:
    """x @ y as on a CPU: unless it is asked, a GPU rounds float32 factors to ten bits."""
    return jnp.matmul(x, y, precision=lax.Precision.HIGHEST)


def wide_array(x: Array) -> Array:
    """An array in the dtype to compute in."""
    return x.astype(compute_dtype(x.dtype))
