"""Quantiles of the gamma, beta and t laws: they move with the shapes and with the probability.

Each takes the probability as (q, 1 - q), both accurate where they are small. The derivative in q is
taken by the first; it is 1 / density.
"""

import math

import jax.numpy as jnp
from jax import lax

from stochastic_net._types import Array
from stochastic_net.distributions._masses import log_t_density, t_two_sided
from stochastic_net.distributions._share import log_density, share_of_logit, slopes, tails
from stochastic_net.random._gamma_gradient import gamma_tails, log_gamma_derivative
from stochastic_net.random._implicit import finite, moving
from stochastic_net.random._inverse import quantile
from stochastic_net.random._stirling import log_gamma_kernel
from stochastic_net.random._t_gradient import t_derivative


def two_sided(q: Array) -> tuple[Array, Array]:
    """The masses of a symmetric law nearer its centre than the quantile of q, and further out.

    The first is never 0: a quantile in the logarithm of the distance ends somewhere.
    """
    outside = 2 * jnp.where(q < 0.5, q, 1 - q)  # minimum has no slope at 0.5
    inside = 1 - outside
    return jnp.where(inside == 0, inside + 2.0**-65, inside), outside


def log_gamma_quantile(a: Array, q: Array, complement: Array) -> Array:
    """log z with the mass q of Gamma(a, 1) below z.

    P(a, z) >= q holds z up, through z^a / Gamma(a + 1) > P(a, z); Q(a, 2 (a + x)) < e^-x.
    """
    shape, q_, complement_ = lax.stop_gradient((a, q, complement))
    least = _log_range(a)
    y = quantile(
        lambda y: gamma_tails(shape, jnp.exp(y), y),
        lambda y: log_gamma_kernel(shape, jnp.exp(y), y),
        q_,
        complement_,
        -(least + 1) / shape - 1,
        jnp.log(2 * (shape + least)),
    )
    return _move_log_gamma(y, a, q)


def logit_beta_quantile(a: Array, b: Array, q: Array, complement: Array) -> Array:
    """logit x with the mass q of Beta(a, b) below x.

    As for the gamma law: x^a / (a B(a, b)) is larger than q where x is small, and so at both ends.
    """
    shapes = lax.stop_gradient((a, b))
    least, log_total = _log_range(a) + 1, jnp.log(shapes[0] + shapes[1] + 1) + 1
    y = quantile(
        lambda y: tails(*shapes, share_of_logit(y)),
        lambda y: log_density(*shapes, share_of_logit(y)),
        *lax.stop_gradient((q, complement)),
        -least / shapes[0] - log_total,
        least / shapes[1] + log_total,
    )
    return _move_logit_beta(y, a, b, q)


def t_quantile(df: Array, q: Array) -> Array:
    """t with the mass q of Student's law below it: beyond the largest number, that number."""
    df_, q_ = lax.stop_gradient((df, q))
    edge = jnp.full_like(df, _log_range(df))
    log_size = quantile(
        lambda y: t_two_sided(df_, jnp.exp(y)),
        lambda y: math.log(2) + log_t_density(df_, jnp.exp(y)) + y,
        *two_sided(q_),
        -edge,
        edge,
    )
    return _move_t(jnp.where(q_ < 0.5, -1, 1).astype(q.dtype) * jnp.exp(log_size), df, q)


def _log_range(like: Array) -> float:
    """-log of the smallest number, a little less: no probability and no share is smaller."""
    return -math.log(float(jnp.finfo(like.dtype).tiny)) - 0.1


@moving
def _move_log_gamma(y: Array, a: Array, q: Array) -> tuple[Array, Array]:
    del q
    z = jnp.exp(y)
    return log_gamma_derivative(a, z, y), finite(jnp.exp(-log_gamma_kernel(a, z, y)))


@moving
def _move_logit_beta(y: Array, a: Array, b: Array, q: Array) -> tuple[Array, Array, Array]:
    del q
    at = share_of_logit(y)
    return *slopes(a, b, at), finite(jnp.exp(-log_density(a, b, at)))


@moving
def _move_t(t: Array, df: Array, q: Array) -> tuple[Array, Array]:
    del q
    return finite(t_derivative(df, t)), finite(jnp.exp(-log_t_density(df, t)))
