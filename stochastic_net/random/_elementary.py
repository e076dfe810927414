r"""exp, expm1, log1p and the like for the hot loops: half the time of XLA's float32 or less on CPU.

Each is one polynomial after a reduction of the argument, without a branch:

  e^x = 2^n 2^r,              x / log 2 = n + r,         |r| <= 1/2,
  e^x - 1 = 2^n (1 + q) - 1,  x = n log 2 + r,           q = e^r - 1,
  log(1 + w) = e log 2 + log(1 + f),    1 + w = 2^e (1 + f),    sqrt(1/2) <= 1 + f < sqrt(2),

f with the rounding error of 1 + w put back in. The relative error of the last two is below 2e-7,
that of the first below 3e-7 + 1e-7 |x|. In float64 they are JAX's own.

XLA on CPU breaks a pass in two where a quotient, a root or its exponential is used twice. A maximum
of one with -1 is cheap to it, and the quotient has one use. (With 0, of which there are two, it
would be three instructions.)
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from stochastic_net._types import Array

LOG2_E = 1 / math.log(2)
_LOG2 = np.float32(np.log(2))
_LOG2_HIGH = np.float32(0.693359375)  # 9 bits, so that its product with n is exact
_LOG2_LOW = np.float32(np.log(2) - 0.693359375)
_WHOLE = np.float32(1.5 * 2**23)  # n + this has the whole number n in its last bits
_LEAST, _MOST = np.float32(-87.0), np.float32(88.0)  # beyond, e^x is not a normal number
_HALF_ROOT = np.int32(0x3F3504F3)  # the bits of sqrt(1/2)
_ONE = np.int32(0x3F800000)  # the bits of 1
# 2^r, (e^r - 1) / r and (log(1 + f) - f) / f^2, interpolated at Chebyshev points, from 40 digits
_EXP2 = (
    *(1.0000000754548972, 0.6931471880262288, 0.2402210748530834),
    *(0.05550357114219078, 0.009676031918322054, 0.0013390863364671234),
)
_EXPM1 = (
    *(1.0000000108364155, 0.500000001353873, 0.1666650461303261),
    *(0.04166646419740569, 0.008369220291803607, 0.0013933730715792083),
)
_LOG1P = (
    *(-0.4999999764977098, 0.33333330028354796, -0.25000781239812697),
    *(0.20001234461093456, -0.16626645629127462, 0.14204855952571013),
    *(-0.1312755565128765, 0.1272267278801096, -0.07673641501674025),
)
_ROUGH_LOG1P = (0.9997, -0.50197, 0.354564, -0.228106)  # least squares of log(1 + f) / f
# log2(1 + f) / f, so that f times it has its least largest error (reweighted least squares)
_LOG2_1P = (
    *(1.442699727, -0.721375878, 0.4804649769, -0.3589615769),
    *(0.2972631392, -0.2727005906, 0.1706359224),
)
_LESS_LINE = tuple((1 / np.cumprod(np.arange(2, 18, dtype=float))).tolist())


@jax.custom_jvp
def exp(x: Array) -> Array:
    """e^x; in float32 no smaller than e^-87 and no larger than e^88."""
    if x.dtype != jnp.float32:
        return jnp.exp(x)
    return exp2(jnp.clip(x, _LEAST, _MOST) * LOG2_E)


@jax.custom_jvp
def expm1(x: Array) -> Array:
    """e^x - 1; in float32 no larger than e^88."""
    return exp_less(x, jnp.ones_like(x))


def exp_less(x: Array, less: Array) -> Array:
    """e^x - 1 where `less` is 1, e^x where it is 0; in float32 no larger than e^88."""
    if x.dtype != jnp.float32:
        return jnp.where(less == 1, jnp.expm1(x), jnp.exp(x))
    x = jnp.clip(x, _LEAST, _MOST)
    n = _nearest(x * LOG2_E)
    r = (x - n * _LOG2_HIGH) - n * _LOG2_LOW
    scale = _power_of_two(n)
    return scale * (r * polynomial(_EXPM1, r)) + (scale - less)


@jax.custom_jvp
def log1p(w: Array) -> Array:
    """log(1 + w) for a finite w where 1 + w is a normal number."""
    if w.dtype != jnp.float32:
        return jnp.log1p(w)
    u = 1 + w
    bits = lax.bitcast_convert_type(u, jnp.int32)
    e = (bits - _HALF_ROOT) >> np.int32(23)
    shift = e << np.int32(23)
    scaled = lax.bitcast_convert_type(bits - shift, jnp.float32)  # 2^-e (1 + w), rounded
    scale = lax.bitcast_convert_type(_ONE - shift, jnp.float32)
    f = (scaled - 1) + (w * scale - (scaled - scale))
    return e.astype(jnp.float32) * _LOG2 + (f + f * f * polynomial(_LOG1P, f))


@jax.custom_jvp
def exp2(y: Array, scale: ArrayLike = 1.0) -> Array:
    """scale 2^y for a scale > 0, both normal numbers, which float32 does not check."""
    if y.dtype != jnp.float32:
        return jnp.exp2(y) * scale
    n = _nearest(y)
    return _power_of_two(n, scale) * polynomial(_EXP2, y - n)


@jax.custom_jvp
def rough_log(x: Array) -> Array:
    """log x for a positive normal number; in float32 to 1.3e-4, where a start needs no more."""
    if x.dtype != jnp.float32:
        return jnp.log(x)
    e, f = _split(x)
    return e * _LOG2 + f * polynomial(_ROUGH_LOG1P, f)


@jax.custom_jvp
def log(x: Array) -> Array:
    """log x for a positive normal number."""
    if x.dtype != jnp.float32:
        return jnp.log(x)
    e, f = _split(x)
    return e * _LOG2 + (f + f * f * polynomial(_LOG1P, f))


@jax.custom_jvp
def log2(x: Array) -> Array:
    """log2 x for a positive normal number; in float32 to 3e-7, whatever its size."""
    if x.dtype != jnp.float32:
        return jnp.log2(x)
    e, f = _split(x)
    return e + f * polynomial(_LOG2_1P, f)


def full_exp(x: Array) -> Array:
    """e^x to the last digit, from the smallest number to the largest: JAX's own."""
    return jnp.maximum(jnp.exp(x), -1)


