"""Algebra of lower triangular factors, and of what two of them nearly have in common."""

import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular

from stochastic_net._types import Array
from stochastic_net.random._stirling import deviance


def diagonal(x: Array) -> Array:
    """The diagonal of the last two axes."""
    return jnp.diagonal(x, axis1=-2, axis2=-1)


def on_diagonal(x: Array) -> Array:
    """The matrices with x of shape (..., D) on their diagonal."""
    shape = (*x.shape, x.shape[-1])
    same = jnp.broadcast_to(jnp.eye(x.shape[-1], dtype=bool), shape)
    return jnp.where(same, jnp.broadcast_to(x[..., None], shape), 0.0)


def outer_square(x: Array) -> Array:
    """x x^T, symmetric to the last bit."""
    square = jnp.matmul(x, x.mT, precision="highest")
    return 0.5 * (square + square.mT)


def times(matrix: Array, vector: Array) -> Array:
    """matrix @ vector, over the leading axes of both, which agree."""
    return jnp.matmul(matrix, vector[..., None], precision="highest")[..., 0]


def solve(factor: Array, vector: Array) -> Array:
    """factor^-1 @ vector for a lower triangular factor."""
    return solve_triangular(factor, vector[..., None], lower=True)[..., 0]


def excess(p: Array, q: Array) -> Array:
    """q^-1 p - 1 for lower triangular p and q: the difference is taken first, where it is exact."""
    return solve_triangular(q, p - q, lower=True)


def log_excess(p: Array, q: Array) -> Array:
    """r - 1 - log(r) >= 0 for r = p / q, where p and q are positive."""
    return deviance(q, p) / q
