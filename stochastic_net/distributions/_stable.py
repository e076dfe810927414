"""Elementary functions in the form that keeps their digits, and their derivatives finite."""

import jax
import jax.numpy as jnp

from stochastic_net._types import Array


def exp_open(log_x: Array) -> Array:
    """exp, held within the smallest and the largest normal number: neither 0 nor infinite."""
    info = jnp.finfo(log_x.dtype)
    low, high = (float(jnp.log(jnp.asarray(b, log_x.dtype))) for b in (info.tiny, info.max))
    return jnp.exp(jnp.clip(log_x, low + 1e-4, high - 1e-4))


def log1mexp(x: Array) -> Array:
    """log(1 - exp(-x)) for x > 0 (Maechler 2012, "Accurately computing log(1 - exp(-|a|))")."""
    near = x < 0.6931472
    close = jnp.log(-jnp.expm1(-jnp.where(near, x, 1.0)))
    return jnp.where(near, close, jnp.log1p(-jnp.exp(-jnp.where(near, 1.0, x))))


def log1p_square(t: Array) -> Array:
    """log(1 + t^2), also where the square overflows."""
    far = abs(t) > 1e9
    square = jnp.where(far, 1.0, t)
    return jnp.where(far, 2 * jnp.log(jnp.where(far, abs(t), 1.0)), jnp.log1p(square * square))


def power(x: Array, exponent: Array) -> Array:
    """x^exponent for x >= 0 and exponent > 0, with derivative 0 at 0."""
    zero = x == 0
    return jnp.where(zero, 0.0, exp_open(exponent * jnp.log(jnp.where(zero, 1.0, x))))


def logit(probs: Array) -> Array:
    """log(p / (1 - p)), infinite at 0 and 1."""
    return jnp.log(probs) - jnp.log1p(-probs)


def nan_unless(condition: Array, value: Array) -> Array:
    """`value` where it exists."""
    return jnp.where(condition, value, jnp.nan)


def softplus(x: Array) -> Array:
    """log(1 + exp(x)): minus the log of the probability of failure at a logit of x."""
    return jax.nn.softplus(x)
