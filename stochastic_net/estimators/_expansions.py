"""First-order expansions of f around samples, at other points."""

import jax
import jax.numpy as jnp

from stochastic_net._types import Array, ArrayLike
from stochastic_net.estimators._target import Draws, Target, sum_of


def scalar_values(goal: Target, draws: Draws) -> tuple[Array, Draws]:
    """f of each sample and its derivative there, for an f of numbers."""

    def one(z: Draws) -> tuple[Array, Draws]:
        value, pull = jax.vjp(goal.function, z)
        if value.shape:
            raise ValueError(f"f must return a number for this estimator, got shape {value.shape}.")
        return value, pull(jnp.ones_like(value))[0]

    return jax.vmap(one)(draws)


def expand(gradients: Draws, at: Draws, around: Draws, scale: ArrayLike) -> Array:
    """scale g_j . (at_k - around_j), shape [k, j]."""

    def of(g: Array, x: Array, z: Array) -> Array:
        rows = lambda a: a.reshape(a.shape[0], -1)  # noqa: E731
        g, x, z = rows(g), rows(x), rows(z)
        here = (g * z).sum(-1)
        there = jnp.matmul(x, g.T, precision="highest")
        return there - jnp.broadcast_to(here, there.shape)

    total = sum_of(of(*triple) for triple in zip(gradients, at, around, strict=True))
    return jnp.asarray(scale, total.dtype) * total
