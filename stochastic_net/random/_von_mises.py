r"""The von Mises law on the circle, by inversion: no angle is proposed and refused.

With 1 - cos t = 2 sin^2(t / 2), its mass beyond an angle z in [0, pi] and the derivative of a draw
are one integral with two weights,

  P(Z > z) / p(z) = int_z^pi e(t) dt,    e(t) = exp(kappa (cos t - cos z)),
  dz/dkappa       = int_z^pi (cos t - A) e(t) dt = -int_0^z (the same) dt,    A = E cos Z,

the last for the integral over [0, pi] vanishes. On the side where cos t - A has (about) one sign
nothing cancels, and Gauss-Legendre nodes up to where e(t) has died away converge exponentially,
at the same rate for all kappa and z. A draw is one such pair of integrals at a start near it and a
series from there to the draw: a derivative costs no nodes of its own.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike, DTypeLike

from stochastic_net._types import Array, Key, Shape
from stochastic_net.random._arguments import arguments
from stochastic_net.random._bessel import dispersion, scaled_i0
from stochastic_net.random._circle import pi_parts, sin_half
from stochastic_net.random._elementary import LOG2_E, exp2, polynomial, reciprocal, root
from stochastic_net.random._fence import both
from stochastic_net.random._implicit import moving
from stochastic_net.random._inverse import Coupling, check_coupling
from stochastic_net.random._keys import check_key
from stochastic_net.random._quadrature import Rule, sum_over_nodes
from stochastic_net.random._stream import stream
from stochastic_net.random._tail_rules import VON_MISES
from stochastic_net.random._tails import signed_tail, split
from stochastic_net.random._von_mises_start import quarter, start

_SMALLEST, _LARGEST = 1e-30, 1e15  # concentrations beyond are drawn as these
_EXP = tuple(1 / math.factorial(k) for k in range(7))  # e^x to 3e-7 for |x| < 0.4


def von_mises(
    key: Key,
    kappa: ArrayLike,
    shape: Shape | None = None,
    dtype: DTypeLike | None = None,
    *,
    coupling: Coupling = "fast",
) -> Array:
    r"""Draw an angle z with density exp(kappa cos z) / (2 pi I_0(kappa)); the gradient is unbiased.

    The location is 0 and kappa >= 0 the concentration: 0 is the uniform law, and for a large kappa
    the draw is near a normal one of variance 1 / kappa, of which it keeps the full resolution. The
    pathwise derivative is

      dz/dkappa = -(dF/dkappa) / p(z) = int_z^pi (cos t - A(kappa)) exp(kappa (cos t - cos z)) dt

    for z >= 0, and odd in z. The draw is the quantile of one uniform number, so that it is smooth
    in kappa for a fixed key. As an estimate of the gradient of E f it is unbiased for an f of
    period 2 pi.

    Args:
      key: one typed key; it is consumed.
      kappa: the concentration, 0 or larger.
      shape: shape of the draw, that of `kappa` when None.
      dtype: float16, bfloat16 (both drawn in float32), float32 or float64; JAX's default when None.
      coupling: "fast" and "smooth" are the same here.

    Returns:
      Angles in [-pi, pi]. NaN where kappa is NaN or negative.

    Raises:
      TypeError: `key` is not a typed key, or a dtype is not a float.
      ValueError: the shapes do not broadcast, or `coupling` is another word.

    Example:
      >>> import jax, stochastic_net as sn
      >>> z, slope = jax.value_and_grad(lambda k: sn.random.von_mises(jax.random.key(0), k))(2.0)
      >>> bool(abs(z) < 3.1416), bool(z * slope < 0)  # a larger kappa draws nearer to 0
      (True, True)

    Source: the derivative is implicit reparameterisation (Figurnov, Mohamed & Mnih 2018,
    arXiv:1805.08498); the quadrature is our own.
    """
    check_key(key)
    check_coupling(coupling)
    draw, kappa = arguments(shape, dtype, kappa=kappa)
    return draw.finish(_von_mises(key, kappa))


@jax.jit
def _von_mises(key: Key, kappa: Array) -> Array:
    return _draw(kappa, *stream(key, kappa.shape)(0))


@jax.custom_jvp
def _draw(kappa: Array, high: Array, low: Array) -> Array:
    return _draw_and_slope(kappa, high, low)[0]


@_draw.defjvp
def _draw_jvp(primals, tangents):
    z, slope = both(*_draw_and_slope(*primals))
    return jax.jvp(lambda kappa: _move(z, kappa, fixed=slope), primals[:1], tangents[:1])


def _draw_and_slope(kappa: Array, high: Array, low: Array) -> tuple[Array, Array]:
    """The angle of 64 random bits, of which the first is its sign, and its derivative in kappa."""
    kappa = lax.stop_gradient(kappa)
    beyond, within = split(signed_tail(high << np.uint32(1), low, kappa.dtype))  # P(|Z| > z), ...
    angle, slope = quantile(beyond, within, jnp.clip(kappa, _SMALLEST, _LARGEST))
    one = jnp.where(kappa >= 0, 1, jnp.nan).astype(kappa.dtype)
    sign = jnp.where(high < np.uint32(0x80000000), one, -one)
    return sign * angle, sign * slope


def quantile(beyond: Array, within: Array, kappa: Array) -> tuple[Array, Array]:
    """z >= 0 with P(|Z| > z) = beyond, and dz/dkappa: from a start near z, a step of high order."""
    norm = math.pi * scaled_i0(kappa)  # the integral of exp(kappa (cos t - 1)) over [0, pi]
    masses = beyond * norm, within * norm
    z, slope = _nearer(*start(beyond, within, kappa, norm), *masses, kappa)
    if kappa.dtype == jnp.float32:
        return z, slope
    return _nearer(z, sin_half(z) ** 2, *masses, kappa)


def _nearer(
    near: Array, square: Array, beyond: Array, within: Array, kappa: Array
) -> tuple[Array, Array]:
    """The quantile by one step from `near`, and dz/dkappa there; its masses are those of e.

    `square` is about sin^2(near / 2), where it is known before `near` is.
    """
    rule = VON_MISES.of(kappa.dtype)
    length, upper = side(near, square, kappa, rule.cut)
    mass, slope = integrals(near, length, kappa, rule)
    height = 2 * LOG2_E * kappa * sin_half(near) ** 2
    mass = mass - jnp.where(upper, beyond, -within) * exp2(jnp.minimum(height, 115))
    step, less, growth = _step(mass, near, kappa)
    z = jnp.minimum(jnp.abs(near + step), pi_parts(near.dtype)[0])  # rounding may pass either end
    return z, (slope - less) * growth


def _step(mass: Array, z: Array, kappa: Array) -> tuple[Array, Array, Array]:
    """How far the integral of e from z on reaches `mass`, that of (cos t - A) e, and 1 / e there.

    The first two as series in the mass m, to its sixth and fifth power, in units of
    1 / sqrt(1 + kappa): the derivatives of t by m are D_1 = 1 at z and D_(n+1) = dD_n/dt +
    n D_n kappa sin t, those of the second C_1 = cos t - A and C_(n+1) = dC_n/dt +
    (n - 1) C_n kappa sin t.
    """
    square = sin_half(z) ** 2
    sine, cosine = _sine(square), 1 - 2 * square
    one = reciprocal(1 + kappa)  # the square of that unit
    unit, scaled = root(one), kappa * one  # the second is kappa in those units
    inverse = (1 + kappa) * unit
    y, m = sine * inverse, mass * inverse
    f, b = scaled * y, scaled * cosine  # kappa sin t and its derivative
    q = f * f
    third, fourth = b / 6 + q / 3, f * (7 / 24 * b + q / 4 - one / 24)
    fifth = b * (7 / 120 * b - one / 120) + q * (23 / 60 * b + q / 5 - 11 / 120 * one)
    sixth = b * (127 / 720 * b - 41 / 720 * one) + one * one / 720
    sixth = f * (sixth + q * (163 / 360 * b + q / 6 - 101 / 720 * one))
    step = m + m * m * (f / 2 + m * (third + m * (fourth + m * (fifth + m * sixth))))
    tilt = f * y
    fourth = y * (b / 6 + q / 12 - one / 24)
    fifth = cosine * (b / 30 - one / 120) + tilt * (3 / 20 * b + q / 20 - 7 / 120 * one)
    rest = y / 2 + m * ((cosine + tilt) / 6 + m * (fourth + m * fifth))
    lean = dispersion(kappa) - 2 * square
    short = one * step * step  # the square of the step, in radians
    fall = step * (f * (1 - short * (1 / 6 - short / 120)) + step * b * (1 / 2 - short / 24))
    growth = polynomial(_EXP, fall)
    return step * unit, mass * (lean - one * m * rest), growth


def _sine(square: Array) -> Array:
    """sin t in [0, 1] from sin^2(t / 2), which rounding may have brought above 1."""
    return root(4 * square * jnp.abs(1 - square))


def side(z: Array, square: Array, kappa: Array, cut: float) -> tuple[Array, Array]:
    """From z up to pi, or to where e has died away, if about cos t < A there; else down to 0.

    `square` is about sin^2(z / 2).
    """
    upper = z * z * jnp.maximum(kappa - 0.4, 0.4 + 0.37 * kappa) > 1  # about cos z < A
    end = root(jnp.minimum(square + 2 * cut * quarter(kappa), 1))
    nearly_pi, missing = pi_parts(z.dtype)
    end = jnp.minimum(end * (2 + (math.pi - 2) * end * end), nearly_pi)  # >= 2 arcsin(end)
    return jnp.where(upper, (end - z) + missing, -z), upper


def integrals(z: Array, length: Array, kappa: Array, rule: Rule) -> tuple[Array, Array]:
    """The integrals of e(t) and of (cos t - A) e(t) from z to z + length."""
    spread, rate = dispersion(kappa), 2 * LOG2_E * kappa
    height = rate * sin_half(z) ** 2

    def terms(x, w):
        square = sin_half(z + length * x) ** 2
        e = exp2(height - rate * square, w)
        return e, square * e

    mass, moment = sum_over_nodes(terms, z, rule)
    return length * mass, length * (spread * mass - 2 * moment)


@moving
def _move(z: Array, kappa: Array, fixed: Array | None = None) -> tuple[Array]:
    """`fixed` is the derivative where it is known."""
    slope = _slope(z, kappa)
    return (slope if fixed is None else _known(fixed, slope),)


def _slope(z: Array, kappa: Array) -> Array:
    kappa = jnp.minimum(kappa, _LARGEST)
    angle = jnp.abs(z)
    rule = VON_MISES.of(kappa.dtype)
    length, _ = side(angle, sin_half(angle) ** 2, kappa, rule.cut)
    _, slope = integrals(angle, length, kappa, rule)
    return jnp.where(z < 0, -slope, slope)


@jax.custom_jvp
def _known(value: Array, formula: Array) -> Array:
    """`value`, which moves as `formula` does."""
    del formula
    return value


_known.defjvps(None, lambda tangent, _value, _formula, _: tangent)
