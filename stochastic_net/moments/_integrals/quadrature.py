r"""E and Var of a function of a Gaussian by quadrature that is accurate at every deviation.

A fixed rule in units of the deviation s misses what a function does near 0 when s is large:
32 Gauss-Hermite nodes are wrong by 9e-2 for tanh at s = 10. Where s > 1 the function is split,

  f(u) = l(u) + r(u),    l(u) = a_- u + b_- below 0 and a_+ u + b_+ above,

into its asymptotes, whose moments are closed, and a rest that dies away, integrated where it lives.
The asymptotes are read off f at 20 and 40 and believed where 60 agrees (100, 200 and 300 for a
function whose tails are right in relative terms, too); where they are not (a square, a sine), l is
0 and the nodes span the Gaussian, as they do for s < 1. Below s = 1e-2 it is three nodes, or
Taylor's theorem. Panels of nodes meet at the breaks of the function, its kinks and jumps, where
those are known, else at 0, where they most often are.

The derivatives are integrals over the same nodes, with t = (u - m) / s

  dE f/dm = E f' = E f t / s,    dE f/dv = E f' t / (2 s) = E f (t^2 - 1) / (2 v),

the first of each pair where s is small, for the second would cancel there; a jump [f] at c counts
as f' = [f] with the mass phi((c - m) / s) / s.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jax.typing import ArrayLike

from stochastic_net._types import Array, Shape
from stochastic_net.moments._integrals.flat import flat
from stochastic_net.moments._integrals.known import moments_of
from stochastic_net.moments._integrals.nodes import Breaks, Nodes
from stochastic_net.moments._integrals.pieces import pieces_of
from stochastic_net.moments._integrals.precision import Moments
from stochastic_net.moments._integrals.rest import Rest
from stochastic_net.moments._integrals.smooth import smooth_of, where
from stochastic_net.moments._integrals.taylor import Function, taylor_slopes
from stochastic_net.moments._integrals.three_nodes import three_nodes
from stochastic_net.moments._integrals.widths import (
    NARROW,
    NARROW_SLOPES,
    by_width,
    is_narrow,
)
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
    closed, constants = jax.closure_convert(
        lambda u: function(u.reshape(shape)).reshape(u.shape), mean
    )
    places = tuple(_finite(jnp.asarray(b, mean.dtype), shape).reshape(mean.shape) for b in breaks)
    first, second = _expectation(closed, rest is not None, mean, var, places, constants)
    return first.reshape(shape) + limit, second.reshape(shape)


def _moments(
    function: Callable,
    deep: bool,
    mean: Array,
    var: Array,
    breaks: Breaks,
    constants: list[Array],
) -> Moments:
    def known(u: Array) -> Array:
        return function(u, *constants)

    first, second = by_width(
        *(mean, var, breaks, NARROW),
        lambda m, v: three_nodes(known, m, v),
        lambda m, v: Nodes(known, m, v, breaks, deep).moments(),
    )
    return first, second


_expectation = jax.custom_jvp(_moments, nondiff_argnums=(0, 1))


def _expectation_jvp(function: Callable, deep: bool, primals: tuple, tangents: tuple) -> tuple:
    mean, var, breaks, constants = primals
    out = _expectation(function, deep, mean, var, breaks, constants)

    def known(u: Array) -> Array:
        return function(u, *constants)

    moved = [jnp.zeros_like(x) for x in out]
    if not _are_zero(tangents[:2]):
        by = by_width(
            *(mean, var, breaks, NARROW_SLOPES),
            lambda m, v: taylor_slopes(known, m, v),
            lambda m, v: Nodes(known, m, v, breaks, deep).slopes(),
        )
        dm, dv = map(_instantiated, tangents[:2], primals[:2])
        moved = [by[0] * dm + by[1] * dv, by[2] * dm + by[3] * dv]
    if not _are_zero(tangents[2]):
        m, v = where(~is_narrow(mean, var, breaks, NARROW_SLOPES), mean, var)
        nodes = Nodes(known, m, v, breaks, deep)
        for place, move in zip(breaks, map(_instantiated, tangents[2], breaks), strict=True):
            moved = [m - d * move for m, d in zip(moved, nodes.jump_slopes(place), strict=True)]
    if not _are_zero(tangents[3]):
        moves = list(map(_instantiated, tangents[3], constants))
        rest = jax.jvp(
            lambda constants: _moments(function, deep, mean, var, breaks, constants),
            (constants,),
            (moves,),
        )[1]
        moved = [m + r for m, r in zip(moved, rest, strict=True)]
    return out, tuple(moved)


_expectation.defjvp(_expectation_jvp, symbolic_zeros=True)


def _finite(place: Array, shape: Shape) -> Array:
    return jnp.broadcast_to(jnp.where(jnp.isfinite(place), place, 0.0), shape)


def _are_zero(tangents: Any) -> bool:
    leaves = jax.tree.leaves(tangents, is_leaf=lambda x: isinstance(x, SymbolicZero))
    return all(isinstance(x, SymbolicZero) for x in leaves)


def _instantiated(tangent: Any, primal: Array) -> Array:
    return jnp.zeros_like(primal) if isinstance(tangent, SymbolicZero) else tangent
