"""Elementary functions in the form that keeps their digits, and their derivatives finite."""

import math

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from stochastic_net._types import Array, ArrayLike
from stochastic_net.distributions._arguments import parameters
from stochastic_net.random import checked


def exp_open(log_x: Array) -> Array:
    """exp, held within the smallest and the largest normal number: neither 0 nor infinite."""
    return jnp.exp(jnp.clip(log_x, *_log_ends(log_x.dtype)))


def scaled_exp(scale: Array, log_x: Array, x: Array | None = None) -> Array:
    """scale * e^log_x, within the normal numbers, which neither factor need be for the product.

    Its derivative in `scale` is e^log_x, that in `log_x` the product, and 0 where it is an end.

    Args:
      x: e^log_x as it is known more exactly, where it is a normal number; it moves with `log_x`,
        at an end, too, so that the derivative of `log_x` has to be small enough there.
    """
    if x is None:
        still_scale, still = jax.lax.stop_gradient((scale, log_x))
        near = jnp.exp(jnp.clip(still, *_log_ends(still.dtype)))
        log_x = jnp.where(_is_end(_scaled(still_scale, still, near)), still, log_x)
    else:
        near = jax.lax.stop_gradient(x)
    return _scaled(scale, log_x, near)


def _is_end(x: Array) -> Array:
    info = jnp.finfo(x.dtype)
    return (x == float(info.tiny)) | (x == float(info.max))


@jax.custom_jvp
def _scaled(scale: Array, log_x: Array, near: Array) -> Array:
    """`near` is e^log_x, or of log_x at one of its ends."""
    low, high = _log_ends(log_x.dtype)
    info = jnp.finfo(log_x.dtype)
    held = jnp.clip(log_x, low, high)
    beyond = jnp.exp(jnp.clip(log_x - held, low, high))  # 1, unless log_x was held
    near = jnp.where(log_x == held, near, jnp.exp(held))
    return jnp.clip(scale * near * beyond, float(info.tiny), float(info.max))


@_scaled.defjvp
def _scaled_jvp(primals, tangents):
    scale, log_x, near = primals
    product = _scaled(scale, log_x, near)
    return product, _scaled(jnp.ones_like(scale), log_x, near) * tangents[0] + product * tangents[1]


def _log_ends(dtype: DTypeLike) -> tuple[float, float]:
    """The logarithms of the smallest and of the largest normal number, or just inside."""
    info = jnp.finfo(dtype)
    return math.log(float(info.tiny)) + 1e-4, math.log(float(info.max)) - 1e-4


def log1mexp(x: Array) -> Array:
    """log(1 - exp(-x)) for x > 0 (Maechler 2012, "Accurately computing log(1 - exp(-|a|))")."""
    near = x < 0.6931472
    close = jnp.log(-jnp.expm1(-jnp.where(near, x, 1.0)))
    return jnp.where(near, close, jnp.log1p(-jnp.exp(-jnp.where(near, 1.0, x))))


def log1p_square(t: Array, unit: Array | float = 1.0) -> Array:
    """log(1 + (t / unit)^2), also where the square or the quotient overflows."""
    far = abs(t) > 1e9 * unit
    quotient = jnp.where(far, 1.0, t) / unit
    log_quotient = jnp.log(jnp.where(far, abs(t), 1.0)) - jnp.log(unit)
    return jnp.where(far, 2 * log_quotient, jnp.log1p(quotient * quotient))


def power(x: Array, exponent: Array) -> Array:
    """x^exponent for x >= 0 and exponent > 0, with derivative 0 at 0."""
    zero = x == 0
    return jnp.where(zero, 0.0, exp_open(exponent * jnp.log(jnp.where(zero, 1.0, x))))


def expit(t: Array) -> Array:
    """1 / (1 + exp(-t)), whose derivative has its digits for large t too: sigmoid's loses them."""
    below = t < 0
    tail = jax.nn.sigmoid(jnp.where(below, t, -t))
    return jnp.where(below, tail, 1 - tail)


def logit(probs: Array) -> Array:
    """log(p / (1 - p)), infinite at 0 and 1."""
    return jnp.log(probs) - jnp.log1p(-probs)


def softplus_ratio(t: Array) -> Array:
    """log(1 + e^t) / e^t, which tends to 1 for very negative t."""
    small = t < -20
    x = jnp.exp(jnp.where(small, t, -20.0))
    other = jnp.where(small, 0.0, t)
    return jnp.where(small, 1 - 0.5 * x, jnp.exp(-other) * jax.nn.softplus(other))


def beyond_bend(logits: Array, successes: Array, failures: Array) -> Array:
    """What log p^successes q^failures has lost where the logits were held within +-BEND.

    There it is a straight line, and the smaller of p and q is still a normal number at the bend.
    """
    above, below = jnp.maximum(logits - BEND, 0.0), jnp.minimum(logits + BEND, 0.0)
    return successes * below - failures * above


def exp_less_linear(d: Array) -> Array:
    """exp(d) - 1 - d >= 0, which is d^2 / 2 near 0."""
    near = abs(d) < 0.5
    x = jnp.where(near, d, 0.0)
    series = x * x * jnp.polyval(jnp.array(_EXP_TAIL, d.dtype), x, unroll=16)
    return jnp.where(near, series, jnp.expm1(d) - d)


def log_deviance(log_p: Array, log_q: Array) -> Array:
    """p log(p / q) + q - p >= 0, of logarithms that may be -inf; 0 where p and q agree."""
    absent = log_p == -jnp.inf
    log_p = jnp.where(absent, 0.0, log_p)
    d = jnp.where(absent, 0.0, log_q - log_p)
    near = abs(d) < 0.5
    close = jnp.exp(log_p) * exp_less_linear(jnp.where(near, d, 0.0))
    far = jnp.exp(log_q) - jnp.exp(log_p) - jnp.exp(log_p) * d
    return jnp.where(absent, jnp.exp(log_q), jnp.where(near, close, far))


def nan_unless(condition: Array, value: Array) -> Array:
    """`value` where it exists."""
    return jnp.where(condition, value, jnp.nan)


def to_int32(count: Array) -> Array:
    """Whole floats as int32, the largest one where they are larger."""
    largest = jnp.iinfo(jnp.int32).max
    fits = count < largest
    return jnp.where(fits, jnp.where(fits, count, 0.0).astype(jnp.int32), largest)


def probabilities(probs: ArrayLike) -> Array:
    """`probs` if they are floating probabilities, from 0 to 1."""
    probs = parameters(probs=probs)[0]
    return checked(_is_probability, probs, "probs must be probabilities, from 0 to 1.")


def _is_probability(p: Array) -> Array:
    return (p >= 0) & (p <= 1)


BEND = 80.0

# (exp(d) - 1 - d) / d^2 = 1/2 + d/6 + d^2/24 + ..., highest power first.
_EXP_TAIL = tuple(1 / math.factorial(k + 2) for k in reversed(range(13)))
