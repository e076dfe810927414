r"""E exp(-e^X) of a Gaussian X and its kin: the Laplace transform of a log-normal number.

  T_k = E e^{k X} exp(-e^X),    dT_k/dm = k T_k - T_{k+1},
  2 dT_k/dv = d2T_k/dm2 = k^2 T_k - (2 k + 1) T_{k+1} + T_{k+2}    (Bonnet's and Price's theorems).

In the place of T_0 stands 1 - T_0: the product of a thousand T_0 near 1 has digits by it.

The trapezoidal rule on the line of X converges exponentially; e^{k X} moves its mass up by k v, and
the nodes reach further up than down. For a wide Gaussian of density p it is exp(-e^y) that is
narrow: T_k = int p(y) e^{k y} exp(-e^y) dy, and 1 - exp(-e^y) is a normal cdf and a narrow rest.
"""

import itertools
import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from stochastic_net._types import Array
from stochastic_net.moments._integrals.tiles import any_above
from stochastic_net.random._elementary import exp, expm1
from stochastic_net.random._fence import both

_STEP = 0.38  # deviations of X between nodes
_PARTS = 4  # that the nodes are taken in: all written out would take four times as long to compile
_BY_X = _STEP * np.arange(-13, 19).reshape(_PARTS, -1)
_BY_Y = np.linspace(-22.0, 3.5, 44).reshape(_PARTS, -1)  # beyond, the rest and e^y exp(-e^y) are 0
_CDF = (-0.4, 0.75)  # mean and deviation of the normal cdf
_WIDE = 1.5  # deviations above which it is by y


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def laplace(count: int, mean: Array, var: Array) -> tuple[Array, ...]:
    """1 - T_0, T_1, ..., T_{count - 1} elementwise."""
    scale = deviation(var)
    wide = scale > _WIDE
    narrow = _over_x(count, mean, jnp.where(wide, 0.0, scale))
    return lax.cond(
        any_above(scale, _WIDE),
        lambda narrow: tuple(
            jnp.where(wide, b, a)
            for a, b in zip(narrow, _over_y(count, mean, jnp.where(wide, scale, 1.0)), strict=True)
        ),
        lambda narrow: narrow,
        narrow,
    )


@laplace.defjvp
def _laplace_jvp(count: int, primals: tuple, moves: tuple) -> tuple:
    t = laplace(count + 2, *primals)
    return t[:count], tangents(t, *moves)


def tangents(t: tuple[Array, ...], dm: Array, dv: Array) -> tuple[Array, ...]:
    """Of all but the last two of 1 - T_0, T_1, ..."""
    away = t[1] * dm + (t[1] - t[2]) * (dv / 2)
    moved = (
        (k * t[k] - t[k + 1]) * dm + (k * k * t[k] - (2 * k + 1) * t[k + 1] + t[k + 2]) * (dv / 2)
        for k in range(1, len(t) - 2)
    )
    return away, *moved


def deviation(var: Array) -> Array:
    """The root of a variance, with a derivative where that is 0."""
    return jnp.where(var > 0, jnp.sqrt(jnp.where(var > 0, var, 1.0)), 0.0)


def _over_x(count: int, mean: Array, scale: Array) -> tuple[Array, ...]:
    mass = np.exp(-0.5 * _BY_X**2)
    ratio = jnp.exp(scale * _STEP)

    def terms(orders: tuple[int, ...], nodes: Array, mass: Array) -> list[Array]:
        totals = [jnp.zeros_like(mean) for _ in orders]
        size = jnp.exp(jnp.minimum(mean + scale * nodes[0], 40.0))
        for weight in mass:
            if orders == (0,):
                totals = [totals[0] - weight * expm1(-size)]
            else:
                term = weight * exp(-size)
                totals = [t + term * size**k for t, k in zip(totals, orders, strict=True)]
            size = size * ratio
        return totals

    return _sums(terms, mean, count, _BY_X, mass / mass.sum())


def _over_y(count: int, mean: Array, scale: Array) -> tuple[Array, ...]:
    centre, width = _CDF
    normal = np.vectorize(lambda y: 0.5 * math.erfc((centre - y) / (width * math.sqrt(2))))(_BY_Y)
    rest = -np.expm1(-np.exp(_BY_Y)) - normal
    gap = (_BY_Y[0, 1] - _BY_Y[0, 0]) / math.sqrt(2 * math.pi)
    factors = [rest, *(np.exp(k * _BY_Y - np.exp(_BY_Y)) for k in range(1, count))]
    inverse = 1 / scale

    def terms(orders: tuple[int, ...], nodes: Array, factors: Array) -> list[Array]:
        totals = [jnp.zeros_like(mean) for _ in orders]
        for node, *factor in zip(nodes, *(factors[k] for k in orders), strict=True):
            t = (node - mean) * inverse
            peak = inverse * exp(-0.5 * t * t)
            totals = [total + f * peak for total, f in zip(totals, factor, strict=True)]
        return totals

    away, *others = _sums(terms, mean, count, _BY_Y, gap * np.stack(factors, 1))
    above = 0.5 * lax.erfc((centre - mean) * lax.rsqrt(2 * (width**2 + scale * scale)))
    return (above + away, *others)


def _sums(terms: Callable, like: Array, count: int, *nodes: np.ndarray) -> tuple[Array, ...]:
    """The sums over the parts of the nodes, of orders 0, ..., count - 1 (odd): two in one pass."""

    def add(totals: tuple[Array, ...], part: tuple) -> tuple[tuple[Array, ...], None]:
        pairs = (both(*terms((k, k + 1), *part)) for k in range(1, count, 2))
        found = (*terms((0,), *part), *itertools.chain(*pairs))
        return tuple(t + x for t, x in zip(totals, found, strict=True)), None

    arrays = tuple(np.asarray(x, like.dtype) for x in nodes)
    return lax.scan(add, (jnp.zeros_like(like),) * count, arrays)[0]
