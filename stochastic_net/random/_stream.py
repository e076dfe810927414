"""As many random words as each element needs: what a rejection sampler draws from."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike, DTypeLike

from stochastic_net._types import Array, Key, Shape
from stochastic_net.random._elementary import log
from stochastic_net.random._threefry import threefry

Stream = Callable[[ArrayLike], tuple[Array, Array]]


def stream(key: Key, shape: Shape) -> Stream:
    """A function of n: two words of 32 random bits for every element, independent in n.

    The user's key is consumed for 64 bits, which seed Threefry-2x32 with 13 rounds over the counter
    (n, element): the words of an element depend on nothing but the key, n and its place in `shape`,
    so that they are the same under `jit`, `vmap` and any sharding.
    """
    seed = jax.random.bits(key, (2,), jnp.uint32)
    index = flat_index(shape)

    def words(n: ArrayLike) -> tuple[Array, Array]:
        return threefry((seed[0], seed[1]), jnp.asarray(n, jnp.uint32), index, rounds=13)

    return words


def uniforms(words: Stream, n: ArrayLike, dtype: DTypeLike) -> tuple[Array, Array]:
    """The n-th two independent uniform numbers of every element, never 0 or 1.

    The middles of 2^23 equal cells in float32, of 2^52 in float64.
    """
    n = 2 * jnp.asarray(n, jnp.uint32)
    first = words(n)
    if jnp.dtype(dtype) == np.float32:
        return _unit_float(first[0]), _unit_float(first[1])
    return _unit_double(*first), _unit_double(*words(n + np.uint32(1)))


def random_sign(key: Key, like: Array) -> Array:
    """-1 or 1 for every element of `like`, in its dtype."""
    word, _ = stream(key, like.shape)(0)
    return jnp.where(word >> np.uint32(31) == 0, 1, -1).astype(like.dtype)


def log_uniform(words: Stream, n: ArrayLike, dtype: DTypeLike) -> Array:
    """log U for the n-th uniform number of every element, in cells of 2^-32 or finer near U = 0."""
    high, low = words(n)
    wide = high.astype(dtype)
    if jnp.dtype(dtype) == np.float64:
        wide = wide + low.astype(dtype) * 2.0**-32
    return log((wide + 0.5) * np.asarray(2.0**-32, dtype))


def _unit_float(word: Array) -> Array:
    return ((word >> np.uint32(9)).astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-23)


def _unit_double(high: Array, low: Array) -> Array:
    top, bottom = ((word >> np.uint32(6)).astype(np.float64) for word in (high, low))
    return (top * 2.0**26 + bottom + 0.5) * 2.0**-52


def flat_index(shape: Shape, dtype: type[np.unsignedinteger] = np.uint32) -> Array:
    """The place of each element, summed over axes: a sharded axis stays sharded."""
    index = jnp.zeros(shape, dtype)
    for axis in range(len(shape)):
        stride = dtype(math.prod(shape[axis + 1 :]))
        index += lax.broadcasted_iota(dtype, shape, axis) * stride
    return index
