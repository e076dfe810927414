"""Moments of many values at once by drawing, without keeping the draws."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from stochastic_net._types import Array, Key
from stochastic_net.distributions import Gaussian

_CHUNK = 32  # draws at a time


class Drawn(NamedTuple):
    """Sample moments of every element of a value."""

    mean: Array
    std: Array
    skewness: Array
    kurtosis: Array  # excess: 0 for a Gaussian


def drawn_moments(
    draw: Callable[[Key], list[Array]], near: list[Gaussian], key: Key, num_samples: int
) -> list[Drawn]:
    """Of the values `draw(key)`, which `near` describes: powers are summed in its units."""
    return _drawn_moments(draw, num_samples, near, key)


@partial(jax.jit, static_argnums=(0, 1))
def _drawn_moments(draw: Callable, num_samples: int, near: list[Gaussian], key: Key) -> list[Drawn]:
    chunks = -(-num_samples // _CHUNK)
    units = [jnp.where(x.var > 0, x.std, 1) for x in near]

    def powers(key: Key) -> list[list[Array]]:
        away = [(y - x.mean) / u for y, x, u in zip(draw(key), near, units, strict=True)]
        return [[a**k for k in (1, 2, 3, 4)] for a in away]

    def add(sums: list, keys: Array) -> tuple[list, None]:
        return jax.tree.map(lambda s, x: s + x.sum(0), sums, jax.vmap(powers)(keys)), None

    keys = jax.random.split(key, chunks * _CHUNK).reshape(chunks, _CHUNK)
    sums, _ = lax.scan(add, [[jnp.zeros_like(x.mean)] * 4 for x in near], keys)
    return [
        _moments(x.mean, unit, *(s / keys.size for s in four))
        for x, unit, four in zip(near, units, sums, strict=True)
    ]


def _moments(mean: Array, unit: Array, m: Array, m2: Array, m3: Array, m4: Array) -> Drawn:
    """From the mean powers of (x - mean) / unit."""
    var = jnp.maximum(m2 - m * m, 0)
    third = m3 - 3 * m * m2 + 2 * m**3
    fourth = m4 - 4 * m * m3 + 6 * m * m * m2 - 3 * m**4
    safe = jnp.where(var > 0, var, 1)
    std = jnp.sqrt(var)
    return Drawn(mean + unit * m, unit * std, third / safe**1.5, fourth / safe**2 - 3)
