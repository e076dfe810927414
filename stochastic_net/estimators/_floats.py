"""The parameters of a pytree of distributions that have derivatives."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from stochastic_net._types import Array, PyTree


def floats(dist: PyTree) -> tuple[list[Array], Callable[[list[Array]], PyTree]]:
    """The floating leaves, and the function that puts such leaves back."""
    leaves, structure = jax.tree.flatten(dist)
    where = [i for i, x in enumerate(leaves) if jnp.issubdtype(jnp.result_type(x), jnp.floating)]

    def rebuild(moved: list[Array]) -> PyTree:
        everything = dict(enumerate(leaves)) | dict(zip(where, moved, strict=True))
        return structure.unflatten([everything[i] for i in range(len(leaves))])

    return [jnp.asarray(leaves[i]) for i in where], rebuild
