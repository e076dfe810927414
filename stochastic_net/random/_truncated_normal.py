"""The standard normal between two bounds, by inversion that is exact in both tails."""

import math

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike, DTypeLike

from stochastic_net._types import Array, Key, Shape
from stochastic_net.random._arguments import arguments
from stochastic_net.random._elementary import full_exp, log, log1p, reciprocal, root
from stochastic_net.random._fence import once
from stochastic_net.random._implicit import exponential, moving
from stochastic_net.random._inverse import Coupling, check_coupling
from stochastic_net.random._keys import check_key
from stochastic_net.random._mills import LINEAR, central_mass, mills, short_mass, tail_mass
from stochastic_net.random._stream import stream
from stochastic_net.random._tails import normal_quantile_guess, signed_tail, split

Slopes = tuple[Array, Array]  # by the lower and the upper bound

_FAR = 1e15  # stands for an infinite bound; its square is finite in float32
_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


def truncated_normal(
    key: Key,
    lower: ArrayLike,
    upper: ArrayLike,
    shape: Shape | None = None,
    dtype: DTypeLike | None = None,
    *,
    coupling: Coupling = "fast",
) -> Array:
    r"""Draw z ~ N(0, 1) given lower < z < upper; the pathwise gradient is unbiased.

    With p the normal density and u the fraction of the mass of (lower, upper) that lies below z,

      dz/dlower = (1 - u) p(lower) / p(z),    dz/dupper = u p(upper) / p(z).

    The draw is the quantile of one uniform number, so that it is smooth in the bounds for a fixed
    key. It is exact however far out the bounds lie: `jax.random.truncated_normal(key, 5.5, 20)`
    returns one value and a NaN gradient in float32.

    Args:
      key: one typed key; it is consumed.
      lower, upper: the bounds, which broadcast; infinite ones are allowed.
      shape: shape of the draw, that of the bounds when None.
      dtype: float16, bfloat16 (both drawn in float32), float32 or float64; JAX's default when None.
      coupling: "fast" and "smooth" are the same here.

    Returns:
      An array inside the bounds, where a number lies between them. NaN where a bound is NaN or
      lower > upper.

    Raises:
      TypeError: `key` is not a typed key, or a dtype is not a float.
      ValueError: the shapes do not broadcast, or `coupling` is another word.

    Example:
      >>> import jax, stochastic_net as sn
      >>> def draw(lower):
      ...     return sn.random.truncated_normal(jax.random.key(0), lower, 20.0)
      >>> z, slope = jax.value_and_grad(draw)(5.5)
      >>> bool(5.5 < z < 20.0), bool(0 < slope <= 1)
      (True, True)

    Source: the derivative is implicit reparameterisation (Figurnov, Mohamed & Mnih 2018,
    arXiv:1805.08498).
    """
    check_key(key)
    check_coupling(coupling)
    draw, lower, upper = arguments(shape, dtype, lower=lower, upper=upper)
    return draw.finish(_truncated_normal(key, lower, upper))


@jax.jit
def _truncated_normal(key: Key, lower: Array, upper: Array) -> Array:
    signed = once(signed_tail(*stream(key, lower.shape)(0), lower.dtype))
    low, high = _finite(lax.stop_gradient(lower)), _finite(lax.stop_gradient(upper))
    z, slopes = _quantile(signed, low, high)
    z = _inside(z, low, high)
    valid = (lower <= upper) & (lower < jnp.inf) & (upper > -jnp.inf)
    return _move(jnp.where(valid, z, jnp.nan), lower, upper, fixed=slopes)


def _quantile(signed: Array, low: Array, high: Array) -> tuple[Array, Slopes]:
    """z with the fraction u of the mass of (low, high) below it, and how it moves with the two.

    Mirrored so that z >= 0, and measured from the inner end of its side: z = inner + t. The slopes
    are of t before the sum is rounded.
    """
    mirrored = high <= 0
    signed = jnp.where(mirrored, -signed, signed)
    low, high = _mirror(mirrored, low, high)
    t = once(_signed_distance(signed, low, high))
    negative, t = t < 0, jnp.abs(t)
    mirrored ^= negative
    u, complement = split(jnp.where(negative, -signed, signed))
    low, high = _mirror(negative, low, high)
    inner = jnp.maximum(low, 0)
    fall = t * (inner + t / 2)  # log of phi(inner) / phi(z)
    d_low = complement * full_exp(fall - jnp.minimum(low, 0) ** 2 / 2)
    d_high = u * full_exp(fall - _beyond(inner, high))
    z = inner + t
    return jnp.where(mirrored, -z, z), _swap(mirrored, d_low, d_high)


