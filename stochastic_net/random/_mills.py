"""The Mills ratio of the normal law, and masses of intervals that do not cancel."""

import math

import jax.numpy as jnp
import numpy as np
from jax import lax

from stochastic_net._types import Array
from stochastic_net.random._chebyshev import half_line_series
from stochastic_net.random._elementary import full_exp, reciprocal
from stochastic_net.random._quadrature import unit_nodes

# (1 + x) R(x) in Chebyshev polynomials of (x - 3.5) / (x + 3.5), from 40 digits (the form is that
# of Shepherd and Laframboise 1981, Math. Comp. 36, for erfcx).
_MILLS = np.array(
    [
        1.172393455532457,
        -0.15886590183330635,
        -0.036487534254121308,
        0.030950942391140116,
        -0.0092892602254433575,
        0.0012977851006954148,
        3.8681712374716254e-5,
        -4.1169373209947886e-5,
        1.8164546608482848e-6,
        1.3248620638832655e-6,
        -9.3315170096438427e-8,
        -5.20800564476838e-8,
        2.7556948017586288e-9,
        2.3836758103984539e-9,
        6.2181270745012347e-12,
        -1.1349554719854103e-10,
        -9.9117444503391645e-12,
        4.8847083673710993e-12,
        1.0659311696350067e-12,
        -1.3943087507792532e-13,
        -7.8934475216779679e-14,
        -3.143675462420204e-15,
        4.2465207256535248e-15,
        8.8154041728379324e-16,
        -1.1594827926878606e-16,
        -7.7514363484588073e-17,
        -8.2104156562758105e-18,
    ]
)
# (1 + x)^2 (1 - x R(x)) in those of (x - 5) / (x + 5), from 80 digits.
_GAP = np.array(
    [
        1.1786939013866438,
        -0.10125727962799318,
        -0.14865546208521888,
        0.09816848778580152,
        -0.03171798898152607,
        0.004118380306630206,
        0.0013840174983079264,
        -0.0009838340353495313,
        0.0002948950492045316,
        -4.709260195140171e-05,
        8.590029272920808e-07,
        1.3554619080433912e-06,
        -2.3147555595831767e-07,
        -1.7075440607920013e-08,
        9.949362873866235e-09,
        -2.4106464654592276e-10,
        -3.5666175303257516e-10,
        2.8945226947362402e-11,
        1.3016100717797053e-11,
        -1.5524538138949635e-12,
        -5.220930630315194e-13,
        6.950184611901334e-14,
        2.345944460700038e-14,
        -2.771885973444679e-15,
        -1.1544282194411682e-15,
        9.116045274446133e-17,
        5.955159763084838e-17,
        -1.4216719997436313e-18,
    ]
)
HALF_MASS = math.sqrt(math.pi / 2)  # R(0): the mass of a half line in units of the density at 0
LINEAR = 0.5  # below this exponent an interval's mass is integrated, above it is a difference


def mills(x: Array) -> Array:
    """R(x) = Q(x) / phi(x) for x >= 0, Q the upper tail of N(0, 1) and phi its density."""
    return half_line_series(_MILLS, 3.5, x) * reciprocal(1 + x)


def mills_gap(x: Array) -> Array:
    """1 - x R(x) for x >= 0, which falls as 1 / x^2 and would cancel."""
    return half_line_series(_GAP, 5.0, x) * jnp.square(reciprocal(1 + x))


def tail_mass(start: Array, length: Array) -> Array:
    """The integral of phi over [start, start + length] over phi(start), for start, length >= 0.

    Relatively accurate for every length: a short interval is integrated by quadrature, for a long
    one R(start) - exp(-e) R(end) loses less than two bits.
    """
    exponent = length * (start + length / 2)
    short = exponent < LINEAR
    integrated = short_mass(start, jnp.where(short, length, 0))  # finite, with its derivative
    difference = mills(start) - full_exp(-exponent) * mills(start + length)
    return jnp.where(short, integrated, difference)


def short_mass(start: Array, length: Array) -> Array:
    """`tail_mass` where its exponent is below LINEAR, by quadrature."""
    nodes, weights = unit_nodes(4, 9, length.dtype)
    return length * sum(
        w * full_exp(-length * x * (start + length * x / 2))
        for x, w in zip(nodes, weights, strict=True)
    )


def central_mass(length: Array) -> Array:
    """The integral of phi over [0, length] over phi(0), for length >= 0."""
    # A maximum that never binds: XLA on CPU gives an error function of two uses a pass of its own.
    return HALF_MASS * jnp.maximum(lax.erf(length * math.sqrt(0.5)), -2)
