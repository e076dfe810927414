"""Near the quantile of the von Mises law, in closed form."""

import math

import jax.numpy as jnp

from stochastic_net._types import Array
from stochastic_net.random._circle import rough_sine, twice_arcsin
from stochastic_net.random._elementary import LOG2_E, exp2, reciprocal, rough_log

_NEARLY_UNIFORM = 0.73  # the concentration below which the law is
_AT_ZERO = 0.06  # the mass around 0 in which the density is nearly constant
_NEVER_OPPOSITE = 30.0  # the concentration beyond which no draw is on the far side of the circle


def start(beyond: Array, within: Array, kappa: Array, norm: Array) -> Array:
    """z >= 0 near P(|Z| > z) = beyond = 1 - within, where `norm` is pi e^-kappa I_0(kappa).

    To within 0.2 of the scale on which the density falls.
    """
    angle = _concentrated(beyond, within, jnp.maximum(kappa, 0.5), norm)
    angle = jnp.where(kappa < _NEARLY_UNIFORM, _near_uniform(within, kappa), angle)
    near = within * norm
    return jnp.where(within < _AT_ZERO, near * (1 + kappa * near * near / 6), angle)


def _concentrated(beyond: Array, within: Array, kappa: Array, norm: Array) -> Array:
    """Near 0 the law is normal in 2 sqrt(kappa) sin(z / 2).

    Near pi its density grows as that of an error function of an imaginary argument, so that
    (2 sqrt(kappa) cos(z / 2))^2 grows as the logarithm of the mass beyond.
    """
    quarter = jnp.maximum(1 / (4 * kappa), 0)
    near = _normal_square(beyond, within)
    sine = jnp.minimum(near * quarter, 0.999)
    k = jnp.minimum(kappa, _NEVER_OPPOSITE)
    rate = jnp.minimum(beyond * norm * exp2(2 * LOG2_E * k), 1e15)
    mass = rate * rate * k
    far = jnp.where(mass < 0.1, mass * (1 - mass * (0.5 - mass / 3)), rough_log(1 + mass))
    opposite = far * (1.5 + k * (4 + k)) < 14 * k * k
    # log(1 + x) and the like as quotients: one division for both sides of the circle
    numerator = jnp.where(opposite, far * far, sine * (6 - sine))
    denominator = jnp.where(opposite, 6 + 4 * far, 6 - 4 * sine)
    leading = jnp.where(opposite, far, near * (1 + 0.625 * quarter * quarter))
    square = (leading + numerator * reciprocal(denominator)) * quarter
    return twice_arcsin(square, opposite)


def _normal_square(beyond: Array, within: Array) -> Array:
    """z^2 with P(|Z| > z) = beyond for a normal Z, to 0.3 %.

    It is nearly linear in -log(1 - within^2), near 0 and far out: a quotient fitted there.
    """
    w = -rough_log(beyond * (1 + within))
    return w * (1.56734 + 0.214279 * w) * reciprocal(1 + 0.107167 * w)


def _near_uniform(within: Array, kappa: Array) -> Array:
    """The quantile to second order in kappa."""
    theta = math.pi * within
    sine, cosine = rough_sine(theta)
    return theta - kappa * sine * (1 - kappa * cosine / 2)
