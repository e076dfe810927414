"""E and Var of a smooth function that closes over numbers only: few nodes as far as they reach.

Such functions are known by their program: the silu of every layer is one, traced once, and XLA
compiles its passes once.
"""

import dataclasses
import functools
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Literal
from jax.typing import ArrayLike, DTypeLike

from stochastic_net._types import Array
from stochastic_net.moments._integrals.few_nodes import FewNodes, Rule, rule_for
from stochastic_net.moments._integrals.fixed_nodes import Fixed, FixedNodes, fixed_nodes
from stochastic_net.moments._integrals.log_slopes import log_slope
from stochastic_net.moments._integrals.nodes import Nodes
from stochastic_net.moments._integrals.precision import Moments
from stochastic_net.moments._integrals.taylor import Function, taylor_slopes
from stochastic_net.moments._integrals.three_nodes import three_nodes
from stochastic_net.moments._integrals.tiles import mend
from stochastic_net.random._fence import both

Form: TypeAlias = Callable[[Array, Array], tuple[Array, ...]]
Pivot: TypeAlias = Callable[[Array], tuple[Function, Array]]

_NARROW = 1 / 12  # the part of the reach of few nodes below which it is three
_NARROW_SLOPES = 1 / 20  # and, for derivatives, Taylor's theorem
_GENTLE = 0.2  # the change of log |f| over a deviation below which it may be either
_DIGITS = 2e-5  # or below this part of the mean: nodes would be rounded to few places


@dataclasses.dataclass(frozen=True)
class Smooth:
    """A function and its few nodes; equal to another of the same program.

    `pivot` maps a Gaussian's mean to the function less a constant, which has more digits there, and
    that constant. `fixed` are the nodes of the function less `lowest`.
    """

    function: Function = dataclasses.field(compare=False)
    rule: Rule = dataclasses.field(compare=False)
    fixed: Fixed | None = dataclasses.field(compare=False)
    program: tuple
    pivot: Pivot | None = dataclasses.field(default=None, compare=False)
    lowest: float = dataclasses.field(default=0.0, compare=False)

    def at(self, mean: Array) -> tuple[Function, Array | float]:
        """The function less a constant, and that, for a Gaussian of this mean."""
        return self.pivot(mean) if self.pivot else (self.function, 0.0)

    def moments(self, mean: Array, var: Array) -> tuple[Array, ...]:
        """E and Var for rows of Gaussians."""
        return _moments(self, mean, var)

    def slopes(self, mean: Array, var: Array) -> tuple[Array, ...]:
        """Their derivatives."""
        return _slopes(self, mean, var)


def smooth_of(function: Function, breaks: tuple[ArrayLike, ...], dtype: DTypeLike) -> Smooth | None:
    """`function` with the rule that is right for it, where there is one."""
    if any(isinstance(x, jax.core.Tracer) for x in breaks):
        return None
    program = program_of(function, dtype)
    if program is None:
        return None
    return _found(_Asked(program, _bytes(*breaks), breaks, function, dtype))


@dataclasses.dataclass(frozen=True)
class _Asked:
    """A function, known by its program and breaks: what is found for it is kept."""

    program: tuple
    places: tuple
    breaks: tuple[ArrayLike, ...] = dataclasses.field(compare=False)
    function: Function = dataclasses.field(compare=False)
    dtype: DTypeLike = dataclasses.field(compare=False)


@functools.lru_cache(maxsize=128)
def _found(asked: _Asked) -> Smooth | None:
    function, dtype = asked.function, asked.dtype
    rule = rule_for(function, asked.breaks, dtype)
    if rule is None:
        return None
    return Smooth(function, rule, fixed_nodes(function, rule.reach, dtype), asked.program)


def program_of(function: Function, dtype: DTypeLike) -> tuple | None:
    """What it does, to the last digit: a program as text has its numbers rounded.

    None where its constants are not known, or one an element.
    """
    try:
        program = jax.make_jaxpr(function)(jax.ShapeDtypeStruct((2,), dtype))
    except (TypeError, ValueError):
        return None
    literals = [x.val for eqn in program.eqns for x in eqn.invars if isinstance(x, Literal)]
    one_an_element = program.out_avals[0].shape != (2,)  # an array beside u made it another shape
    if one_an_element or any(isinstance(x, jax.core.Tracer) for x in program.consts):
        return None
    return str(program), *_bytes(*literals, *program.consts)


