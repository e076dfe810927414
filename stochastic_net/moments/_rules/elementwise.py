"""Elementwise operations: those on one root compose, those on several are independent.

A composition is integrated when something asks for its moments. A line, a + b x, stays a line; one
operation on a line has a closed form where `CLOSED` knows one.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend import core
from jax.extend.core import JaxprEqn
from jax.extend.core import primitives as p

from stochastic_net._types import Array, Shape
from stochastic_net.moments._program.breaks import breaks_of
from stochastic_net.moments._program.composition import Composition, identity
from stochastic_net.moments._program.registry import register
from stochastic_net.moments._program.spread import as_wide_as, is_everywhere, number_of
from stochastic_net.moments._program.values import (
    Elementwise,
    Exponential,
    Line,
    Value,
    gaussian,
    is_random,
    split,
)
from stochastic_net.moments._program.watch import CALLS, called
from stochastic_net.moments._rules import closed_forms
from stochastic_net.moments._rules.bounds import clipped
from stochastic_net.moments._rules.cases import choice, masked, question_of, select
from stochastic_net.moments._rules.independent import independent
from stochastic_net.moments._rules.limits import is_at_zero, moved, rest_of
from stochastic_net.moments._rules.origins import is_never_less, sum_of_exponentials, widen
from stochastic_net.moments._rules.softmax import LogSumExp

_NEWER = ("log2_p", "one_minus_square_p", "polynomial_p")  # since JAX 0.12
ELEMENTWISE = (
    *(p.abs_p, p.acos_p, p.acosh_p, p.add_p, p.and_p, p.asin_p, p.asinh_p, p.atan2_p, p.atan_p),
    *(p.bessel_i0e_p, p.bessel_i1e_p, p.igamma_p, p.igammac_p, p.polygamma_p, p.zeta_p),
    *(
        p.regularized_incomplete_beta_p,
        p.atanh_p,
        p.cbrt_p,
        p.ceil_p,
        p.clamp_p,
        p.cos_p,
        p.cosh_p,
        p.digamma_p,
        p.div_p,
        p.eq_p,
    ),
    *(p.erf_inv_p, p.erf_p, p.erfc_p, p.exp2_p, p.exp_p, p.expm1_p, p.floor_p, p.ge_p, p.gt_p),
    *(p.integer_pow_p, p.is_finite_p, p.le_p, p.lgamma_p, p.log1p_p, p.log_p, p.logistic_p),
    *(p.lt_p, p.max_p, p.min_p, p.mul_p, p.ne_p, p.neg_p, p.not_p, p.or_p, p.pow_p),
    *(p.rem_p, p.round_p, p.rsqrt_p, p.select_n_p, p.sign_p, p.sin_p, p.sinh_p, p.sqrt_p),
    *(p.square_p, p.sub_p, p.tan_p, p.tanh_p, p.xor_p, p.convert_element_type_p),
    *(getattr(lax, name) for name in _NEWER if hasattr(lax, name)),
)


@register("fused", *ELEMENTWISE)
def elementwise(eqn: JaxprEqn, operands: list[Value]) -> list[Value]:
    """A value of the one root of its operands, or the moments of independent ones."""
    shape: Shape = getattr(eqn.outvars[0].aval, "shape", ())
    whole = [widen(x, shape) if isinstance(x, Elementwise) else x for x in operands]
    operands = [number_of(x) for x in whole]
    if eqn.primitive is p.is_finite_p:
        always: Any = np.ones(shape, bool)  # known here and now, also under jit
        return [always]
    known = _chosen(eqn, operands) or masked(eqn, operands) or _behind_a_mask(eqn, operands)
    known = _line(eqn, operands) if known is None else known
    if known is not None:
        return [_named(eqn, operands, known)]
    roots = {id(x.line.root) for x in split(operands)[0]}
    if len(roots) > 1:
        return [independent(eqn, whole)]
    return [_named(eqn, operands, select(eqn, operands) or _compose(eqn, operands))]


def count_elementwise(program: core.Jaxpr) -> float:
    """How many operations a program has, if all are elementwise; else infinitely many."""

    def count(eqn: JaxprEqn) -> float:
        if eqn.primitive in ELEMENTWISE:
            return 1
        return count_elementwise(called(eqn).jaxpr) if eqn.primitive in CALLS else math.inf

    return sum(map(count, program.eqns))


def _named(eqn: JaxprEqn, operands: list[Value], result: Value) -> Value:
    """The result, which remembers that it is an exponential."""
    if eqn.primitive is p.exp_p and is_random(result) and is_random(operands[0]):
        result.exponential = Exponential(operands[0])
    return result


def _behind_a_mask(eqn: JaxprEqn, operands: list[Value]) -> Value | None:
    """An operation on what a constant mask leaves of a value, and on what it puts in its place."""
    x = operands[0]
    if len(operands) != 1 or not is_random(x) or x.mask is None:
        return None
    (inner,) = elementwise(eqn, [x.mask.of])
    other = eqn.primitive.bind(jnp.asarray(x.mask.other), **eqn.params)
    return choice(x.mask.chosen, inner, other) if is_random(inner) else None


@register("fused", p.add_jaxvals_p)
def add_any(eqn: JaxprEqn, operands: list[Value]) -> list[Value]:
    """The sum in a program that JAX differentiated."""
    return elementwise(eqn.replace(primitive=p.add_p), operands)


def _chosen(eqn: JaxprEqn, operands: list[Value]) -> Elementwise | None:
    """The random operand that a predicate, known here and now, chooses everywhere."""
    if eqn.primitive is not p.select_n_p or is_random(operands[0]):
        return None
    for number, x in enumerate(operands[1:]):
        if isinstance(x, Elementwise) and is_everywhere(operands[0], number):
            return x
    return None


def _line(eqn: JaxprEqn, operands: list[Value]) -> Value | None:
    """The result where it is a line in its one random operand, or that operand itself."""
    randoms, constants = split(operands)
    kind = getattr(eqn.outvars[0].aval, "dtype", jnp.bool_)
    if len(randoms) != 1 or not jnp.issubdtype(kind, jnp.floating):
        return None
    match constants:
        case []:
            return _line_of_one(eqn, randoms[0])
        case [other]:
            return _line_with(eqn.primitive.name, randoms[0], other, is_random(operands[0]))
    return None


def _line_of_one(eqn: JaxprEqn, x: Elementwise) -> Value | None:
    if eqn.primitive is p.neg_p:
        return _affine(x, -1.0, 0.0)
    if eqn.primitive in (p.abs_p, p.log_p) and (place := sum_of_exponentials(x)):
        return x if eqn.primitive is p.abs_p else _log_sum_exp(LogSumExp(*place), x)
    if eqn.primitive is p.sign_p and sum_of_exponentials(x):
        return np.ones(x.shape, x.dtype)  # pyrefly: ignore[bad-return]
    given: Any = eqn.invars[0].aval  # what a comparison gives is no float, and composed
    if jnp.issubdtype(given.dtype, jnp.floating) and eqn.primitive is p.convert_element_type_p:
        return _cast(x, eqn.params["new_dtype"])
    return None


def _line_with(name: str, x: Elementwise, other: Array, first: bool) -> Value | None:
    """`first`: whether x is the first of the two."""
    match name, first:
        case "add", _:
            return _affine(x, 1.0, other)
        case "sub", True:
            return _affine(x, 1.0, -other)
        case "sub", False:
            return _affine(x, -1.0, other)
        case "mul", _:
            return _scaled(x, other)
        case "div", True:
            return _affine(x, 1 / other, 0.0)
        case "max", _ if is_everywhere(other, -np.inf) or is_never_less(x, other):
            return x
        case "min", _ if is_everywhere(other, np.inf):
            return x
    return None


def _cast(x: Elementwise, dtype: np.dtype) -> Elementwise:
    """The same in another floating dtype; cast back it is itself."""
    if dtype == x.dtype:
        return x
    if x.was is not None:
        return _cast(x.was, dtype)
    if x.mask:
        out = choice(x.mask.chosen, _cast(x.mask.of, dtype), jnp.asarray(x.mask.other, dtype))
        out.was = x
        return out
    line = dataclasses.replace(x.line, root=x.line.root.cast(dtype))
    inner, own = x.function, x.dtype
    function = inner and (lambda u: inner(u.astype(own)).astype(dtype))
    return Elementwise(line, function, x.closed, x.breaks, x.clipped, was=x)


def _log_sum_exp(found: LogSumExp, x: Elementwise) -> Value:
    mean, var = (m.reshape(x.shape).astype(x.dtype) for m in found.node())
    return gaussian(mean, var, found)


def _scaled(x: Elementwise, scale: Array) -> Elementwise:
    """scale * x; a positive number times an exponential is one."""
    out = _affine(x, scale, 0.0)
    if x.exponential and not isinstance(scale, jax.core.Tracer) and np.all(np.asarray(scale) >= 0):
        out.exponential = Exponential(_affine(x.exponential.of, 1.0, jnp.log(scale)))
    return out


def _affine(x: Elementwise, scale: Array | float, shift: Array | float) -> Elementwise:
    if x.mask:
        chosen, of, other = x.mask
        return choice(chosen, _affine(of, scale, shift), scale * other + shift)
    if x.function is None:
        return Elementwise(x.line.then(scale, shift))
    inner = x.function
    closed = x.closed and closed_forms.moved(x.closed, scale, shift)
    rest = x.rest and moved(x.rest, scale, shift)
    if rest and is_at_zero(rest):
        whole = rest.function
        return Elementwise(x.line, lambda u: whole(u, jnp.zeros_like(u)), breaks=x.breaks)
    function = Composition(lambda y: scale * y + shift, [inner])
    return Elementwise(x.line, function, closed, x.breaks, rest=rest)


def _compose(eqn: JaxprEqn, operands: list[Value]) -> Elementwise:
    """One function of the line that all operands are functions of, else of their root."""
    randoms, _ = split(operands)
    lines = {id(x.line): x.line for x in randoms}
    apply = _application(eqn)
    if len(lines) == 1:
        (line,) = lines.values()
        parts = [_of_line(x) for x in operands]
        closed = None
        if len(randoms) == 1 and randoms[0].function is None:
            find = closed_forms.CLOSED.get(eqn.primitive.name)
            closed = find(eqn.params, operands) if find else None
        elif eqn.primitive is p.mul_p and not any(x.function for x in randoms):
            closed = closed_forms.square
    else:
        whole = (x.line for x in randoms if x.line.is_root)
        line = next(whole, Line(randoms[0].line.root))
        parts = list(map(_of_root, operands))
        closed = None
    clip = clipped(eqn, operands)
    breaks = breaks_of(eqn, operands, line, parts)
    return Elementwise(
        line,
        Composition(apply, parts),
        clip or closed,
        breaks,
        clip is not None,
        question_of(eqn, operands),
        rest_of(eqn, operands, parts) if len(lines) == 1 else None,
    )


def _of_line(x: Value) -> Callable[[Array], Array]:
    if isinstance(x, Elementwise):
        return x.function or identity
    return lambda u: as_wide_as(u, x)


def _of_root(x: Value) -> Callable[[Array], Array]:
    return x.at if isinstance(x, Elementwise) and not x.line.is_root else _of_line(x)


def _application(eqn: JaxprEqn) -> Callable[..., Array]:
    return lambda *args: eqn.primitive.bind(*args, **eqn.params)
