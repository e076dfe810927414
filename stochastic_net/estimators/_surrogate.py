"""Expressions whose value is an estimate and whose derivative is the estimate of a gradient.

An estimator adds terms that are zero and have a derivative. JAX does the rest: grad and jvp, under
jit, vmap and scan, to the parameters of the distribution and to everything that f closes over.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero

from stochastic_net._types import Array
from stochastic_net.random import require_if_concrete


def box(log_prob: Array) -> Array:
    """1, with the derivatives of the probability ratio p(z; theta) / p(z; theta_now).

    The "magic box" of DiCE (Foerster et al. 2018, arXiv:1802.05098): E f(z) box(log p(z)) has the
    derivatives of E f(z) of every order.
    """
    fixed = lax.stop_gradient(log_prob)
    require_if_concrete(
        jnp.isfinite,
        fixed,
        "an estimator by the score needs a draw with a finite log-density (no zero variance).",
    )
    return jnp.exp(log_prob - fixed)


def slope(gradient: Array, theta: Array) -> Array:
    """Zeros with the derivative `gradient` . dtheta; first derivatives in theta only.

    A second derivative in theta would need how the law of the draws in `gradient` depends on theta,
    which is not known here: it raises. Derivatives of `gradient` in anything else are right.

    Args:
      gradient: shape (*out, *theta.shape).
    """
    return _slope(gradient, theta)


@jax.custom_jvp
def _slope(gradient: Array, theta: Array) -> Array:
    # Not jnp.zeros: what depends on no argument has no batch axis, which JAX (0.10 to 0.12) gets
    # wrong under remat of vmap. XLA knows that both branches are one, and computes nothing.
    total = jnp.tensordot(gradient, theta.astype(gradient.dtype), theta.ndim)
    return jnp.where(total == total, 0.0, 0.0).astype(gradient.dtype)


@functools.partial(_slope.defjvp, symbolic_zeros=True)
def _(primals, tangents):
    gradient, theta = primals
    zero = _slope(gradient, theta)
    if isinstance(tangents[1], SymbolicZero):
        return zero, jnp.zeros_like(zero)
    gradient = _first_derivative(gradient, theta)
    moved = tangents[1].astype(gradient.dtype)
    return zero, jnp.tensordot(gradient, moved, theta.ndim, precision="highest")


@jax.custom_jvp
def _first_derivative(gradient: Array, theta: Any) -> Array:
    del theta
    return gradient


@functools.partial(_first_derivative.defjvp, symbolic_zeros=True)
def _(primals, tangents):
    if not isinstance(tangents[1], SymbolicZero):
        raise TypeError(
            "this estimator gives first derivatives in the parameters of dist. For higher ones use "
            "score_function, leave_one_out, enumerate_support or, where the draw moves, pathwise."
        )
    gradient = _first_derivative(*primals)
    moved = tangents[0]
    return gradient, jnp.zeros_like(gradient) if isinstance(moved, SymbolicZero) else moved


def moved(value: Array, towards: Array) -> Array:
    """`value`, with the derivative of `towards`."""
    return lax.stop_gradient(value) + (towards - lax.stop_gradient(towards))
