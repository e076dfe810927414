"""Pairs of coins flipped by a uniform number and by what it lacks to 1."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from stochastic_net._types import Array, Key
from stochastic_net.distributions import _noise as noise
from stochastic_net.estimators._relaxed import Coin, fixed
from stochastic_net.estimators._surrogate import slope
from stochastic_net.estimators._target import Draws, Target, sum_of


class Pair(NamedTuple):
    """z = [u < p] and z' = [1 - u < p] as floats, and u; lists, one array a law."""

    draws: tuple[Draws, Draws]
    uniform: list[Array]


def coupled(goal: Target, laws: list[Coin], key: Key) -> Pair:
    """num_samples / 2 pairs of each coin, without derivatives."""
    first, second, uniform = [], [], []
    for law, k in zip(fixed(laws), goal.keys(key), strict=True):
        shape = (goal.num_samples // 2, *law.logits.shape)
        e = noise.logistic(k, shape, law.logits.dtype)  # the logit of u
        wide = jnp.broadcast_to(law.logits, shape)
        first.append((wide > e).astype(e.dtype))
        second.append((wide > -e).astype(e.dtype))
        uniform.append(jax.nn.sigmoid(e))
    return Pair((first, second), uniform)


def difference(goal: Target, laws: list[Coin], pair: Pair, weights: list[Array]) -> Array:
    """The mean of f over both, with the gradient (f(z) - f(z')) weights of each pair."""
    both = [
        jnp.concatenate([z, mirrored]).astype(jnp.int32)
        for z, mirrored in zip(*pair.draws, strict=True)
    ]
    values, half = goal.values(both), goal.num_samples // 2
    difference = values[:half] - values[half:]
    return values.mean(0) + jax.vmap(slope)(difference, _zero(laws, weights)).mean(0)


def _zero(laws: list[Coin], weights: list[Array]) -> Array:
    """For each pair, with the derivative weights . dlogits."""

    def of(law: Coin, weight: Array) -> Array:
        return jax.vmap(slope, (0, None))(weight, law.logits)

    return sum_of(of(law, weight) for law, weight in zip(laws, weights, strict=True))