def _signed_distance(signed: Array, low: Array, high: Array) -> Array:
    """t, with the sign of z: one number for both, for XLA then computes one pass."""
    u, complement = split(signed)
    straddles = low < 0
    left, right = central_mass(jnp.maximum(-low, 0)), central_mass(high)
    from_zero = jnp.where(
        u < complement, u * (left + right) - left, right - complement * (left + right)
    )
    negative = straddles & (from_zero < 0)
    u, complement = _swap(negative, u, complement)
    low, high = _mirror(negative, low, high)
    inner = jnp.maximum(low, 0)
    total = jnp.where(straddles, left + right, tail_mass(inner, high - inner))
    inward = jnp.where(straddles, jnp.abs(from_zero), u * total)  # mass of (inner, z) / phi(inner)
    # mass of (z, inf) / phi(inner)
    outward = full_exp(-_beyond(inner, high)) * mills(high) + complement * total
    t = _start(inner, outward)
    for _ in range(1 if t.dtype == jnp.float32 else 2):
        t = _refine(t, inner, inward, outward)
    t = jnp.clip(t, 0, high - inner)
    return jnp.where(negative, -t, t)


def _beyond(inner: Array, high: Array) -> Array:
    """log of phi(inner) / phi(high)."""
    return (high - inner) * ((high + inner) / 2)


def _start(inner: Array, outward: Array) -> Array:
    """t to about 1 % of the scale 1 / z on which the tail falls."""
    log_tail = log(outward)
    near = normal_quantile_guess(log_tail - inner * inner / 2 - _LOG_SQRT_2PI) - inner
    far_inner = jnp.maximum(inner, 1)
    fall = jnp.maximum(log(mills(inner)) - log_tail, 0)  # = z^2/2 - inner^2/2 + log(R / R)
    exponent = fall - 0.5 * log1p(2 * fall * reciprocal(far_inner * far_inner))
    far = 2 * exponent * reciprocal(inner + root(far_inner * far_inner + 2 * exponent))
    return jnp.maximum(jnp.where(inner < 6, near, far), 0)


def _refine(t: Array, inner: Array, inward: Array, outward: Array) -> Array:
    """One step of fourth order, on the mass that is the smaller of the two sides of z."""
    z = inner + t
    exponent = jnp.minimum(t * (inner + t / 2), 80)
    near = exponent < LINEAR
    growth = full_exp(exponent)
    step = jnp.where(
        near,
        (inward - short_mass(inner, jnp.where(near, t, 0))) * growth,
        mills(z) - outward * growth,
    )
    return t + step * (1 + step * (z / 2 + step * ((2 * z * z + 1) / 6)))


def _inside(z: Array, low: Array, high: Array) -> Array:
    """`z` strictly between the bounds where a normal number is."""
    tiny = jnp.finfo(z.dtype).tiny
    above = jnp.where(low == 0, tiny, jnp.nextafter(low, jnp.full_like(low, jnp.inf)))
    below = jnp.where(high == 0, -tiny, jnp.nextafter(high, jnp.full_like(high, -jnp.inf)))
    return jnp.clip(z, jnp.minimum(above, high), jnp.maximum(below, low))


@moving
def _move(z: Array, lower: Array, upper: Array, *, fixed: Slopes) -> Slopes:
    """dz/dlower = (1 - u) p(lower) / p(z) and dz/dupper = u p(upper) / p(z)."""

    def slope(value: Array, bound: Array) -> Array:
        return exponential(value, (z - _finite(bound)) * (z + _finite(bound)) / 2)

    return slope(fixed[0], lower), slope(fixed[1], upper)


def _finite(bound: Array) -> Array:
    return jnp.clip(bound, -_FAR, _FAR)


def _mirror(mirrored: Array, low: Array, high: Array) -> tuple[Array, Array]:
    return jnp.where(mirrored, -high, low), jnp.where(mirrored, -low, high)


def _swap(swapped: Array, a: Array, b: Array) -> tuple[Array, Array]:
    return jnp.where(swapped, b, a), jnp.where(swapped, a, b)
