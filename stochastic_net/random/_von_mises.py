r"""The von Mises law on the circle, by inversion: no angle is proposed and refused.

With 1 - cos t = 2 sin^2(t / 2), its mass beyond an angle z in [0, pi] and the derivative of a draw
are one integral with two weights,

  P(Z > z) / p(z) = int_z^pi e(t) dt,    e(t) = exp(kappa (cos t - cos z)),
  dz/dkappa       = int_z^pi (cos t - A) e(t) dt = -int_0^z (the same) dt,    A = E cos Z,

the last for the integral over [0, pi] vanishes. Taken on the side where cos t - A has one sign,
nothing cancels, and Gauss-Legendre nodes up to where e(t) has died away converge exponentially,
at the same rate for all kappa and z.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.special import i0e
from jax.typing import ArrayLike, DTypeLike

from stochastic_net._types import Array, Key, Shape
from stochastic_net.random._arguments import arguments
from stochastic_net.random._chebyshev import half_line_series
from stochastic_net.random._elementary import exp
from stochastic_net.random._fence import once
from stochastic_net.random._implicit import moving
from stochastic_net.random._inverse import Coupling, check_coupling
from stochastic_net.random._keys import check_key
from stochastic_net.random._quadrature import unit_nodes
from stochastic_net.random._stream import stream
from stochastic_net.random._tails import both_tails, normal_quantile_guess

Weight = Callable[[Array], Array]
Nodes = tuple[int, int]  # how many in float32 and in float64

_LARGEST = 1e15  # concentrations beyond are drawn as this one
_CUT = {np.dtype(np.float32): 14.0, np.dtype(np.float64): 40.0}  # e^-E is left out beyond
_NODES: Nodes = (10, 32)
_ROUGH: Nodes = (6, 32)  # for a first step, to a hundredth
# (1 + kappa) (1 - I_1(kappa) / I_0(kappa)) in Chebyshev polynomials of (kappa - 3) / (kappa + 3),
# from 40 digits.
_DISPERSION = np.array(
    [
        0.79856561508531703,
        -0.33678961757231118,
        -0.017233277418938648,
        0.094037723570644469,
        -0.040847347170092419,
        -0.006533578184676175,
        0.011650244723077686,
        -0.0012327562535470625,
        -0.002575120707053951,
        0.00067411816594614934,
        0.00053033170931214445,
        -0.00019006431171611064,
        -0.00010947082331788799,
        3.935290804746404e-5,
        2.283098137636895e-5,
        -5.3174168712463063e-6,
        -4.3604815320398644e-6,
        -9.1142439454045863e-8,
        5.3168656835595591e-7,
        3.097991843058453e-7,
        7.5049493439809583e-8,
        -8.556759933729352e-8,
        -7.2116539262573189e-8,
        -5.5633546245086884e-11,
        2.2357336478276359e-8,
        9.0420291668212177e-9,
        -2.1643995783562883e-9,
        -3.4510536170406454e-9,
        -1.1971659229819053e-9,
        3.2917996318626535e-10,
        5.580418666069038e-10,
        2.2940242822873968e-10,
        -4.0085798177005948e-11,
        -9.7429665254873984e-11,
        -4.7268554256671651e-11,
        1.3155085873966657e-12,
        1.614038458415197e-11,
        1.0258437564081182e-11,
        1.3948945604733333e-12,
        -2.7795919059056605e-12,
        -2.4321525784431599e-12,
    ]
)
# sin(x) = x - x^3 / 6 + ... on [0, pi / 2]
_SINE = [(-1) ** k / math.factorial(2 * k + 1) for k in range(12)]


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
    high, low = stream(key, kappa.shape)(0)
    beyond, within = both_tails(high << np.uint32(1), low, kappa.dtype)  # P(|Z| > z), P(|Z| < z)
    valid = lax.stop_gradient(kappa) >= 0
    concentration = jnp.clip(lax.stop_gradient(kappa), 0, _LARGEST)
    z = _quantile(beyond, within, concentration)
    z = jnp.where(high < np.uint32(0x80000000), z, -z)
    return _move(jnp.where(valid, z, jnp.nan), kappa)


def _quantile(beyond: Array, within: Array, kappa: Array) -> Array:
    """z >= 0 with P(|Z| > z) = beyond: a start near it, then steps of fourth order."""
    norm = once(math.pi * i0e(kappa))  # the integral of exp(kappa (cos t - 1)) over [0, pi]
    z = _start(beyond, within, kappa, norm)
    beyond, within = beyond * norm, within * norm
    z = once(_refine(once(z), beyond, within, kappa, _ROUGH))
    return _refine(z, beyond, within, kappa, _NODES)


def _refine(z: Array, beyond: Array, within: Array, kappa: Array, nodes: Nodes) -> Array:
    """One step to where the smaller of the two integrals reaches its target."""
    upper = beyond < within
    square = _sin_half(z) ** 2
    scale = jnp.exp(jnp.minimum(2 * kappa * square, 85))
    integral = _integrate(z, upper, kappa, lambda s2: jnp.ones_like(s2), nodes)
    step = integral - jnp.where(upper, beyond, -within) * scale
    slope = kappa * jnp.sqrt(4 * square * (1 - square))  # kappa sin z = -d log p / dz
    bend = kappa * (1 - 2 * square)
    cubic = (bend + 2 * slope * slope) / 6
    quartic = slope * (7 * bend + 6 * slope * slope - 1) / 24
    z = z + step * (1 + step * (slope / 2 + step * (cubic + step * quartic)))
    return jnp.clip(z, 0, _pi(z.dtype)[0])


def _start(beyond: Array, within: Array, kappa: Array, norm: Array) -> Array:
    """z to within a quarter of the scale on which its density falls.

    Near 0 the law is normal in 2 sqrt(kappa) sin(z / 2), near pi its density grows as that of an
    error function of an imaginary argument, and for a small kappa it is nearly uniform.
    """
    k = jnp.maximum(kappa, 0.5)
    log_half = jnp.log(beyond / 2)
    ratio = normal_quantile_guess(log_half) ** 2 / (4 * k)
    a = 1 / (4 * k)
    centre = ratio * (1 + 0.625 * a * a) - a * jnp.log(jnp.maximum(1 - ratio, 1e-3))
    log_distance = 2 * (log_half + jnp.log(2 * norm)) + jnp.log(k) + 4 * k
    growth = jnp.log1p(jnp.exp(jnp.minimum(log_distance, 80)))
    opposite = growth * (1 + growth / (6 + 4 * growth))  # of (2 sqrt(kappa) cos(z / 2))^2
    tail = opposite < 15 * k * k / (2.5 + k * (4 + k))
    angle = _twice_arcsin(jnp.where(tail, opposite * a, centre), tail)
    return jnp.where(kappa < 0.78, _near_uniform(within, kappa), angle)


def _near_uniform(within: Array, kappa: Array) -> Array:
    """One Newton step from the uniform law, on the first two harmonics."""
    theta = math.pi * within
    first = jnp.minimum(kappa, 1) * (1 - jnp.minimum(kappa, 1) ** 2 / 8)  # 2 I_1 / I_0
    second = jnp.minimum(kappa, 1) ** 2 / 8  # I_2 / I_0
    half = _sin_half(theta)
    cosine, sine = 1 - 2 * half * half, 2 * half * _sin_half(math.pi - theta)
    excess = sine * (first + 2 * second * cosine)
    return theta - excess / (1 + first * cosine + 2 * second * (2 * cosine * cosine - 1))


def _integrate(z: Array, upper: Array, kappa: Array, weight: Weight, nodes: Nodes) -> Array:
    """The integral of weight(sin^2(t / 2)) e(t) from z on: up to pi where `upper`, else down to 0.

    Downwards it is minus the integral from 0 to z.
    """
    square = _sin_half(z) ** 2
    cut = _CUT[np.dtype(z.dtype)]
    end = jnp.sqrt(jnp.minimum(square + cut / jnp.maximum(2 * kappa, cut), 1))
    end = jnp.minimum(
        2 * end + (math.pi - 2) * end * end * end, _pi(z.dtype)[0]
    )  # >= 2 arcsin(end)
    length = jnp.where(upper, (end - z) + _pi(z.dtype)[1], -z)
    total = jnp.zeros_like(z)
    for x, w in zip(*unit_nodes(*nodes, z.dtype), strict=True):
        s2 = _sin_half(z + length * x) ** 2
        total += w * weight(s2) * exp(2 * kappa * (square - s2))
    return length * total


@moving
def _move(z: Array, kappa: Array) -> tuple[Array]:
    kappa = jnp.minimum(kappa, _LARGEST)
    dispersion = half_line_series(_DISPERSION, 3.0, kappa) / (1 + kappa)  # 1 - A
    angle = jnp.abs(z)
    upper = 2 * _sin_half(angle) ** 2 > dispersion
    slope = _integrate(angle, upper, kappa, lambda s2: dispersion - 2 * s2, _NODES)
    return (jnp.where(z < 0, -slope, slope),)


def _pi(dtype) -> tuple[np.ndarray, np.ndarray]:
    """The largest number of that dtype below pi, and what is missing: pi - z is exact with both."""
    nearest = np.asarray(math.pi, dtype)
    below = nearest if float(nearest) <= math.pi else np.nextafter(nearest, np.asarray(0, dtype))
    return below, np.asarray(math.pi - float(below) + 1.2246467991473532e-16, dtype)


def _sin_half(t: Array) -> Array:
    """sin(t / 2) for t in [0, pi], by its series: no reduction of the argument."""
    x = t / 2
    terms = 6 if t.dtype == jnp.float32 else 11
    value = jnp.zeros_like(x)
    for c in _SINE[terms - 1 :: -1]:
        value = value * (x * x) + c
    return x * value


def _twice_arcsin(square: Array, complement: Array) -> Array:
    """2 arcsin(sqrt(square)), or pi minus that where `complement`, to four digits."""
    square = jnp.clip(square, 0, 1)
    large = square > 0.5
    y = jnp.where(large, 1 - square, square)
    angle = 2 * jnp.sqrt(y) * (1 + y * (1 / 6 + y * (3 / 40 + y * (0.0446 + y * 0.045))))
    return jnp.where(large ^ complement, math.pi - angle, angle)
