"""Arrays that XLA computes once."""

import jax.numpy as jnp
from jax import lax

from stochastic_net._types import Array


def once(x: Array) -> Array:
    """`x`, which XLA on CPU then computes in one pass of its own.

    Its fusion takes a hundred cheap operations for cheap, and repeats them in every pass that reads
    their result: a hash is made ten times in a draw by inversion. It never fuses into a branch, and
    a predicate behind a barrier is not known to it before it has fused.
    """

    def fenced(x: Array) -> Array:
        never = lax.optimization_barrier(jnp.array(False))
        return lax.cond(never, lax.optimization_barrier, lambda x: x, x)

    return lax.platform_dependent(x, cpu=fenced, default=lambda x: x)


def shared(x: Array) -> Array:
    """`x`, which one pass of XLA on CPU may read on many paths.

    It makes a pass of its own of a result of two arrays that another pass uses more than once if a
    quotient or a root lies on the way, but not of a maximum with a constant.
    """
    return jnp.maximum(x, jnp.finfo(x.dtype).min)


def both(x: Array, y: Array) -> tuple[Array, Array]:
    """`x` and `y`, which XLA on CPU then computes in one pass, what they share only once.

    A pass there has one result; two numbers are one complex number.
    """

    def packed(x: Array, y: Array) -> tuple[Array, Array]:
        pair = once(lax.complex(x, y))
        return lax.real(pair), lax.imag(pair)

    return lax.platform_dependent(x, y, cpu=packed, default=lambda x, y: (x, y))
