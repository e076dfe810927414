"""Which dtypes are drawn, and in which precision."""

import jax.numpy as jnp
from jax.typing import DTypeLike

_PRECISIONS = {
    jnp.dtype(jnp.float16): jnp.dtype(jnp.float32),
    jnp.dtype(jnp.bfloat16): jnp.dtype(jnp.float32),
    jnp.dtype(jnp.float32): jnp.dtype(jnp.float32),
    jnp.dtype(jnp.float64): jnp.dtype(jnp.float64),
}
FLOATS = frozenset(_PRECISIONS)


def compute_dtype(dtype: DTypeLike) -> jnp.dtype:
    """The dtype to draw and compute in: float32 for 16-bit floats, else the dtype itself.

    Raises:
      TypeError: integers, booleans, complex numbers and 8-bit floats.
    """
    precision = _PRECISIONS.get(jnp.dtype(dtype))
    if precision is None:
        raise TypeError(
            f"expected a dtype of float16, bfloat16, float32 or float64, got {jnp.dtype(dtype)}. "
            "Cast first, for example with .astype(jnp.float32)."
        )
    return precision