def root(x: Array) -> Array:
    """sqrt(x) for x >= 0."""
    return jnp.maximum(jnp.sqrt(x), -1)


def reciprocal(x: Array) -> Array:
    """1 / x for a positive x."""
    return jnp.maximum(1 / x, -1)


def inverse_root(x: Array) -> Array:
    """1 / sqrt(x) for a positive x."""
    return jnp.maximum(lax.rsqrt(x), -1)


def exp_less_line(x: Array) -> Array:
    """e^x - 1 - x, by its series where the difference cancels."""
    small = jnp.abs(x) < 0.5
    terms = 8 if x.dtype == jnp.float32 else 15
    near = jnp.where(small, x, 0)
    series = near * near * polynomial(_LESS_LINE[:terms], near)
    return jnp.where(small, series, expm1(x) - x)


exp.defjvps(lambda tangent, value, _: value * tangent)
expm1.defjvps(lambda tangent, value, _: (value + 1) * tangent)
log1p.defjvps(lambda tangent, _, w: tangent / (1 + w))
exp2.defjvps(
    lambda tangent, value, *_: (value * math.log(2)) * tangent,
    lambda tangent, value, _, scale: value / scale * tangent,
)
log.defjvps(lambda tangent, _, x: tangent / x)
rough_log.defjvps(lambda tangent, _, x: tangent / x)
log2.defjvps(lambda tangent, _, x: tangent / x * LOG2_E)


def _nearest(x: Array) -> Array:
    return lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN)


def _power_of_two(n: Array, scale: ArrayLike = 1.0) -> Array:
    """scale 2^n for a whole number n."""
    bits = lax.bitcast_convert_type(n + _WHOLE, jnp.int32) << np.int32(23)
    one = lax.bitcast_convert_type(jnp.asarray(scale, jnp.float32), jnp.int32)
    return lax.bitcast_convert_type(bits + one, jnp.float32)


def _split(x: Array) -> tuple[Array, Array]:
    """The whole e and f with x = 2^e (1 + f) and sqrt(1/2) <= 1 + f < sqrt(2)."""
    bits = lax.bitcast_convert_type(x, jnp.int32)
    e = (bits - _HALF_ROOT) >> np.int32(23)
    f = lax.bitcast_convert_type(bits - (e << np.int32(23)), jnp.float32) - 1
    return e.astype(jnp.float32), f


def polynomial(coefficients: Sequence[float] | np.ndarray, x: Array) -> Array:
    """The sum of coefficients[k] x^k, by Horner's scheme."""
    value = jnp.full_like(x, coefficients[-1])
    for c in coefficients[-2::-1]:
        value = value * x + np.asarray(c, x.dtype)
    return value
