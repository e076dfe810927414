"""Sums over the nodes of a quadrature rule on the unit interval, fused into one pass."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike

from stochastic_net._types import Array

Terms = tuple[Array, ...]


class Rule(NamedTuple):
    """Nodes and weights on [0, 1]; an integrand e^-E is left out beyond E = `cut`."""

    nodes: np.ndarray
    weights: np.ndarray
    cut: float


class Rules(NamedTuple):
    """One rule for float32 and one for float64."""

    single: Rule
    double: Rule

    def of(self, dtype: DTypeLike) -> Rule:
        return self.double if jnp.dtype(dtype) == np.float64 else self.single


def gauss(count: int, cut: float) -> Rule:
    """Gauss and Legendre's nodes, which integrate polynomials of degree 2 count - 1."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return Rule((nodes + 1) / 2, weights / 2, cut)


def unit_nodes(single: int, double: int, dtype: DTypeLike) -> tuple[np.ndarray, np.ndarray]:
    """Gauss and Legendre's nodes and weights, `single` for float32, `double` for float64."""
    nodes, weights, _ = gauss(double if jnp.dtype(dtype) == np.float64 else single, np.inf)
    return nodes.astype(dtype), weights.astype(dtype)


def sum_over_nodes(terms: Callable[..., Terms], like: Array, rule: Rule) -> Terms:
    """The sums of what `terms(node, weight)` gives, each an array like `like`.

    In float32 the nodes are written out, so that XLA fuses them into one pass over the array; in
    float64, where there are many, they are a loop, which compiles in a fraction of the time.
    """

    def add(sums: Terms, node_weight: tuple) -> tuple[Terms, None]:
        return tuple(s + t for s, t in zip(sums, terms(*node_weight), strict=True)), None

    count = len(jax.eval_shape(terms, *np.zeros(2, like.dtype)))
    sums = (jnp.zeros_like(like),) * count
    if like.dtype == jnp.float64:
        return lax.scan(add, sums, (rule.nodes, rule.weights))[0]
    for node_weight in zip(*(np.asarray(x, like.dtype) for x in rule[:2]), strict=True):
        sums, _ = add(sums, node_weight)
    return sums
