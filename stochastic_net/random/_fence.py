"""Arrays that XLA computes once.

On a CPU its fusion takes a hundred cheap operations for cheap, and repeats them in every pass that
reads their result: a hash is made ten times in a draw by inversion. A fence is the identity, which
to JAX costs one operation, and is lowered for a CPU to what that fusion does not go through.
"""

import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from stochastic_net._types import Array


def once(x: Array) -> Array:
    """`x`, which XLA on CPU then computes in one pass of its own."""
    return fence_p.bind(x)[0]


def both(x: Array, y: Array) -> tuple[Array, Array]:
    """`x` and `y`, which XLA on CPU then computes in one pass, what they share only once.

    They have one shape and one dtype, float32 or float64.
    """
    x, y = fence_p.bind(x, y)
    return x, y


def shared(x: Array) -> Array:
    """`x`, which one pass of XLA on CPU may read on many paths.

    It makes a pass of its own of a result of two arrays that another pass uses more than once if a
    quotient or a root lies on the way, but not of a maximum with a constant.
    """
    return jnp.maximum(x, jnp.finfo(x.dtype).min)


def _fenced(*xs: Array) -> list[Array]:
    """A pass there has one result; two numbers are one complex number."""
    if len(xs) == 1:
        return [_behind(*xs)]
    pair = _behind(lax.complex(*xs))
    return [lax.real(pair), lax.imag(pair)]


def _behind(x: Array) -> Array:
    """XLA never fuses into a branch, nor knows a predicate behind a barrier before it has fused."""
    never = lax.optimization_barrier(jnp.array(False))
    return lax.cond(never, lax.optimization_barrier, lambda x: x, x)


def _over_a_batch(xs: tuple[Array, ...], axes: tuple) -> tuple[list[Array], list[int]]:
    """The others get the axis of those that have one, which comes first."""
    size = next(x.shape[i] for x, i in zip(xs, axes, strict=True) if i is not None)
    front = [
        jnp.broadcast_to(x, (size, *x.shape)) if i is None else jnp.moveaxis(x, i, 0)
        for x, i in zip(xs, axes, strict=True)
    ]
    return fence_p.bind(*front), [0] * len(xs)


fence_p = Primitive("fence")
fence_p.multiple_results = True
fence_p.def_impl(lambda *xs: list(xs))
fence_p.def_abstract_eval(lambda *xs: list(xs))
ad.deflinear2(fence_p, lambda cotangents, *_: fence_p.bind(*map(ad.instantiate_zeros, cotangents)))
batching.primitive_batchers[fence_p] = _over_a_batch
mlir.register_lowering(fence_p, lambda _, *xs: xs)
mlir.register_lowering(fence_p, mlir.lower_fun(_fenced, multiple_results=True), platform="cpu")
