"""The digamma function less a logarithm, without cancellation."""

import jax.numpy as jnp
import numpy as np

from stochastic_net._types import Array

# digamma(z + 1/2) - log(z) = sum_k c_k / z^(2k), k = 1, 2, ...: (2^(1 - 2k) - 1) B_2k / (-2k).
_TAIL = (1 / 24, -7 / 960, 31 / 8064, -127 / 30720, 511 / 67584, -1414477 / 67092480, 8191 / 98304)
_SHIFT = {np.dtype(np.float32): (3, 4), np.dtype(np.float64): (9, 7)}  # steps up, terms kept

# digamma(z + 1/2) - digamma(z) - 1/(2 z) = sum_k c_k / z^(2k), k = 1, 2, ...
_HALF_STEP = (
    *(1 / 8, -1 / 64, 1 / 128, -17 / 2048),
    *(31 / 2048, -691 / 16384, 5461 / 32768, -929569 / 1048576),
)
_HALF_SHIFT = {np.dtype(np.float32): (3, 5), np.dtype(np.float64): (10, 8)}


def gamma_score(a: Array, x: Array, log_x: Array) -> Array:
    """digamma(a + 1) - log(x) for a >= 0 and x > 0, exact also where the two nearly agree.

    digamma(a + 1) = log(z) + tail(z) - 1/(a + 1) - ... - 1/(a + n) with z = a + n + 1/2: the
    recurrence carries a to where the asymptotic series (DLMF 5.11.2, about the midpoint) has
    converged. `x` may have underflowed to 0; `log_x` may not.
    """
    z = a + _height(a)
    near = x > 0.5 * z
    close = jnp.log1p(((a - x) + _height(a)) / jnp.where(near, x, z))
    far = jnp.log(z) - log_x
    steps_down = sum(1 / (a + k) for k in _steps(a))
    return jnp.where(near, close, far) + (_tail(z) - steps_down)


def beta_score(a: Array, b: Array, x: Array, complement: Array) -> Array:
    """digamma(a + 1) - digamma(a + b + 1) - log(x), with `complement` = 1 - x."""
    h = _height(a)
    s = a + b
    z, z_sum = a + h, s + h
    near = x * z_sum > 0.5 * z
    scale = jnp.where(near, x * z_sum, 1.0)
    close = jnp.log1p((a * complement - b * x + h * complement) / scale)
    far = jnp.log(z / (z_sum * x))
    steps_down = b * sum(1 / ((a + k) * (s + k)) for k in _steps(a))
    return jnp.where(near, close, far) + (_tail(z) - _tail(z_sum) - steps_down)


def _height(a: Array) -> float:
    return _SHIFT[jnp.dtype(a.dtype)][0] + 0.5


def _steps(a: Array) -> range:
    return range(1, _SHIFT[jnp.dtype(a.dtype)][0] + 1)


def _tail(z: Array) -> Array:
    """digamma(z + 1/2) - log(z)."""
    terms = _SHIFT[jnp.dtype(z.dtype)][1]
    s = 1 / (z * z)
    return s * jnp.polyval(jnp.array(_TAIL[terms - 1 :: -1], z.dtype), s, unroll=16)


def half_step(z: Array) -> Array:
    """digamma(z + 1/2) - digamma(z) - 1/(2 z) for z >= 1, which falls as 1/(8 z^2)."""
    steps, terms = _HALF_SHIFT[jnp.dtype(z.dtype)]
    stairs = sum(0.25 / ((z + k) * (z + (k + 0.5)) * (z + (k + 1))) for k in range(steps))
    s = 1 / ((z + steps) * (z + steps))
    return stairs + s * jnp.polyval(jnp.array(_HALF_STEP[terms - 1 :: -1], z.dtype), s, unroll=16)
