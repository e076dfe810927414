"""Half angles on [0, pi]: no reduction of the argument, no branch."""

import math

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from stochastic_net._types import Array
from stochastic_net.random._elementary import polynomial, root

# sin(t / 2) / t as a polynomial in t^2: interpolated at Chebyshev points for float32 (an error of
# 7e-9), its series for float64.
_SINE = (0.4999999978494, -0.0208333224348, 0.000260407817833, -1.547579485e-6, 5.0881008e-9)
_LONG_SINE = tuple((-1) ** k / (2 ** (2 * k + 1) * math.factorial(2 * k + 1)) for k in range(11))


def sin_half(t: Array) -> Array:
    """sin(t / 2) for t in [0, pi]."""
    return t * polynomial(_SINE if t.dtype == jnp.float32 else _LONG_SINE, t * t)


def twice_arcsin(square: Array, complement: Array) -> Array:
    """2 arcsin(sqrt(square)), or pi minus that where `complement`, to three digits."""
    square = jnp.minimum(square, 1)
    large = square > 0.5
    y = jnp.where(large, 1 - square, square)
    angle = root(y) * (2.0008 + y * (0.30746 + y * 0.26422))
    return jnp.where(large ^ complement, math.pi - angle, angle)


def pi_parts(dtype: DTypeLike) -> tuple[np.ndarray, np.ndarray]:
    """The largest number of that dtype below pi, and what is missing: pi - z is exact with both."""
    nearest = np.asarray(math.pi, dtype)
    below = nearest if float(nearest) <= math.pi else np.nextafter(nearest, np.asarray(0, dtype))
    return below, np.asarray(math.pi - float(below) + 1.2246467991473532e-16, dtype)
