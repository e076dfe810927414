r"""E exp(-e^X) of a Gaussian X and its kin: the Laplace transform of a log-normal number.

  T_k = E e^{k X} exp(-e^X),    dT_k/dm = k T_k - T_{k+1},
  2 dT_k/dv = d2T_k/dm2 = k^2 T_k - (2 k + 1) T_{k+1} + T_{k+2}    (Bonnet's and Price's theorems).

The trapezoidal rule on the line of X converges exponentially. For a wide Gaussian it is the density
g(y) = e^y exp(-e^y) that is narrow: T_0 = int P(X < y) g(y) dy, and T_k = int p(y) e^{(k-1) y} g(y)
dy with the density p of X.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from stochastic_net._types import Array

_LEFT, _RIGHT = 15.0, 3.5  # of y, beyond where g lies
_NODES = 32
_SPAN = 5.5  # deviations of X
_WIDE = 1.5  # deviations above which g is the narrower


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def laplace(count: int, mean: Array, var: Array) -> tuple[Array, ...]:
    """T_0, ..., T_{count - 1} elementwise."""
    scale = deviation(var)
    wide = scale > _WIDE
    narrow = _over_x(count, mean, jnp.where(wide, 0.0, scale))
    zeros = (jnp.zeros_like(mean),) * count
    far = lax.cond(
        jnp.any(wide),
        lambda: _over_y(count, mean, jnp.where(wide, scale, 1.0)),
        lambda: zeros,
    )
    return tuple(jnp.where(wide, b, a) for a, b in zip(narrow, far, strict=True))


@laplace.defjvp
def _laplace_jvp(count: int, primals: tuple, tangents: tuple) -> tuple:
    t = laplace(count + 2, *primals)
    dm, dv = tangents
    moved = tuple(
        (k * t[k] - t[k + 1]) * dm + (k * k * t[k] - (2 * k + 1) * t[k + 1] + t[k + 2]) * (dv / 2)
        for k in range(count)
    )
    return t[:count], moved


def deviation(var: Array) -> Array:
    """The root of a variance, with a derivative where that is 0."""
    return jnp.where(var > 0, jnp.sqrt(jnp.where(var > 0, var, 1.0)), 0.0)


def _over_x(count: int, mean: Array, scale: Array) -> tuple[Array, ...]:
    eps = np.linspace(-_SPAN, _SPAN, _NODES)
    weight = np.exp(-0.5 * eps**2)

    def add(sums: tuple, node: tuple) -> tuple[tuple, None]:
        e, w = node
        size = jnp.exp(jnp.minimum(mean + scale * e, 60.0))
        term = w * jnp.exp(-size)
        terms = [term]
        for _ in range(count - 1):
            terms.append(terms[-1] * size)
        return tuple(s + x for s, x in zip(sums, terms, strict=True)), None

    return _sum(add, mean, count, eps, weight / weight.sum())


def _over_y(count: int, mean: Array, scale: Array) -> tuple[Array, ...]:
    y = np.linspace(-_LEFT, _RIGHT, _NODES)
    gumbel = np.exp(y - np.exp(y))
    inverse = 1 / scale

    def add(sums: tuple, node: tuple) -> tuple[tuple, None]:
        y, mass = node
        t = (y - mean) * inverse
        below = 0.5 * (1 + lax.erf(t * np.asarray(math.sqrt(0.5), t.dtype)))
        peak = inverse * jnp.exp(-0.5 * t * t) * np.asarray(1 / math.sqrt(2 * math.pi), t.dtype)
        terms = [mass * below, *(mass * jnp.exp(k * y) * peak for k in range(count - 1))]
        return tuple(s + x for s, x in zip(sums, terms, strict=True)), None

    return _sum(add, mean, count, y, gumbel / gumbel.sum())


def _sum(add, like: Array, count: int, *nodes: np.ndarray) -> tuple[Array, ...]:
    arrays = tuple(np.asarray(x, like.dtype) for x in nodes)
    return lax.scan(add, (jnp.zeros_like(like),) * count, arrays)[0]
