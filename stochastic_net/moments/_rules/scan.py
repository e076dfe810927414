"""Loops that read their inputs a step at a time."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import JaxprEqn
from jax.extend.core import primitives as p

from stochastic_net._types import Array
from stochastic_net.moments._program.registry import called_by, register
from stochastic_net.moments._program.tape import Tape, tape
from stochastic_net.moments._program.values import Value, is_random
from stochastic_net.moments._rules.interpret import interpret
from stochastic_net.moments._rules.packed import (
    Packed,
    output_flags,
    pack,
    runner,
    settled,
    unpack,
    widen,
)


@register("control", p.scan_p)
def scan(eqn: JaxprEqn, operands: list[Value]) -> list[Value]:
    """Step by step; what is carried is random if it ever becomes so."""
    consts, carried = _counts(eqn)
    program = eqn.params["jaxpr"]
    fixed, carry, xs = operands[:consts], operands[consts:][:carried], operands[consts + carried :]
    steps = [list(map(pack, values)) for values in (fixed, carry, xs)]
    one = list(map(_one_of, steps[2]))
    nodes = Tape() if tape.get() else None
    state, flags = settled(
        lambda state: output_flags(eqn, program, [*steps[0], *state, *one], nodes), steps[1]
    )
    run, outside = runner(eqn, program, flags), tape.get()

    def step(inside, state, x):
        outputs = run([*steps[0], *state, *x], inside)
        return outputs[:carried], outputs[carried:]

    how = {k: eqn.params[k] for k in ("length", "reverse", "unroll") if k in eqn.params}
    if not (outside and nodes and nodes.variances):
        state, ys = lax.scan(partial(step, None), state, steps[2], **how)
    elif outside.keeps_covariance:
        return _written_out(eqn, fixed, carry, xs)
    else:
        state, ys = outside.scan(step, state, steps[2], **how)
    return list(map(unpack, [*state, *ys]))


def _written_out(
    eqn: JaxprEqn, fixed: list[Value], carry: list[Value], xs: list[Value]
) -> list[Value]:
    """A scan whose steps have nodes: where covariances are kept each is an operation of its own."""
    steps, results = range(eqn.params["length"]), eqn.outvars[len(carry) :]
    found: list[list[Value]] = [[] for _ in results]
    for k in reversed(steps) if eqn.params["reverse"] else steps:
        x = [unpack(tuple(a[k] for a in pack(value))) for value in xs]
        with called_by(eqn):
            outputs = interpret(eqn.params["jaxpr"], [*fixed, *carry, *x])
        carry = outputs[: len(carry)]
        for ys, y in zip(found, outputs[len(carry) :], strict=True):
            ys.append(y)
    if not steps:
        return [*carry, *(_nothing(x.aval) for x in results)]
    return [*carry, *(_stacked(ys[::-1] if eqn.params["reverse"] else ys) for ys in found)]


def _nothing(aval: Any) -> Array:
    return jnp.zeros(aval.shape, aval.dtype)


def _stacked(values: list[Value]) -> Value:
    packed = [pack(x) for x in values]
    if any(map(is_random, values)):
        packed = list(map(widen, packed))
    return unpack(tuple(map(jnp.stack, zip(*packed, strict=True))))


def _one_of(x: Packed) -> tuple[jax.ShapeDtypeStruct, ...]:
    """The shape of one of what is scanned over."""
    return tuple(jax.ShapeDtypeStruct(a.shape[1:], a.dtype) for a in x)


def _counts(eqn: JaxprEqn) -> tuple[int, int]:
    """How many operands of a scan are constants, and how many are carried.

    These have inside the rank that they have outside, and what is scanned over one less; the names
    of the equation's parameters changed between JAX 0.10 and 0.12.
    """
    program = eqn.params["jaxpr"]

    def as_outside(outside: list, inside: list) -> int:
        return sum(len(a.aval.shape) == len(b.shape) for a, b in zip(outside, inside, strict=True))

    carried = as_outside(eqn.outvars, program.out_avals)
    return as_outside(eqn.invars, program.in_avals) - carried, carried
