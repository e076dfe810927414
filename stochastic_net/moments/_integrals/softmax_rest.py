r"""The second moment of 1 - p of the likeliest logit i, where that of p has lost its digits.

With R the sum of the other exponentials and G(t) = E e^{-t R} = prod_{j != i} T_0j,

  E (1 - p_i)^2 = E R^2 / S^2 = int t G''(t) T_0i(t) dt = int (A^2 + B) prod_j T_0j ds,

A and B the sums over j != i of T_1j / T_0j and of T_2j / T_0j - (T_1j / T_0j)^2.
"""

import jax.numpy as jnp

from stochastic_net._types import Array
from stochastic_net.random._elementary import exp


def likeliest(mean: Array, axes: tuple[int, ...]) -> Array:
    """Where p may be above 1/2: the logit of the largest mean, if that is one."""
    return mean == mean.max(axes, keepdims=True)


def second_of_rest(top: Array, log_t0: Array, t1: Array, t2: Array, axes: tuple[int, ...]) -> Array:
    """The integrand, with axes of size 1."""
    inverse = exp(-log_t0)
    first = jnp.where(top, 0, t1 * inverse)
    spread = jnp.where(top, 0, t2 * inverse) - first * first
    a, b, log_all = (x.sum(axes, keepdims=True) for x in (first, spread, log_t0))
    return (a * a + b) * exp(log_all)
