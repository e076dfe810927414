"""A few arrays in ascending order, element by element: XLA on CPU sorts a short axis slowly."""

import jax.numpy as jnp

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
