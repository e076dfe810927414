"""Gauss-Legendre nodes on the unit interval, as many as the precision asks for."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from stochastic_net._types import Array

Terms = tuple[Array, ...]


def unit_nodes(single: int, double: int, dtype) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on [0, 1]: `single` of them for float32, `double` for float64."""
    count = double if jnp.dtype(dtype) == jnp.float64 else single
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return ((nodes + 1) / 2).astype(dtype), (weights / 2).astype(dtype)


def sum_over_nodes(terms: Callable[..., Terms], like: Array, single: int, double: int) -> Terms:
    """The sums of what `terms(node, weight)` gives, each an array like `like`, over `unit_nodes`.

    In float32 the nodes are written out, so that XLA fuses them into one pass over the array; in
    float64, where there are many, they are a loop, which compiles in a fraction of the time.
    """
    nodes, weights = unit_nodes(single, double, like.dtype)

    def add(sums: Terms, node_weight: tuple) -> tuple[Terms, None]:
        return tuple(s + t for s, t in zip(sums, terms(*node_weight), strict=True)), None

    count = len(jax.eval_shape(terms, nodes[0], weights[0]))
    sums = (jnp.zeros_like(like),) * count
    if like.dtype == jnp.float64:
        return lax.scan(add, sums, (nodes, weights))[0]
    for node_weight in zip(nodes, weights, strict=True):
        sums, _ = add(sums, node_weight)
    return sums
