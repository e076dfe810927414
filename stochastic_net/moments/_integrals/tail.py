r"""Moments of the normal tail without cancellation: what a kink in a function needs.

With I_n(t) = int_0^inf x^n e^{-t x - x^2/2} dx, the tail beyond t >= 0 of N(0, 1) has the moments

  E max(Z - t, 0)^n = phi(t) I_n(t),    n = 0, 1, 2,

each positive and falling as phi(t) n! / t^(n + 1). The textbook forms phi - t Q and
(1 + t^2) Q - t phi of n = 1, 2 lose every digit in float32 from t = 4 on.
"""

import itertools
import math
import operator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from stochastic_net._types import Array
from stochastic_net.random._chebyshev import half_line_series
from stochastic_net.random._elementary import inverse_root, reciprocal

_PIVOT = 3.0
# (3 + t)^(n + 1) I_n(t) in Chebyshev polynomials of (t - 3) / (t + 3), from 60 digits.
_I0 = np.array(
    [
        2.106659127334785,
        -1.3558955722266175,
        0.2761613922438122,
        -0.024901239690196142,
        -0.002900155428203392,
        0.0008539527773487948,
        5.3140327795762094e-05,
        -2.9407438423671717e-05,
        -2.4606249490113193e-06,
        1.0972056035320868e-06,
        1.7355775825650767e-07,
        -3.721628885406836e-08,
        -1.2133443315462594e-08,
        5.52268503472921e-10,
        7.267187353977331e-10,
        7.202805222856688e-11,
        -3.1372554605069756e-11,
        -9.618257639341088e-12,
        2.431027731409367e-13,
        6.672329696752452e-13,
        1.1765205675839506e-13,
        -2.0757042736532786e-14,
        -1.2798175261738766e-14,
        -1.4449374481954385e-15,
        5.941935417514259e-16,
        2.544390939285466e-16,
    ]
)
_I1 = np.array(
    [
        4.074207952631163,
        -3.9350976505927555,
        0.9471451138957079,
        -0.06885845778387896,
        -0.02204603469229543,
        0.004129446441883286,
        0.000728568583230672,
        -0.00018014165811830696,
        -3.789347462798756e-05,
        6.970205258628991e-06,
        2.4398309523833074e-06,
        -1.5853272302103938e-07,
        -1.5459486675769242e-07,
        -9.76711838499635e-09,
        8.051533873446713e-09,
        1.8408544263193472e-09,
        -2.1781727158623072e-10,
        -1.6162403447049774e-10,
        -1.5637350181037798e-11,
        8.24610941656118e-12,
        2.8631608985342176e-12,
        2.2673148122734518e-14,
        -2.105664078299417e-13,
        -5.200299932975025e-14,
        3.658049112776924e-15,
        5.0902511767236075e-15,
        1.0431262886790673e-15,
        -1.3852451717908276e-16,
        -1.2628798117377703e-16,
    ]
)
_I2 = np.array(
    [
        14.080838807471393,
        -15.799943455010888,
        3.9946505032326223,
        -0.13721158986591167,
        -0.16298862966889227,
        0.018324082189469845,
        0.007667768570790469,
        -0.0009385116143535584,
        -0.00045540246094327876,
        2.7676277853000245e-05,
        2.9477332372852205e-05,
        1.2274335629368382e-06,
        -1.7424102946334262e-06,
        -3.1447953773930773e-07,
        7.135435548300191e-08,
        3.3539078949993996e-08,
        8.048880996421348e-10,
        -2.3012384711368214e-09,
        -5.194205809060307e-10,
        6.648971720373468e-11,
        5.514168437043419e-11,
        7.417065582986639e-12,
        -2.6842550195649117e-12,
        -1.2772757824289345e-12,
        -1.0327628129591405e-13,
        8.130978116347133e-14,
        3.109196967976927e-14,
        1.5786793327225682e-15,
        -2.31240282040186e-15,
        -8.2277099538182305e-16,
    ]
)
_FAR = 64.0  # beyond, phi is 0 in every dtype


class Standard(NamedTuple):
    """A Gaussian in units of its deviation, as far as a kink at 0 sees it."""

    scale: Array  # sqrt(var), 1 for a point
    inverse: Array  # 1 / scale
    point: Array  # whether var counts as zero
    t: Array  # |mean| / scale
    density: Array  # phi(t), 0 for a point
    beyond: Array  # E max(Z - t, 0)^n, n = 0, 1, 2; 0 for a point
    first: Array
    second: Array


@jax.jit  # traced once
def standard(mean: Array, var: Array) -> Standard:
    """`mean` and `var` in units of the deviation, phi to the last digits however far out."""
    point = var < jnp.finfo(var.dtype).tiny
    safe = jnp.where(point, 1.0, var)
    inverse = inverse_root(safe)
    scale = safe * inverse
    size = jnp.minimum(jnp.abs(mean), _FAR * scale)
    t = size * inverse
    density = jnp.where(point, 0.0, _density(size, scale, inverse, safe, t))
    near = reciprocal(t + _PIVOT)
    powers = itertools.accumulate([density * near, near, near], operator.mul)
    tails = (
        power * half_line_series(series, _PIVOT, t)
        for power, series in zip(powers, (_I0, _I1, _I2), strict=True)
    )
    return Standard(scale, inverse, point, t, density, *tails)


def _density(size: Array, scale: Array, inverse: Array, var: Array, t: Array) -> Array:
    """exp(-size^2 / (2 var)) / sqrt(2 pi): t is size / sqrt(var) rounded, and so is `scale`.

    A rounding of t is one of t^2 in the result, 1e-5 in float32 where it is still a normal number.
    So t is cut to a number whose square is exact, and what is left of size / sqrt(var) computed as

      (size - cut sqrt(var)) / sqrt(var),    sqrt(var) = scale + (var - scale^2) / (2 scale),

    from products of half the digits, which are exact, too.
    """
    cut, high = _cut(t), _cut(scale)
    low = scale - high
    root = 0.5 * inverse * ((var - high * high) - low * (high + scale))
    rest = inverse * (((size - cut * high) - cut * low) - cut * root)
    x = -rest * (cut + 0.5 * rest)
    little = 1 + x * (1 + x * (1 / 2 + x * (1 / 6)))  # e^x, for |x| < 0.05 where phi is not 0
    return jnp.exp(-0.5 * cut * cut) * (little * (1 / math.sqrt(2 * math.pi)))


def _cut(x: Array) -> Array:
    """x to half its digits; by its bits, for a difference could be simplified."""
    bits, mask = (np.uint64, ~((1 << 27) - 1)) if x.dtype == jnp.float64 else (np.uint32, ~0xFFF)
    mask = bits(mask & int(np.iinfo(bits).max))
    return lax.bitcast_convert_type(lax.bitcast_convert_type(x, bits) & mask, x.dtype)
