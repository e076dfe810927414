"""Primitives that JAX's public list leaves out, read off programs of public functions."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive


def _last(function: Callable) -> Primitive:
    """The last primitive of a function of two numbers."""
    return jax.make_jaxpr(function)(jax.ShapeDtypeStruct((2,), "float32")).eqns[-1].primitive


split_p = _last(lambda x: lax.split(x, (1, 1)))
stack_p = _last(lambda x: jnp.stack([x, x]))
tile_p = _last(lambda x: jnp.tile(x, 2))
