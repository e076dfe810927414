"""A few arrays in ascending order, element by element: XLA on CPU sorts a short axis slowly."""

import jax.numpy as jnp
import numpy as np
from jax import lax

from stochastic_net._types import Array


def ascending(arrays: list[Array]) -> list[Array]:
    """By insertion, each a chain of minima and maxima."""
    done: list[Array] = []
    for new in arrays:
        rest = []
        for old in done:
            rest.append(jnp.minimum(old, new))
            new = jnp.maximum(old, new)
        done = [*rest, new]
    return done


def in_order(x: Array) -> Array:
    """Those along the first axis: neighbours change places, in one pass that is compiled once."""
    count = len(x)
    index = np.arange(count).reshape(-1, *(1,) * (x.ndim - 1))

    def swap(state: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], None]:
        x, odd = state
        is_first = (index % 2 == 0) ^ odd
        alone = ((index == 0) & ~is_first) | ((index == count - 1) & is_first)
        after, before = (jnp.concatenate([x[k:], x[:k]]) for k in (1, -1))
        low, high = jnp.minimum(x, after), jnp.maximum(x, before)
        return (jnp.where(alone, x, jnp.where(is_first, low, high)), ~odd), None

    return lax.scan(swap, (x, jnp.asarray(False)), None, count)[0][0]
