"""Importance weights of many draws of one example."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from stochastic_net._types import Array, PyTree
from stochastic_net.estimators._target import Draws, Target
from stochastic_net.objectives._parts import log_prob


def terms(
    goal: Target, log_likelihood: Callable[[Any], Array], q: PyTree, prior: PyTree, draws: Draws
) -> tuple[Array, Array]:
    """log p(x | z) and log q(z) - log p(z), of each draw."""

    def one(z: PyTree) -> Array:
        likelihood = jnp.asarray(log_likelihood(z))
        ratio = log_prob(q, z) - log_prob(prior, z, like=q)
        return jnp.stack([likelihood, ratio.astype(likelihood.dtype)])

    both = jax.vmap(goal.over(one))(draws)
    return both[:, 0], both[:, 1]


def log_mean_exp(log_w: Array) -> Array:
    """The logarithm of the mean weight."""
    return jax.nn.logsumexp(log_w) - jnp.log(jnp.asarray(log_w.shape[0], log_w.dtype))
