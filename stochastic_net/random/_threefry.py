"""The counter-based hash Threefry-2x32: two random words for a key and a place."""

import jax.numpy as jnp
import numpy as np

from stochastic_net._types import Array

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = np.uint32(0x1BD11BDA)


def threefry(key: tuple[Array, Array], high: Array, low: Array, rounds: int) -> tuple[Array, Array]:
    """Two words of 32 random bits for each counter (high, low).

    Unrolled, so that XLA fuses the hash into whatever uses the words. 20 rounds are the cipher's
    safe choice, for deriving keys; 13 are the fewest that pass BigCrush (Salmon et al. 2011,
    "Parallel random numbers: as easy as 1, 2, 3", table 2), for filling arrays.
    """
    schedule = (*key, key[0] ^ key[1] ^ _PARITY)
    x, y = high + schedule[0], low + schedule[1]
    for done in range(rounds):
        x = x + y
        y = x ^ _rotate_left(y, _ROTATIONS[done // 4 % 2][done % 4])
        if done % 4 == 3:
            block = done // 4 + 1
            x = x + schedule[block % 3]
            y = y + schedule[(block + 1) % 3] + np.uint32(block)
    return x, y


def _rotate_left(word: Array, bits: int) -> Array:
    return jnp.bitwise_or(word << np.uint32(bits), word >> np.uint32(32 - bits))
