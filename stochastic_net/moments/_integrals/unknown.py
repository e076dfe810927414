"""E and Var of a function with numbers that are not known while a program is traced, learned ones.

What they are has derivatives, too; so have the places of jumps.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from stochastic_net._types import Array
from stochastic_net.moments._integrals.nodes import Breaks, Nodes
from stochastic_net.moments._integrals.precision import Moments
from stochastic_net.moments._integrals.second_order import derivatives, moved_slopes
from stochastic_net.moments._integrals.smooth import where
from stochastic_net.moments._integrals.taylor import Function, Slopes, taylor_slopes
from stochastic_net.moments._integrals.three_nodes import three_nodes
from stochastic_net.moments._integrals.widths import NARROW, NARROW_SLOPES, by_width, is_narrow


@dataclasses.dataclass(frozen=True)
class Unknown:
    """A function of a value and of its numbers; `deep` as of `Nodes`."""

    function: Callable[..., Array]
    deep: bool

    def at(self, numbers: list[Array]) -> Function:
        """The function with these numbers."""
        return lambda u: self.function(u, *numbers)

    def nodes(self, mean: Array, var: Array, breaks: Breaks, numbers: list[Array]) -> Nodes:
        """The nodes for a Gaussian."""
        return Nodes(self.at(numbers), mean, var, breaks, self.deep)

    def moments(self, mean: Array, var: Array, breaks: Breaks, numbers: list[Array]) -> Moments:
        """E and Var."""
        first, second = by_width(
            *(mean, var, breaks, NARROW),
            lambda m, v: three_nodes(self.at(numbers), m, v),
            lambda m, v: self.nodes(m, v, breaks, numbers).moments(),
        )
        return first, second

    def slopes(self, mean: Array, var: Array, breaks: Breaks, numbers: list[Array]) -> Slopes:
        """Their derivatives by mean and variance."""
        found = by_width(
            *(mean, var, breaks, NARROW_SLOPES),
            lambda m, v: taylor_slopes(self.at(numbers), m, v),
            lambda m, v: self.nodes(m, v, breaks, numbers).slopes(),
        )
        return Slopes(*found)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def moments_with_numbers(
    unknown: Unknown, mean: Array, var: Array, breaks: Breaks, numbers: list[Array]
) -> Moments:
    """E and Var of the function for N(mean, var), elementwise, with breaks at these places."""
    return unknown.moments(mean, var, breaks, numbers)


def _moments_jvp(unknown: Unknown, primals: tuple, tangents: tuple) -> tuple[Moments, Moments]:
    mean, var, breaks, numbers = primals
    out = moments_with_numbers(unknown, *primals)
    first, second = map(jnp.zeros_like, out)
    if not _are_zero(tangents[:2]):
        by = _slopes(unknown, *primals)
        dm, dv = _instantiated(tangents[:2], primals[:2])
        first = by.mean_by_mean * dm + by.mean_by_var * dv
        second = by.var_by_mean * dm + by.var_by_var * dv
    if not _are_zero(tangents[2]):
        m, v = where(~is_narrow(mean, var, breaks, NARROW_SLOPES), mean, var)
        nodes = unknown.nodes(m, v, breaks, numbers)
        for place, move in zip(breaks, _instantiated(tangents[2], breaks), strict=True):
            by_place = nodes.jump_slopes(place)
            first, second = first - by_place[0] * move, second - by_place[1] * move
    if not _are_zero(tangents[3]):
        of_numbers = partial(unknown.moments, mean, var, breaks)
        moves = jax.jvp(of_numbers, (numbers,), (_instantiated(tangents[3], numbers),))[1]
        first, second = first + moves[0], second + moves[1]
    return out, (first, second)


moments_with_numbers.defjvp(_moments_jvp, symbolic_zeros=True)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _slopes(
    unknown: Unknown, mean: Array, var: Array, breaks: Breaks, numbers: list[Array]
) -> Slopes:
    return unknown.slopes(mean, var, breaks, numbers)


def _slopes_jvp(unknown: Unknown, primals: tuple, tangents: tuple) -> tuple[Slopes, Slopes]:
    (mean, var), others = primals[:2], tuple(primals[2:])
    out = _slopes(unknown, *primals)
    moved = Slopes(*map(jnp.zeros_like, out))
    if not _are_zero(tangents[:2]):
        by_mean, by_var = derivatives(lambda m, v: unknown.slopes(m, v, *others))
        moves = _instantiated(tuple(tangents[:2]), (mean, var))
        moved = moved_slopes(out, by_mean(mean, var), by_var(mean, var), moves)
    if not _are_zero(tangents[2:]):
        of_others = partial(unknown.slopes, mean, var)
        rest = jax.jvp(of_others, others, _instantiated(tuple(tangents[2:]), others))[1]
        moved = jax.tree.map(jnp.add, moved, rest)
    return out, moved


_slopes.defjvp(_slopes_jvp, symbolic_zeros=True)


def _are_zero(tangents: Any) -> bool:
    return all(map(_is_zero, jax.tree.leaves(tangents, is_leaf=_is_zero)))


def _is_zero(tangent: Any) -> bool:
    return isinstance(tangent, SymbolicZero)


def _instantiated(tangents: Any, primals: Any) -> Any:
    """The tangents as arrays."""
    return jax.tree.map(
        lambda t, x: jnp.zeros_like(x) if _is_zero(t) else t, tangents, primals, is_leaf=_is_zero
    )
