"""Near the quantile of the von Mises law, in closed form."""

import math

import jax.numpy as jnp

from stochastic_net._types import Array
from stochastic_net.random._circle import twice_arcsin
from stochastic_net.random._elementary import LOG2_E, exp2, reciprocal, rough_log

_NEARLY_UNIFORM = 0.73  # the concentration below which the law is
_AT_ZERO = 0.06  # the mass around 0 where log(1 - within^2) is -within^2
_NEVER_OPPOSITE = 30.0  # the concentration beyond which no draw is on the far side of the circle


def start(beyond: Array, within: Array, kappa: Array, norm: Array) -> tuple[Array, Array]:
    """z >= 0 near P(|Z| > z) = beyond = 1 - within, where `norm` is pi e^-kappa I_0(kappa).

    To within 0.28 of the scale on which the density falls, and to a seventh of z near 0. The second
    is about sin^2(z / 2) where kappa > 0.73.
    """
    angle, square = _concentrated(beyond, within, kappa, norm)
    nearly_uniform = kappa < _NEARLY_UNIFORM
    return jnp.where(nearly_uniform, _near_uniform(beyond, within, kappa), angle), square


def quarter(kappa: Array) -> Array:
    """1 / (4 kappa) where kappa > 1/2; else 1/2."""
    return reciprocal(4 * jnp.maximum(kappa, 0.5))


def _concentrated(beyond: Array, within: Array, kappa: Array, norm: Array) -> tuple[Array, Array]:
    """z and sin^2(z / 2).

    Near 0 the law is normal in 2 sqrt(kappa) sin(z / 2).

    Near pi its density grows as that of an error function of an imaginary argument, so that
    (2 sqrt(kappa) cos(z / 2))^2 grows as the logarithm of the mass beyond.
    """
    part = quarter(kappa)
    above, below = _normal_square(beyond, within)
    sine = jnp.minimum(above * part, 0.999 * below)
    k = jnp.minimum(kappa, _NEVER_OPPOSITE)
    rate = jnp.minimum(beyond * norm * exp2(2 * LOG2_E * k), 1e15)
    far = rough_log(1 + rate * rate * k)
    opposite = far * (1.5 + k * (4 + k)) < 14 * k * k
    # x + x^2 / (6 + 4 x), or n (1 + 5/8 q^2) + s (6 - s) / (6 - 4 s) with s = q n and n a quotient:
    # one quotient, so that both sides of the circle share one division
    rest = 6 * below - 4 * sine
    leading = above * (1 + 0.625 * part * part) * rest
    numerator = jnp.where(opposite, far * (6 + 5 * far), leading + sine * (6 * below - sine))
    denominator = jnp.where(opposite, 6 + 4 * far, below * rest)
    square = numerator * part * reciprocal(denominator)
    return twice_arcsin(square, opposite), jnp.where(opposite, 1 - square, square)


def _normal_square(beyond: Array, within: Array) -> tuple[Array, Array]:
    """z^2 with P(|Z| > z) = beyond for a normal Z, to 0.3 %: the two parts of a quotient.

    It is nearly linear in -log(1 - within^2), near 0 and far out: a quotient fitted there.
    """
    w = jnp.where(within < _AT_ZERO, within * within, -rough_log(beyond * (1 + within)))
    return w * (1.56734 + 0.214279 * w), 1 + 0.107167 * w


def _near_uniform(beyond: Array, within: Array, kappa: Array) -> Array:
    """The quantile to second order in kappa, sin(pi within) as a polynomial, cos as a line."""
    product = beyond * within
    bend = kappa * product * (math.pi + 3.43 * product)
    return math.pi * within - bend * (1 - 0.5 * kappa * (beyond - within))
