"""Threefry-2x32 with 13 rounds as a key implementation: the same keys, a much faster draw.

Opt in where the key is made; everything in `jax.random` and in this library then draws with it:

  >>> import jax, stochastic_net as sn
  >>> key = jax.random.key(0, impl=sn.random.THREEFRY13)
  >>> key.dtype
  key<fry13>
  >>> jax.random.normal(key, (2, 3)).shape
  (2, 3)

The 32 bits of element i are `x ^ y` for `(x, y) = threefry2x32(key, i)`: JAX's default generator
with 13 rounds in place of 20, unrolled, so that XLA fuses it into the program that uses the draw
(on a CPU, where that pays, into a pass of its own). They depend on nothing but the key and the
element's place: the same under `jit`, `vmap` and any sharding, without communication. Keys are
derived (`jax.random.key`, `split`, `fold_in`) with all 20 rounds. Unlike with JAX's keys,
`split(key)[i]` is not `fold_in(key, i)`.

`sn.random.normal`, and what this library draws by it, makes the bits of such a key normal by a
quicker formula than `jax.random.normal`, of the same numbers but for 6e-6 of each.

Limits:

- A statistical generator, not a cryptographic one. 13 rounds are the fewest that pass TestU01's
  BigCrush (Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3",
  table 2); 20 leave a margin. `benchmarks/key_battery.py` tests the bits as JAX gets them.
- JAX looks up only its own implementations by name: pass the object where `"threefry2x32"` would
  stand. To save a key (Orbax) or export a function of one (`jax.export`), take its words,
  `jax.random.key_data(key)`, and `jax.random.wrap_key_data(words, impl=sn.random.THREEFRY13)`;
  exported shapes must be fixed.
- Without x64 JAX cuts a seed to its lower 32 bits before any implementation sees it.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.random import define_prng_impl, threefry2x32_p

from stochastic_net._types import Array, Shape
from stochastic_net.random._fence import once
from stochastic_net.random._stream import flat_index
from stochastic_net.random._threefry import threefry

# Who asks is written into the top bits of the hash's 64-bit counter (here: of its high word). For a
# given key the hash is a permutation, so that no two children are equal, split or folded, and no
# bits are drawn at a counter that a child was made at. Array places take 2^62 of the counters.
_BITS, _SPLIT, _FOLD_IN, _SEED = (np.uint32(asks << 30) for asks in range(4))
_ROUNDS = 13  # to fill arrays; keys are derived with the cipher's 20
# So many elements are hashed in a pass of their own: in one loop with an inverse error function a
# hash is slower by a fifth than in two, for a processor sees only so far ahead in a long chain.
# Beyond, the operating system hands out such an array page by page, which costs more than that.
_OWN_PASS = range(2**16, 2**23)


def _seed(seed: Array) -> Array:
    """The key of an integer: its 64 bits, hashed, so that seeds 0 and 1 are not neighbours."""
    high = lax.shift_right_logical(seed, jnp.asarray(32, seed.dtype))  # of 32 bits and less: 0
    return _derive(jnp.stack([_SEED, _SEED]), high.astype(np.uint32), seed.astype(np.uint32))


def _split(key: Array, shape: Shape) -> Array:
    """One key for each place in `shape`: `split(key, 9)` begins with `split(key, 2)`."""
    return _derive(key, *_places(shape, _SPLIT))


def _fold_in(key: Array, data: Any) -> Array:
    """The child of `key` that belongs to a number of 32 bits; none of those that `_split` makes."""
    return _derive(key, jnp.asarray(_FOLD_IN), data.astype(np.uint32))


def _random_bits(key: Array, bit_width: int, shape: Shape) -> Array:
    """One hash for each element, of its place in the flattened array: nothing is reshaped."""
    x, y = threefry((key[0], key[1]), *_places(shape, _BITS), rounds=_ROUNDS)
    if bit_width == 64:  # only asked for when x64 is on
        bits = x.astype(np.uint64) << np.uint64(32) | y.astype(np.uint64)
    else:
        bits = (x ^ y).astype(f"uint{bit_width}")
    return once(bits) if bits.size in _OWN_PASS else bits


THREEFRY13 = define_prng_impl(
    key_shape=(2,),
    seed=_seed,
    split=_split,
    random_bits=_random_bits,
    fold_in=_fold_in,
    name="threefry13",
    tag="fry13",
)


def _derive(key: Array, high: Array, low: Array) -> Array:
    """The keys that the safe hash of `key` has at the counters (high, low).

    By JAX's own hash, which XLA fuses with nothing on CPU: a hash fused into the hash that uses its
    words takes JAX 0.12 minutes to compile, and keys are few.
    """
    # Stacked, for under vmap JAX's hash wants both words of a counter mapped, or neither.
    high, low = jnp.stack(jnp.broadcast_arrays(high, low))
    return jnp.stack(threefry2x32_p.bind(key[0], key[1], high, low), axis=-1)


def _places(shape: Shape, high: np.uint32) -> tuple[Array, Array]:
    """The counter of each element: `high`, and its place in the flattened array in 64 bits."""
    if math.prod(shape) <= 2**32:
        return jnp.asarray(high), flat_index(shape)
    with jax.enable_x64(True):
        index = flat_index(shape, np.uint64)
        return high + (index >> np.uint64(32)).astype(np.uint32), index.astype(np.uint32)
