r"""E and Var of the hyperbolic tangent: of its distance from -1 where that is what has the digits.

It is odd, so that the mean may be taken to be negative. Far below 0 it is tanh u + 1 that is summed
over the nodes, near 0 it is tanh u: with w = e^{2u} and w = e^{2u} - 1 they are

  tanh u + 1 = 2 w / (w + 1),    tanh u = w / (w + 2),

and their slope is (1 + tanh u) (1 - tanh u).
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from stochastic_net._types import Array
from stochastic_net.moments._integrals.known import moments_of
from stochastic_net.moments._integrals.precision import Moments
from stochastic_net.moments._integrals.quadrature import expectation
from stochastic_net.moments._integrals.smooth import Smooth, smooth_of
from stochastic_net.moments._integrals.taylor import Function
from stochastic_net.random._elementary import exp_less

_FAR = -1.0  # a mean below which it is the distance from -1


def hyperbolic_tangent(mean: Array, var: Array) -> Moments:
    """E and Var of tanh X."""
    below, smooth = mean < 0, _smooth(mean.dtype)
    if smooth is None:
        return expectation(jnp.tanh, mean, var)
    first, second = moments_of(smooth, jnp.where(below, mean, -mean), var)
    return jnp.where(below, first, -first), second


@functools.cache
def _smooth(dtype: DTypeLike) -> Smooth | None:
    found = smooth_of(lambda u: above(u, jnp.zeros_like(u)), (), dtype)
    return found and dataclasses.replace(
        found,
        rule=found.rule._replace(tails=()),  # tanh itself has none
        program=("tanh", *found.program),
        pivot=_pivot,
        lowest=-1.0,
    )


def _pivot(mean: Array) -> tuple[Function, Array]:
    less = jnp.where(mean < _FAR, 0, 1).astype(mean.dtype)
    return lambda u: above(u, less), less - 1


@jax.custom_jvp
@jax.jit  # traced once
def above(u: Array, less: Array) -> Array:
    """The hyperbolic tangent where `less` is 1, and 1 more where it is 0."""
    w = exp_less(2 * u, less)
    return (2 - less) * (w / (w + (1 + less)))


@above.defjvp
def _above_jvp(primals, tangents):
    x, less = above(*primals), primals[1]
    return x, (x + less) * (2 - less - x) * tangents[0]
