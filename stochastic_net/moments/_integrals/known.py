"""E and Var of a function that is known by its program: their derivatives are integrals, too."""

from functools import partial
from typing import Protocol

import jax

from stochastic_net._types import Array
from stochastic_net.moments._integrals.flat import flat
from stochastic_net.moments._integrals.precision import Moments
from stochastic_net.moments._integrals.second_order import always_forward, derivatives, moved_slopes
from stochastic_net.moments._integrals.taylor import Slopes
from stochastic_net.random._fence import both


class Known(Protocol):
    """What has E and Var of one function, and their `Slopes`, for rows of Gaussians."""

    def moments(self, mean: Array, var: Array) -> tuple[Array, ...]: ...

    def slopes(self, mean: Array, var: Array) -> tuple[Array, ...]: ...


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def moments_of(known: Known, mean: Array, var: Array) -> Moments:
    """E and Var of the function for N(mean, var), elementwise."""
    shape, rows = mean.shape, flat(mean.shape)
    first, second = known.moments(*both(mean.reshape(rows), var.reshape(rows)))
    return first.reshape(shape), second.reshape(shape)


@moments_of.defjvp
def _moments_jvp(known: Known, primals: Moments, tangents: Moments) -> tuple[Moments, Moments]:
    (dm, dv), shape = tangents, flat(primals[0].shape)
    slopes = _slopes_of(known, *both(*(x.reshape(shape) for x in primals)))
    by = Slopes(*(x.reshape(dm.shape) for x in slopes))
    moved = by.mean_by_mean * dm + by.mean_by_var * dv, by.var_by_mean * dm + by.var_by_var * dv
    return moments_of(known, *primals), moved


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _slopes_of(known: Known, mean: Array, var: Array) -> Slopes:
    return Slopes(*known.slopes(mean, var))


@_slopes_of.defjvp
def _slopes_jvp(known: Known, primals: Moments, tangents: Moments) -> tuple[Slopes, Slopes]:
    slopes = _slopes_of(known, *primals)
    one, two = derivatives(lambda mean, var: Slopes(*known.slopes(mean, var)))
    by_mean, by_var = (always_forward(by)(*primals) for by in (one, two))
    return slopes, moved_slopes(slopes, by_mean, by_var, tangents)
