"""The implicit pathwise derivative: a draw that knows how it moves with its parameters."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from stochastic_net._types import Array, PyTree
from stochastic_net.random._fence import once

Partials = Callable[..., tuple[Array, ...]]
Move = Callable[..., Array]


def moving(partials: Partials) -> Move:
    """The function that gives a draw the derivatives dz/dtheta_i = partials(z, *params)[i].

    `move(z, *params)` is z with those derivatives. How z was made has none: what is said of the
    returned number counts, so that second derivatives are those of the formula along the path that
    the draw takes. What else the formula needs and does not move is passed on as `fixed`. All
    arrays have one shape and dtype.
    """

    @jax.custom_jvp
    def attached(z_fixed: tuple[Array, PyTree], *params: Array) -> Array:
        del params
        return z_fixed[0]

    def jvp(primals, tangents):
        z = attached(*primals)  # not the primal itself: it moves with the parameters
        fixed = primals[0][1]
        slopes = partials(z, *primals[1:], **({} if fixed is None else {"fixed": fixed}))
        moved = [
            slope * tangent
            for slope, tangent in zip(slopes, tangents[1:], strict=True)
            if not isinstance(tangent, SymbolicZero)
        ]
        return z, sum(moved, start=jnp.zeros_like(z))

    attached.defjvp(jvp, symbolic_zeros=True)

    @functools.wraps(partials)
    def move(z: Array, *params: Array, fixed: PyTree = None) -> Array:
        z, fixed = jax.lax.stop_gradient((z, fixed))
        return attached((once(z), fixed), *params)

    return move


@jax.custom_jvp
def exponential(value: Array, exponent: Array) -> Array:
    """`value`, as a number proportional to e^exponent: so are its derivatives of every order.

    For what is known more exactly than from its exponent, of which only the derivatives are used.
    """
    del exponent
    return value


@exponential.defjvp
def _exponential_jvp(primals, tangents):
    value = exponential(*primals)
    return value, value * tangents[1]


def finite(x: Array) -> Array:
    """`x`, with the largest numbers for infinite ones: of draws as large as their dtype allows."""
    largest = jnp.finfo(x.dtype).max
    return jnp.clip(x, -largest, largest)
