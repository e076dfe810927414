"""A law in the dtype to compute in: what it returns has not been rounded to 16 bits."""

from typing import Any

import jax
import jax.numpy as jnp

from stochastic_net._types import PyTree
from stochastic_net.random import FLOATS, compute_dtype


def widened(law: PyTree) -> PyTree:
    """`law` itself or, if it has parameters of 16 bits, the same law with these as float32."""
    leaves, structure = jax.tree.flatten(law)
    wide = [_wide(leaf) for leaf in leaves]
    if all(new is old for new, old in zip(wide, leaves, strict=True)):
        return law
    return structure.unflatten(wide)


def _wide(leaf: Any) -> Any:
    dtype = jnp.dtype(getattr(leaf, "dtype", jnp.float32))
    return leaf.astype(compute_dtype(dtype)) if dtype in FLOATS and dtype.itemsize == 2 else leaf
