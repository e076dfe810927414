"""`where(u > c, one line, another)`: leaky relu, hard thresholds, steps."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import JaxprEqn
from jax.extend.core import primitives as p

from stochastic_net._types import Array
from stochastic_net.moments._integrals.precision import Moments
from stochastic_net.moments._integrals.two_lines import Coefficients, TwoLines
from stochastic_net.moments._program.composition import Composition, identity
from stochastic_net.moments._program.spread import as_wide_as, is_everywhere
from stochastic_net.moments._program.values import (
    Elementwise,
    Exponential,
    Line,
    Mask,
    Question,
    Value,
    is_random,
    split,
)
from stochastic_net.moments._rules.bounds import ended

_ASKS = {  # and the question with its sides exchanged
    p.gt_p: (jnp.greater, jnp.less),
    p.ge_p: (jnp.greater_equal, jnp.less_equal),
    p.lt_p: (jnp.less, jnp.greater),
    p.le_p: (jnp.less_equal, jnp.greater_equal),
}


def question_of(eqn: JaxprEqn, operands: list[Value]) -> Question | None:
    """What a comparison asks, if it is one of a line and a constant."""
    randoms, constants = split(operands)
    if eqn.primitive not in _ASKS or len(randoms) != 1 or randoms[0].function:
        return None
    compare = _ASKS[eqn.primitive][0 if is_random(operands[0]) else 1]
    return Question(compare, compare in (jnp.greater, jnp.greater_equal), constants[0])


def select(eqn: JaxprEqn, operands: list[Value]) -> Elementwise | None:
    """A choice by such a question between two lines or constants, with its closed form."""
    if eqn.primitive is not p.select_n_p or len(operands) != 3:
        return None
    asked, *cases = operands
    if not isinstance(asked, Elementwise) or asked.question is None:
        return None
    line, question = asked.line, asked.question
    if any(x.line.root is not line.root for x in split(cases)[0]):
        return None
    traced = isinstance(question.place, jax.core.Tracer)  # else it stays known
    place: Any = (jnp if traced else np).asarray(question.place, asked.dtype)
    bounds = ended(line, question.place, *(cases if question.above else cases[::-1]))
    if bounds is None and any(x.function for x in split(cases)[0]):
        return None
    units = [_in_units_of(line, x, place) for x in cases]

    def function(u: Array) -> Array:
        c = place.astype(u.dtype)
        first, second = (_at(line, x, own, u, c) for x, own in zip(cases, units, strict=True))
        return jnp.where(question.compare(u, c), second, first)

    if bounds:
        closed = dataclasses.replace(bounds, function=function)
        return Elementwise(line, function, closed, bounds.clip.ends)
    lines = TwoLines(*(units if question.above else units[::-1]))

    def closed_of_lines(mean: Array, var: Array) -> Moments:
        out, spread = lines.moments(mean - place.astype(mean.dtype), var)
        point = var < jnp.finfo(var.dtype).tiny
        return jnp.where(point, function(mean), out), spread

    return Elementwise(line, function, closed_of_lines, (place,))


def masked(eqn: JaxprEqn, operands: list[Value]) -> Elementwise | None:
    """A choice, by a constant, between a random value and a constant."""
    if eqn.primitive is not p.select_n_p or len(operands) != 3 or is_random(operands[0]):
        return None
    randoms, constants = split(operands)
    if len(randoms) != 1:
        return None
    which = jnp.asarray(constants[0])
    chosen = which == jnp.asarray(is_random(operands[2]), which.dtype)
    return choice(chosen, randoms[0], constants[1])


def choice(chosen: Array, x: Elementwise, other: Any) -> Elementwise:
    """x where `chosen`, else `other`, both constants: its moments are chosen likewise."""

    def apply(kept: Array) -> Array:
        return jnp.where(chosen, kept, as_wide_as(kept, jnp.asarray(other, kept.dtype)))

    function = Composition(apply, [x.function or identity])

    def closed(mean: Array, var: Array) -> Moments:
        kept, spread = x.at_moments(mean, var)
        return jnp.where(chosen, kept, jnp.asarray(other, kept.dtype)), jnp.where(chosen, spread, 0)

    out = Elementwise(x.line, function, closed, x.breaks, mask=Mask(chosen, x, other))
    if x.exponential and is_everywhere(other, 0):
        never = choice(chosen, x.exponential.of, np.asarray(-np.inf, x.dtype))
        out.exponential = Exponential(never, x, chosen)
    return out


def _at(line: Line, case: Value, own: Coefficients, u: Array, place: Array) -> Array:
    """The case at u: without rounding where it is a function of u, or a constant."""
    if isinstance(case, Elementwise) and case.line is line:
        return case.function(u) if case.function else u
    if not isinstance(case, Elementwise):
        return jnp.broadcast_to(jnp.asarray(case).astype(u.dtype), u.shape)
    slope, intercept = (jnp.asarray(x).astype(u.dtype) for x in own)
    return slope * (u - place) + intercept


def _in_units_of(line: Line, value: Value, place: Array) -> Coefficients:
    """Slope and intercept of a line or constant as a function of u - place."""
    if not isinstance(value, Elementwise):
        return jnp.zeros_like(value), value
    dtype = value.dtype
    if value.line is line:
        return jnp.ones((), dtype), place
    own, unit = (jnp.asarray(x.scale, dtype) for x in (value.line, line))
    slope = own / unit
    shift = jnp.asarray(value.line.shift, dtype) - slope * jnp.asarray(line.shift, dtype)
    return slope, slope * place + shift
