"""Half angles on [0, pi]: no reduction of the argument, no branch."""

import math

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from stochastic_net._types import Array
from stochastic_net.random._elementary import polynomial, root

# sin(t / 2) / t as a polynomial in t^2: interpolated at Chebyshev points for float32 (an error of
# 7e-9, or 1.2e-6 where rough), its series for float64.
_ROUGH_SINE = (0.49999962, -0.020832096, 0.00025978723, -1.4470734e-6)
_SINE = (0.4999999978494, -0.0208333224348, 0.000260407817833, -1.547579485e-6, 5.0881008e-9)
_LONG_SINE = tuple((-1) ** k / (2 ** (2 * k + 1) * math.factorial(2 * k + 1)) for k in range(11))


def sin_half(t: Array) -> Array:
    """sin(t / 2) for t in [0, pi]."""
    return _odd(t, _SINE if t.dtype == jnp.float32 else _LONG_SINE)


def rough_sine(t: Array) -> tuple[Array, Array]:
    """sin t and cos t for t in [0, pi], to 6e-6."""
    half = _odd(t, _ROUGH_SINE)
    return 2 * half * _odd(math.pi - t, _ROUGH_SINE), 1 - 2 * half * half


def twice_arcsin(square: Array, complement: Array) -> Array:
    """2 arcsin(sqrt(square)), or pi minus that where `complement`, to four digits."""
    square = jnp.minimum(jnp.maximum(square, 0), 1)
    large = square > 0.5
    y = jnp.where(large, 1 - square, square)
    angle = 2 * root(y) * (1 + y * (1 / 6 + y * (3 / 40 + y * (0.0446 + y * 0.045))))
    return jnp.where(large ^ complement, math.pi - angle, angle)


def pi_parts(dtype: DTypeLike) -> tuple[np.ndarray, np.ndarray]:
    """The largest number of that dtype below pi, and what is missing: pi - z is exact with both."""
    nearest = np.asarray(math.pi, dtype)
    below = nearest if float(nearest) <= math.pi else np.nextafter(nearest, np.asarray(0, dtype))
    return below, np.asarray(math.pi - float(below) + 1.2246467991473532e-16, dtype)


def _odd(t: Array, coefficients: tuple[float, ...]) -> Array:
    return t * polynomial(coefficients, t * t)
