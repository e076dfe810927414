r"""The Laplace transforms T_k of `laplace` where the mean goes in even steps, by a matrix product.

T_k(m, v) is the kernel K_k(y) = e^{k y} exp(-e^y) under a Gaussian of mean m and variance v. As a
sum of Gaussians in even steps d,

  K_k(y) = sum_l c_l p(y - l d, w)    for the normal density p(x, v),

it is one again for every variance, T_k(m, v) = sum_l c_l p(m - l d, v + w), and the densities at
m + (i - l) d serve all i: an exponential each, and a matrix of constants. Where the Gaussians are
wide themselves, w = 0 and c_l = d K_k(l d) will do: that is the trapezoidal rule. Else the c_l
interpolate K_k at the l d. Both converge exponentially in 1 / d, to 1e-7 at the steps taken here.
"""

from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from stochastic_net._types import Array
from stochastic_net.moments._integrals.laplace import tangents
from stochastic_net.moments._integrals.precision import product
from stochastic_net.moments._integrals.tiles import any_above
from stochastic_net.random._elementary import exp, inverse_root

STEP = 0.5
_FIRST, _LAST = -20.0, 3.5  # of y; beyond, K_k(y) is e^{k y} as good as 0, and 0
_FAR = 1e4  # a mean beyond, as of a masked logit, is as good as infinite


class Rule(NamedTuple):
    """`parts` steps d in STEP, Gaussians of variance w up to y = `last`; v not below `least`."""

    parts: int
    width: float
    last: float
    least: float


_WIDE = Rule(1, 0.0, _LAST, STEP**2)
_ANY = Rule(2, (STEP / 2) ** 2, _LAST + 3, 0.0)


def laplace_grid(count: int, mean: Array, var: Array, places: int) -> tuple[Array, ...]:
    """1 - T_0, T_1, ..., T_{count - 1} (`count` odd) at `mean + i STEP`, along a new last axis."""
    return _grid(count, places, jnp.clip(mean, -_FAR, _FAR), var)


def steps(start: Array, index: np.ndarray) -> Array:
    """start + index STEP, along a new last axis."""
    away = (STEP * index).astype(start.dtype)
    return start[..., None] + away.reshape(*(1,) * start.ndim, -1)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _grid(count: int, places: int, mean: Array, var: Array) -> tuple[Array, ...]:
    any_, wide = (partial(_by_product, count, places, rule) for rule in (_ANY, _WIDE))
    return lax.cond(any_above(-var, -_WIDE.least), any_, wide, mean, var)


@_grid.defjvp
def _grid_jvp(count: int, places: int, primals: tuple, moves: tuple) -> tuple:
    t = _grid(count + 2, places, *primals)
    return t[:count], tangents(t, *(x[..., None] for x in moves))


def _by_product(count: int, places: int, rule: Rule, mean: Array, var: Array) -> tuple[Array, ...]:
    d = STEP / rule.parts
    index = np.arange(-round(rule.last / d), places * rule.parts - round(_FIRST / d))  # i - l
    inverse = inverse_root(jnp.maximum(var, rule.least) + rule.width)[..., None]
    t = steps(mean, index / rule.parts) * inverse
    density = exp(-0.5 * t * t) * inverse
    columns = np.concatenate([_columns(k, places, rule) for k in range(count)], 1)
    return tuple(jnp.split(product(density, columns.astype(mean.dtype)), count, -1))


@lru_cache
def _columns(order: int, places: int, rule: Rule) -> np.ndarray:
    """What the densities are multiplied by: a row for each i - l, a column for each place."""
    d = STEP / rule.parts
    first, last = round(_FIRST / d), round(rule.last / d)
    weights = _weights(order, rule) / np.sqrt(2 * np.pi)
    index = np.arange(-last, places * rule.parts - first)
    at = rule.parts * np.arange(places) - index[:, None]  # l
    found = np.where(at < first, 0.0, weights[at.clip(first, last) - first])
    return found if order == 0 else np.where(at > last, 0.0, found)


def _weights(order: int, rule: Rule) -> np.ndarray:
    """The c_l from _FIRST to `last`; those of 1 - K_0, which goes on to the right, for order 0."""
    d = STEP / rule.parts
    margin = round(6 / d)  # on which the equations end
    y = d * np.arange(round(_FIRST / d) - margin, round(rule.last / d) + margin + 1)
    size = np.exp(y)
    kernel = np.where(order == 0, -np.expm1(-size), size**order * np.exp(-size))
    scale = np.exp(np.minimum(y, 0) if order == 0 else order * y)  # to keep the digits of the left
    if not rule.width:
        return d * kernel[margin:-margin]
    away = y[:, None] - y
    gaussians = np.exp(-0.5 * away**2 / rule.width) / np.sqrt(2 * np.pi * rule.width)
    found = scale * np.linalg.solve(gaussians * scale / scale[:, None], kernel / scale)
    return found[margin:-margin]
