r"""Softmax and log-sum-exp of independent Gaussian logits: integrals over one number.

With S = sum_j e^{x_j} and 1/S = int_0^inf e^{-t S} dt the logits come apart: for t = e^s, and
T_k(s) = E e^{k (x + s)} exp(-e^{x + s}) of each,

  E p_i   = int T_1i(s) prod_{j != i} T_0j(s) ds,
  E p_i^2 = int T_2i(s) prod_{j != i} T_0j(s) ds,

exact for every variance. The sum over i of the first integrand is the density of U = log W - log S
for an exponential W, so that E log S = E log W - E U and Var log S = Var U - pi^2 / 6.

Many logits are taken on an even grid of s, where one exponential serves many places; where the grid
does not reach, and where there are few, they are taken at nodes of their own.
"""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from stochastic_net._types import Array
from stochastic_net.moments._integrals.laplace import deviation
from stochastic_net.moments._integrals.softmax_grid import by_grid, reach
from stochastic_net.moments._integrals.softmax_nodes import by_nodes
from stochastic_net.moments._integrals.tiles import any_above

_SPAN = 3.5  # deviations of log S to either side
_MANY = 2**12  # logits for which the grid is worth its compilation
_PLACES = (28, 48)  # of a short and of a long grid
_TILE = 2**13  # logits that are on the grid at once: 10 MB
_MOST = 2**16  # and that may be where no fewer can be


class Integrals(NamedTuple):
    """E p and E p^2; with axes of size 1, E (1 - p)^2 of the likeliest, E log S and Var log S."""

    first: Array
    second: Array
    rest: Array
    log_sum: Array
    log_sum_var: Array


def integrals(mean: Array, var: Array, axes: tuple[int, ...]) -> Integrals:
    """Of softmax and log S over `axes`."""
    others = tuple(axis for axis in range(mean.ndim) if axis not in axes)
    first, rest, count = (
        math.prod(mean.shape[axis] for axis in some) for some in (others[:1], others[1:], axes)
    )
    spread = {axis for axis, name in enumerate(jax.typeof(mean).sharding.spec) if name is not None}
    if mean.size < _MANY or first * count > _MOST or spread - set(others[:1]):
        return Integrals(*by_nodes(mean, var, *_range(mean, var, axes), axes))
    order = (*others, *axes)
    back = tuple(map(order.index, range(mean.ndim)))
    rows = min(max(_TILE // (first * count), 1), rest)

    def tiles(x: Array) -> Array:  # the first axis stays whole: it may be spread over devices
        x = jnp.transpose(x, order).reshape(first, rest, count)
        x = jnp.concatenate([x, x[:, : -rest % rows]], 1)  # the last tile is filled up
        return jnp.moveaxis(x.reshape(first, -1, rows, count), 1, 0)

    def whole(x: Array) -> Array:
        x = jnp.moveaxis(x, 0, 1).reshape(first, -1, x.shape[-1])[:, :rest]
        shape = [mean.shape[axis] if axis in others or x.shape[-1] > 1 else 1 for axis in order]
        return jnp.transpose(x.reshape(shape), back)

    found = lax.map(jax.checkpoint(_tile), (tiles(mean), tiles(var)))
    return Integrals(*map(whole, found))


def _tile(moments: tuple[Array, Array]) -> tuple[Array, ...]:
    mean, var = moments
    low, high = _range(mean, var, (2,))
    forms = (
        *(partial(by_grid, places=places) for places in _PLACES),
        partial(by_nodes, axes=(2,)),
    )
    form = sum(any_above(high - low, reach(places)).astype(jnp.int32) for places in _PLACES)
    return lax.switch(form, forms, mean, var, low, high)


def _range(mean: Array, var: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """Where log S lies: about the log-normal number of the mean and variance of S (Fenton 1960).

    That one is drawn to what is rare and huge, and no bound where it is wide; the largest terms
    are.
    """
    scale = deviation(var)
    count = math.prod(mean.shape[axis] for axis in axes)
    log_mean = jax.nn.logsumexp(mean + var / 2, axes, keepdims=True)
    log_own = 2 * mean + var + _log_expm1(var)
    spread = jnp.logaddexp(jax.nn.logsumexp(log_own, axes, keepdims=True) - 2 * log_mean, 0.0)
    centre, half = log_mean - spread / 2, _SPAN * jnp.sqrt(spread)
    least = (mean - 4 * scale).max(axes, keepdims=True)
    most = (mean + 4 * scale).max(axes, keepdims=True) + math.log(count)
    largest = (mean + _SPAN * scale).max(axes, keepdims=True)
    low = jnp.maximum(centre - half, least)
    high = jnp.maximum(jnp.minimum(jnp.maximum(centre + half, largest), most), low)
    return lax.stop_gradient(low), lax.stop_gradient(high)


def _log_expm1(x: Array) -> Array:
    return jnp.where(x > 20, x, jnp.log(jnp.expm1(jnp.minimum(x, 20.0))))
