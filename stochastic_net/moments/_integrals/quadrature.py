r"""E and Var of a function of a Gaussian by quadrature that is accurate at every deviation.

A fixed rule in units of the deviation s misses what a function does near 0 when s is large:
32 Gauss-Hermite nodes are wrong by 9e-2 for tanh at s = 10. Where s > 3 the function is split,

  f(u) = l(u) + r(u),    l(u) = a_- u + b_- below the place where these meet, else a_+ u + b_+,

into its asymptotes, whose moments are closed, and a rest that dies away, integrated where it lives.
The asymptotes are read off f at 20 and 40 and believed where 60 agrees (100, 200 and 300 for a
function whose tails are right in relative terms, too); where they are not (a square, a sine), l is
0 and the nodes span the Gaussian, as they do for s < 3. Below s = 1e-2 it is three nodes, or
Taylor's theorem. Panels of nodes meet at the breaks of the function, its kinks and jumps, where
those are known, else at 0, where they most often are.

The derivatives are integrals over the same nodes, with t = (u - m) / s

  dE f/dm = E f' = E f t / s,    dE f/dv = E f' t / (2 s) = E f (t^2 - 1) / (2 v),

the first of each pair where s is small, for the second would cancel there; a jump [f] at c counts
as f' = [f] with the mass phi((c - m) / s) / s.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from stochastic_net._types import Array, Shape
from stochastic_net.moments._integrals.flat import flat
from stochastic_net.moments._integrals.known import moments_of
from stochastic_net.moments._integrals.pieces import pieces_of
from stochastic_net.moments._integrals.precision import Moments
from stochastic_net.moments._integrals.rest import Rest
from stochastic_net.moments._integrals.smooth import smooth_of
from stochastic_net.moments._integrals.taylor import Function
from stochastic_net.moments._integrals.unknown import Unknown, moments_with_numbers
from stochastic_net.random._fence import both


def expectation(
    function: Function,
    mean: Array,
    var: Array,
    breaks: tuple[ArrayLike, ...] = (),
    rest: Rest | None = None,
) -> Moments:
    """E f(u) and Var f(u) for u ~ N(mean, var), elementwise, for an elementwise f.

    `breaks` are the places where f is known to have a kink or a jump.
    """
    smooth = smooth_of(function, breaks, mean.dtype)
    known = smooth or pieces_of(function, breaks, rest, mean.dtype)
    if known:
        return moments_of(known, mean, var)
    function, limit = rest.about(mean) if rest else (function, 0.0)
    shape, rows = mean.shape, flat(mean.shape)
    mean, var = (x.reshape(rows) for x in both(mean, var))
    closed, numbers = jax.closure_convert(
        lambda u: function(u.reshape(shape)).reshape(u.shape), mean
    )
    unknown = Unknown(closed, deep=rest is not None)
    places = tuple(_finite(jnp.asarray(b, mean.dtype), shape).reshape(mean.shape) for b in breaks)
    first, second = moments_with_numbers(unknown, mean, var, places, numbers)
    return first.reshape(shape) + limit, second.reshape(shape)


def _finite(place: Array, shape: Shape) -> Array:
    return jnp.broadcast_to(jnp.where(jnp.isfinite(place), place, 0.0), shape)