def _bytes(*numbers: ArrayLike) -> tuple:
    arrays = map(np.asarray, numbers)
    return tuple((x.tobytes(), x.shape) for x in arrays)


@partial(jax.jit, static_argnums=0)
def _moments(smooth: Smooth, mean: Array, var: Array) -> tuple[Array, ...]:
    is_narrow, is_wide = _is_narrow(smooth, mean, var, _NARROW), var > smooth.rule.reach**2
    m0, v0 = where(is_narrow, mean, var, 0.0)  # asked elsewhere, either form is slower
    m1, v1 = where(~(is_narrow | is_wide), mean, var)
    narrow = _about(smooth, m0, lambda function: three_nodes(function, m0, v0))
    middle = _about(smooth, m1, lambda f: FewNodes(f, smooth.rule, m1, v1).moments())
    near = both(*chosen(is_narrow, narrow, middle))
    return mend(partial(_with_wide_moments, smooth), smooth.rule.reach**2, mean, var, near)


@partial(jax.jit, static_argnums=0)
def _slopes(smooth: Smooth, mean: Array, var: Array) -> tuple[Array, ...]:
    is_wide = var > smooth.rule.reach**2
    is_narrow = _is_narrow(smooth, mean, var, _NARROW_SLOPES)
    function, _ = smooth.at(mean)
    near = chosen(
        is_narrow,
        taylor_slopes(function, *where(is_narrow, mean, var, 0.0)),
        FewNodes(function, smooth.rule, *where(~(is_narrow | is_wide), mean, var)).slopes(),
    )
    near = (*both(*near[:2]), *both(*near[2:]))
    return mend(partial(_with_wide_slopes, smooth), smooth.rule.reach**2, mean, var, near)


@partial(jax.jit, static_argnums=0)
def _with_wide_moments(smooth: Smooth, mean: Array, var: Array, *near: Array) -> tuple[Array, ...]:
    is_wide = var > smooth.rule.reach**2
    found = _wide(smooth, *where(is_wide, mean, var)).moments()
    return both(*chosen(is_wide, _raised(found, smooth.lowest), near))


@partial(jax.jit, static_argnums=0)
def _with_wide_slopes(smooth: Smooth, mean: Array, var: Array, *near: Array) -> tuple[Array, ...]:
    is_wide = var > smooth.rule.reach**2
    found = chosen(is_wide, _wide(smooth, *where(is_wide, mean, var)).slopes(), near)
    return (*both(*found[:2]), *both(*found[2:]))


def _about(smooth: Smooth, mean: Array, moments: Callable[[Function], Moments]) -> Moments:
    function, pivot = smooth.at(mean)
    return _raised(moments(function), pivot)


def _raised(moments: Moments, by: Array | float) -> Moments:
    first, second = moments
    return first + by, second


def _wide(smooth: Smooth, mean: Array, var: Array) -> FixedNodes | Nodes:
    if smooth.fixed:
        return FixedNodes(smooth.fixed, mean, var)
    return Nodes(smooth.function, mean, var, (), deep=True, rolled=True)


def _is_narrow(smooth: Smooth, mean: Array, var: Array, part: float) -> Array:
    """Narrower than that part of the reach of the few nodes, and where log|f| is nearly level."""
    is_narrow = narrow_enough(mean, var, part * smooth.rule.reach)
    if smooth.rule.tails:
        slope, _ = log_slope(smooth.rule.tails, mean)
        is_narrow &= var * jnp.square(slope) < _GENTLE**2
    return is_narrow


def narrow_enough(mean: Array, var: Array, scale: float) -> Array:
    """Where the deviation is below `scale`, or of the last digits of the mean."""
    return var < jnp.maximum(scale**2, jnp.square(_DIGITS * mean))


def where(asked: Array, mean: Array, var: Array, harmless: float = 1.0) -> Moments:
    """The moments where they are asked for, and others that do no harm elsewhere."""
    return jnp.where(asked, mean, 0.0), jnp.where(asked, var, harmless)


def chosen(first: Array, one: tuple, two: tuple) -> tuple:
    """One where `first`, else the other."""
    return tuple(jnp.where(first, a, b) for a, b in zip(one, two, strict=True))
