"""Draws as functions of accepted noise, h(eps, theta), and the law of that noise."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from stochastic_net._types import Array, Key, Shape
from stochastic_net.distributions import Gamma, VonMisesFisher
from stochastic_net.random import require_if_concrete


class Accepted(NamedTuple):
    """Draws h(eps, theta), eps fixed; and log pi(eps; theta), up to a constant, of each."""

    draw: Array
    log_density: Array


Rule = Callable[[Any, Key, Shape], Accepted]
PROPOSALS: dict[type, Rule] = {}


def proposal_rule(kind: type) -> Callable[[Rule], Rule]:
    """Register `(law, key, shape) -> Accepted` for a type of distribution.

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> @sn.estimators.proposal_rule(sn.distributions.HalfNormal)
      ... def _(law, key, shape):  # h = scale eps: its noise has a law without parameters
      ...     z = law.sample(key, shape)
      ...     return sn.estimators.Accepted(z, jnp.zeros_like(z))
    """

    def register(rule: Rule) -> Rule:
        PROPOSALS[kind] = rule
        return rule

    return register


@proposal_rule(Gamma)
def _(law: Gamma, key: Key, shape: Shape) -> Accepted:
    """z rate = d (1 + eps / (3 sqrt d))^3, d = concentration - 1/3 (Marsaglia & Tsang 2000)."""
    message = "the concentration of a Gamma must be above 1 for the estimator `rejection`."
    require_if_concrete(lambda a: a > 1, law.concentration, message)
    fixed = lax.stop_gradient(law).sample(key, shape)
    a = jnp.broadcast_to(law.concentration, fixed.shape)
    rate = jnp.broadcast_to(law.rate, fixed.shape)
    d = a - 1 / 3
    root = 3 * jnp.sqrt(d)
    eps = lax.stop_gradient((jnp.cbrt(fixed * rate / d) - 1) * root)
    base = 1 + eps / root
    z = d * base**3 / rate
    return Accepted(z, law.log_prob(z) + jnp.log(3 * d * base * base / (root * rate)))


@proposal_rule(VonMisesFisher)
def _(law: VonMisesFisher, key: Key, shape: Shape) -> Accepted:
    """The odds of (1 - mu . x)/2 are b(concentration) times those of the noise (Wood 1994).

    In mean_direction the draw itself moves, by a rotation.
    """
    mu, kappa = law.mean_direction, law.concentration
    half = 0.5 * (mu.shape[-1] - 1)
    structure = jax.tree.structure(law)
    x = structure.unflatten([mu, lax.stop_gradient(kappa)]).sample(key, shape)
    axis = jnp.broadcast_to(mu / jnp.linalg.norm(mu, axis=-1, keepdims=True), x.shape)
    wide = jnp.broadcast_to(kappa, x.shape[:-1])
    still_x, still_axis = lax.stop_gradient((x, axis))
    height = (still_x * still_axis).sum(-1)
    across = still_x - height[..., None] * still_axis
    size = jnp.linalg.norm(across, axis=-1)
    log_b = jnp.log(half / (wide + jnp.sqrt(wide * wide + half * half)))
    log_odds = 2 * (jnp.log(size) - jnp.log1p(height)) + (log_b - lax.stop_gradient(log_b))
    low, rest = jax.nn.sigmoid(log_odds), jax.nn.sigmoid(-log_odds)
    new_height, new_size = rest - low, 2 * jnp.sqrt(low * rest)

    def at(mu_part: Array, unit: Array) -> Array:
        return new_height[..., None] * mu_part + new_size[..., None] * unit

    unit = across / size[..., None]
    by_kappa = at(still_axis, unit)
    draw = x + (by_kappa - lax.stop_gradient(by_kappa))
    still_law = structure.unflatten([lax.stop_gradient(mu), kappa])
    log_density = still_law.log_prob(by_kappa) + half * jnp.log(4 * low * rest)
    return Accepted(draw, log_density)
