"""The implicit pathwise derivative: a draw that knows how it moves with its parameters."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from stochastic_net._types import Array

Partials = Callable[..., tuple[Array, ...]]
Move = Callable[..., Array]


def moving(partials: Partials) -> Move:
    """The function that gives a draw the derivatives dz/dtheta_i = partials(z, *params)[i].

    `move(z, *params)` is z with those derivatives. How z was made has none: what is said of the
    returned number counts, so that second derivatives are those of the formula along the path that
    the draw takes. All arrays have one shape and dtype.
    """

    @jax.custom_jvp
    def attached(z: Array, *params: Array) -> Array:
        del params
        return z

    def jvp(primals, tangents):
        z = attached(*primals)  # not the primal itself: it moves with the parameters
        slopes = partials(z, *primals[1:])
        moved = [
            slope * tangent
            for slope, tangent in zip(slopes, tangents[1:], strict=True)
            if not isinstance(tangent, SymbolicZero)
        ]
        return z, sum(moved, start=jnp.zeros_like(z))

    attached.defjvp(jvp, symbolic_zeros=True)

    @functools.wraps(partials)
    def move(z: Array, *params: Array) -> Array:
        return attached(jax.lax.stop_gradient(z), *params)

    return move


def finite(x: Array) -> Array:
    """`x`, with the largest numbers for infinite ones: of draws as large as their dtype allows."""
    largest = jnp.finfo(x.dtype).max
    return jnp.clip(x, -largest, largest)
