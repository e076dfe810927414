r"""The Laplace transforms T_k of `laplace` where the mean goes in even steps, by a matrix product.

With the density p of X less its mean, and the trapezoidal rule in the same steps h,

  T_k(m + i h) = int e^{k y} exp(-e^y) p(y - m - i h) dy
               = h sum_l e^{k l h} exp(-e^{l h}) p((l - i) h - m).

Values of p at l - i serve all i: an exponential a value, and a matrix of constants. It converges
exponentially, and is right to 1e-6 for deviations from 0.5 up; a narrower Gaussian is taken at
Gauss-Hermite nodes of its own.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from stochastic_net._types import Array
from stochastic_net.moments._integrals.laplace import deviation, tangents
from stochastic_net.moments._integrals.precision import product
from stochastic_net.moments._integrals.tiles import any_above
from stochastic_net.random._elementary import exp, expm1
from stochastic_net.random._fence import both

STEP = 0.45
_FIRST, _LAST = round(-24 / STEP), round(3.5 / STEP)  # l; beyond, e^y exp(-e^y) is 0
_NARROW = 0.5  # deviations below which it is by nodes
_FAR = 1e4  # a mean beyond, as of a masked logit, is as good as infinite
_NODES, _MASS = (x.tolist() for x in np.polynomial.hermite_e.hermegauss(10))
_MASS = [mass / math.sqrt(2 * math.pi) for mass in _MASS]


def laplace_grid(count: int, mean: Array, var: Array, places: int) -> tuple[Array, ...]:
    """1 - T_0, T_1, ..., T_{count - 1} (`count` odd) at `mean + i STEP`, along a new last axis."""
    return _grid(count, places, jnp.clip(mean, -_FAR, _FAR), var)


def steps(start: Array, index: np.ndarray) -> Array:
    """start + index STEP, along a new last axis."""
    away = (STEP * index).astype(start.dtype)
    return start[..., None] + away.reshape(*(1,) * start.ndim, -1)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _grid(count: int, places: int, mean: Array, var: Array) -> tuple[Array, ...]:
    scale = deviation(var)
    wide = scale > _NARROW
    found = lax.cond(
        any_above(scale, _NARROW),
        lambda: _by_product(count, mean, jnp.where(wide, scale, 1.0), places),
        lambda: (jnp.zeros_like(steps(mean, np.arange(places))),) * count,
    )

    def narrow() -> tuple[Array, ...]:
        near = _by_nodes(count, mean, jnp.where(wide, 0.0, scale), places)
        return tuple(jnp.where(wide[..., None], a, b) for a, b in zip(found, near, strict=True))

    return lax.cond(any_above(-scale, -_NARROW), narrow, lambda: found)


@_grid.defjvp
def _grid_jvp(count: int, places: int, primals: tuple, moves: tuple) -> tuple:
    t = _grid(count + 2, places, *primals)
    return t[:count], tangents(t, *(x[..., None] for x in moves))


def _by_product(count: int, mean: Array, scale: Array, places: int) -> tuple[Array, ...]:
    index = np.arange(-_LAST, places - _FIRST)  # i - l
    inverse = (1 / scale)[..., None]
    t = steps(mean, index) * inverse
    density = exp(-0.5 * t * t) * inverse
    matrix = _matrix(count, index, places).astype(mean.dtype)
    found = product(density, matrix)
    return tuple(jnp.split(found, count, -1))


def _matrix(count: int, index: np.ndarray, places: int) -> np.ndarray:
    at = np.arange(places) - index[:, None]  # l
    inside = at.clip(_FIRST, _LAST)
    size = np.exp(STEP * inside)
    away = np.where(at < _FIRST, 0.0, -np.expm1(-size))  # it is 1 to the right
    others = [np.where(at == inside, size**k * np.exp(-size), 0.0) for k in range(1, count)]
    return STEP / math.sqrt(2 * math.pi) * np.concatenate([away, *others], 1)


def _by_nodes(count: int, mean: Array, scale: Array, places: int) -> tuple[Array, ...]:
    size = exp(jnp.minimum(steps(mean, np.arange(places)), 40.0))
    sizes = [size * exp(scale * node)[..., None] for node in _NODES]

    def pair(k: int) -> tuple[Array, Array]:
        below = [mass * x**k * exp(-x) for mass, x in zip(_MASS, sizes, strict=True)]
        above = [term * x for term, x in zip(below, sizes, strict=True)]
        return both(sum(below, start=jnp.zeros_like(size)), sum(above, start=jnp.zeros_like(size)))

    others = (t for k in range(1, count, 2) for t in pair(k))
    away = (mass * expm1(-x) for mass, x in zip(_MASS, sizes, strict=True))
    return -sum(away, start=jnp.zeros_like(size)), *others
