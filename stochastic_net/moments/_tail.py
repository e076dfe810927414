r"""Moments of the normal tail without cancellation: what a kink in a function needs.

With I_n(t) = int_0^inf x^n e^{-t x - x^2/2} dx, the tail beyond t >= 0 of N(0, 1) has the moments

  E max(Z - t, 0)^n = phi(t) I_n(t),    n = 0, 1, 2,

each positive and falling as phi(t) n! / t^(n + 1). The textbook forms phi - t Q and
(1 + t^2) Q - t phi of n = 1, 2 lose every digit in float32 from t = 4 on.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

from stochastic_net._types import Array
from stochastic_net.random._chebyshev import half_line_series
from stochastic_net.random._elementary import inverse_root, reciprocal
from stochastic_net.random._mills import mills, mills_gap

# (1 + t)^3 I_2(t) in Chebyshev polynomials of (t - 5) / (t + 5), from 80 digits.
_I2 = np.array(
    [
        2.2536277052733977,
        0.12522218835467624,
        -0.6055273066356034,
        0.272949738285254,
        -0.03507833810401732,
        -0.021866150555965122,
        0.013789041247431267,
        -0.003265748798693809,
        -6.494094854734387e-05,
        0.0002946577121892231,
        -9.124422644210173e-05,
        8.93399324832696e-06,
        2.1514965199987876e-06,
        -7.167309089213682e-07,
        3.151889838101022e-09,
        3.0172698618578266e-08,
        -2.7721018023978904e-09,
        -1.1328459146449182e-09,
        1.8446190283772298e-10,
        4.448210899697996e-11,
        -9.68705240181295e-12,
        -1.9812360927355923e-12,
        4.689094923974964e-13,
        1.0185909752008315e-13,
        -2.13648119478313e-14,
        -5.816182805167876e-15,
        8.762963934832938e-16,
        3.4762828946049916e-16,
        -2.7176615934851724e-17,
        -2.0598553717314408e-17,
    ]
)


_FAR = 1e4  # beyond, phi is 0 in every dtype
_NEGLIGIBLE = 2e3  # squares of t from which on it is, too


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


def standard(mean: Array, var: Array) -> Standard:
    """`mean` and `var` in units of the deviation, phi to the last digits however far out."""
    point = var < jnp.finfo(var.dtype).tiny
    safe = jnp.where(point, 1.0, var)
    inverse = inverse_root(safe)
    scale = safe * inverse
    t = jnp.minimum(jnp.abs(mean) * inverse, _FAR)
    density = jnp.where(point, 0.0, _density(jnp.abs(mean), scale, inverse, safe, t))
    fall = reciprocal(1 + t)
    second = half_line_series(_I2, 5.0, t) * fall * fall * fall
    tails = (density * r for r in (mills(t), mills_gap(t), second))
    return Standard(scale, inverse, point, t, density, *tails)


def _density(size: Array, scale: Array, inverse: Array, var: Array, t: Array) -> Array:
    """exp(-size^2 / (2 var)) / sqrt(2 pi): t is that ratio rounded, and so is `scale`.

    A rounding of t is one of t^2 in the result, 1e-5 in float32 where it is still a normal number;
    so what rounding left out of size^2 / var is put back.
    """
    square, square_rest = _product(t, t)
    back, back_rest = _product(t, scale)
    root, root_rest = _product(scale, scale)
    gap = ((back - size) + back_rest) * (back + size) + square * ((var - root) - root_rest)
    lost = jnp.where(square < _NEGLIGIBLE, 0.5 * (gap * inverse * inverse - square_rest), 0.0)
    lost = lax.stop_gradient(lost)  # rounding has no derivative
    return jnp.exp(-0.5 * square) * ((1 + lost) * (1 / math.sqrt(2 * math.pi)))


def _product(a: Array, b: Array) -> tuple[Array, Array]:
    """a b as a rounded product and what rounding left out (Dekker 1971)."""
    product = a * b
    (a_high, a_low), (b_high, b_low) = _halves(a), _halves(b)
    cross = (a_high * b_high - product) + (a_high * b_low + a_low * b_high)
    return product, cross + a_low * b_low


def _halves(x: Array) -> tuple[Array, Array]:
    """x as a sum of two numbers of half the digits; by its bits, for sums could be simplified."""
    bits, mask = (np.uint64, ~((1 << 27) - 1)) if x.dtype == jnp.float64 else (np.uint32, ~0xFFF)
    mask = bits(mask & int(np.iinfo(bits).max))
    high = lax.bitcast_convert_type(lax.bitcast_convert_type(x, bits) & mask, x.dtype)
    return high, x - high
