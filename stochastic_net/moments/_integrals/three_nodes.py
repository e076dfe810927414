r"""E and Var of a function of a narrow Gaussian by its values and slopes at three nodes.

Few digits of f change over a narrow Gaussian; its slope keeps them. With Parseval's identity

  Var f = sum_k (s^k E f^(k))^2 / k! = v ((E f')^2 + (E f' t)^2 / 2 + (E f' (t^2 - 1))^2 / 6 + ...)

is a sum of squares, and all of it are sums of f' over the nodes: of a Gauss-Hermite rule, at
t = 0 and +-sqrt(3). What these are after rounding is used: of a mean with few digits nodes are next
to it or are the mean itself.
"""

import jax
import jax.numpy as jnp

from stochastic_net._types import Array
from stochastic_net.moments._integrals.precision import Moments
from stochastic_net.moments._integrals.taylor import Function
from stochastic_net.random._elementary import reciprocal, root
from stochastic_net.random._fence import shared


def three_nodes(function: Function, mean: Array, var: Array) -> Moments:
    """E f and Var f, but for terms of the order of var^3 relative to them."""
    one = jnp.ones_like(mean)
    step = shared((mean + root(3 * var)) - mean)
    share = shared(var * reciprocal(jnp.where(step > 0, step * step, 1.0)))  # 1/3, but for rounding
    (low, fall), (value, slope), (high, rise) = (
        jax.jvp(function, (shared(u),), (one,)) for u in (mean - step, mean, mean + step)
    )
    bend = share * ((rise - slope) + (fall - slope))
    straight = slope + 0.5 * bend
    spread = jnp.square(straight) + 0.125 * share * jnp.square(rise - fall) + bend * bend / 6
    return value + 0.5 * share * ((high - value) + (low - value)), var * spread
