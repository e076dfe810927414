"""First-order expansions of f, whose slopes are those at other samples."""

import jax
import jax.numpy as jnp

from stochastic_net._types import Array
from stochastic_net.estimators._target import Draws, Target, sum_of


def scalar_values(goal: Target, draws: Draws) -> tuple[Array, Draws]:
    """f of each sample and its derivative there, for an f of numbers."""

    def one(z: Draws) -> tuple[Array, Draws]:
        value, pull = jax.vjp(goal.function, z)
        if value.shape:
            raise ValueError(f"f must return a number for this estimator, got shape {value.shape}.")
        return value, pull(jnp.ones_like(value))[0]

    return jax.vmap(one)(draws)


def expansions(gradients: Draws, away: Draws) -> Array:
    """g_j . (z_k - mu) as an array [k, j], `away` being z - mu."""

    def of(g: Array, x: Array) -> Array:
        flat = (x.shape[0], -1)
        return jnp.matmul(x.reshape(flat), g.reshape(flat).T, precision="highest")

    return sum_of(of(*pair) for pair in zip(gradients, away, strict=True))


def mean_of_others(table: Array) -> Array:
    """For each row k of an array [k, j, ...] the mean over j != k."""
    count = table.shape[0]
    own = jnp.eye(count, dtype=bool).reshape(count, count, *(1,) * (table.ndim - 2))
    kept = jnp.where(jnp.broadcast_to(own, table.shape), 0.0, table)
    return kept.sum(1) / (count - 1)
