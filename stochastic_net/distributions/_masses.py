r"""The masses of the gamma, beta and t laws below and above a value, with their derivatives.

With F the mass below z of a law of shape a and p its density, dF = p (dz - (dz/da) da), where dz/da
is how a draw that keeps its quantile moves: the integral that the samplers use.
"""

import jax.numpy as jnp
from jax import lax

from stochastic_net._types import Array
from stochastic_net.distributions._share import (
    Share,
    log_density,
    share,
    share_of_odds,
    slopes,
    tails,
)
from stochastic_net.distributions._stable import log1p_square
from stochastic_net.random._gamma_gradient import gamma_tails, log_gamma_derivative
from stochastic_net.random._implicit import moving
from stochastic_net.random._stirling import LOG_2PI, lgamma_increment, log_gamma_kernel
from stochastic_net.random._t_gradient import t_derivative


def gamma_masses(a: Array, z: Array, log_z: Array) -> tuple[Array, Array]:
    """P(a, z) and Q(a, z), which move with a and log_z; z may have underflowed to 0."""
    below, above = gamma_tails(*lax.stop_gradient((a, z, log_z)))
    return _move_gamma(below, a, z, log_z), -_move_gamma(-above, a, z, log_z)


def beta_masses(a: Array, b: Array, x: Array, complement: Array) -> tuple[Array, Array]:
    """The masses of Beta(a, b) below and above x, with `complement` = 1 - x, neither of them 0."""
    a_, b_, x_, complement_ = lax.stop_gradient((a, b, x, complement))
    below, above = tails(a_, b_, share(x_, complement_))
    return _move_beta(below, a, b, x, complement), -_move_beta(-above, a, b, x, complement)


def t_below(df: Array, t: Array) -> Array:
    """The mass of Student's t below t, each tail exact where it is small."""
    df_, t_ = lax.stop_gradient((df, t))
    tail = 0.5 * t_two_sided(df_, abs(t_))[1]
    return _move_t(jnp.where(t_ < 0, tail, 1 - tail), df, t)


def t_two_sided(df: Array, t: Array) -> tuple[Array, Array]:
    """P(-t < T < t) and the rest for t >= 0, for t^2 / (df + t^2) ~ Beta(1/2, df/2)."""
    return tails(jnp.full_like(df, 0.5), 0.5 * df, share_of_odds(t, jnp.sqrt(df)))


def log_t_density(df: Array, t: Array) -> Array:
    """The log-density of Student's t; digits and all the normal one for many degrees of freedom."""
    half = 0.5 * df
    size = 0.5 * LOG_2PI - lgamma_increment(half)
    return -(half + 0.5) * log1p_square(t, jnp.sqrt(df)) - size


@moving
def _move_gamma(mass: Array, a: Array, z: Array, log_z: Array) -> tuple[Array, Array, Array]:
    density = jnp.exp(log_gamma_kernel(a, z, log_z))  # of log z, with which alone it moves
    return -density * log_gamma_derivative(a, z, log_z), jnp.zeros_like(mass), density


@moving
def _move_beta(mass: Array, a: Array, b: Array, x: Array, complement: Array) -> tuple[Array, ...]:
    del mass
    at: Share = share(x, complement)
    density = jnp.exp(log_density(a, b, at))
    by_a, by_b = slopes(a, b, at)
    return -density * by_a, -density * by_b, density / x, -density / complement


@moving
def _move_t(mass: Array, df: Array, t: Array) -> tuple[Array, Array]:
    del mass
    density = jnp.exp(log_t_density(df, t))
    return -density * t_derivative(df, t), density
