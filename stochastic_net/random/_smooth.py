"""Gamma and beta draws as quantiles: for a fixed key they are smooth in the parameters."""

import math

import jax
import jax.numpy as jnp

from stochastic_net._types import Array, Key
from stochastic_net.random._beta_gradient import beta_tails, log_beta_kernel
from stochastic_net.random._gamma_gradient import gamma_tails
from stochastic_net.random._inverse import quantile
from stochastic_net.random._stirling import log_gamma_kernel
from stochastic_net.random._stream import stream
from stochastic_net.random._tails import both_tails

_LEAST = 65 * math.log(2)  # of -log u: `both_tails` draws no smaller tail


def log_gamma_quantile(key: Key, a: Array) -> Array:
    """log z for z ~ Gamma(a, 1), the quantile of one uniform number; without derivatives.

    P(a, z) >= u holds z up, through z^a / Gamma(a + 1) > P(a, z).
    """
    u, complement = both_tails(*stream(key, a.shape)(0), a.dtype)
    return quantile(
        lambda y: gamma_tails(a, jnp.exp(y), y),
        lambda y: log_gamma_kernel(a, jnp.exp(y), y),
        u,
        complement,
        -(_LEAST + 1) / a - 1,
        jnp.log(2 * a + 200),
    )


def logit_beta_quantile(key: Key, a: Array, b: Array) -> Array:
    """logit x for x ~ Beta(a, b), the quantile of one uniform number; without derivatives."""
    u, complement = both_tails(*stream(key, a.shape)(0), a.dtype)

    def shares(y: Array) -> tuple[Array, Array]:
        tiny = jnp.finfo(y.dtype).tiny
        return jnp.maximum(jax.nn.sigmoid(y), tiny), jnp.maximum(jax.nn.sigmoid(-y), tiny)

    edge = math.log(float(jnp.finfo(a.dtype).max)) - 1  # of the logits whose shares are not 0
    reach = [jnp.minimum((_LEAST + 1) / shape + jnp.log(a + b + 1) + 1, edge) for shape in (a, b)]
    return quantile(
        lambda y: beta_tails(a, b, *shares(y)),
        lambda y: log_beta_kernel(a, b, *shares(y)),
        u,
        complement,
        -reach[0],
        reach[1],
    )
