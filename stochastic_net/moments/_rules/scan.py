"""Loops that read their inputs a step at a time."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import JaxprEqn
from jax.extend.core import primitives as p

from stochastic_net.moments._program.registry import called_by, register
from stochastic_net.moments._program.tape import tape
from stochastic_net.moments._program.values import Value, gaussian, is_random, moments
from stochastic_net.moments._rules.elementwise import count_elementwise
from stochastic_net.moments._rules.interpret import interpret
from stochastic_net.moments._rules.packed import (
    Packed,
    output_flags,
    pack,
    runner,
    settled,
    unpack,
)

_LONGEST = 128  # operations that are written out


@register("control", p.scan_p)
def scan(eqn: JaxprEqn, operands: list[Value]) -> list[Value]:
    """Step by step; what is carried is random if it ever becomes so."""
    consts, carried = _counts(eqn)
    program = eqn.params["jaxpr"]
    fixed, carry, xs = operands[:consts], operands[consts:][:carried], operands[consts + carried :]
    if _is_one_function(eqn, xs):
        return _written_out(eqn, fixed, carry, xs)
    steps = [list(map(pack, values)) for values in (fixed, carry, xs)]
    one = list(map(_one_of, steps[2]))
    outside = tape.get()
    met = None

    def flags_of(state: list[Packed]) -> list[bool]:
        nonlocal met
        met = outside and outside.rehearsal()
        return output_flags(eqn, program, [*steps[0], *state, *one], met)

    state, flags = settled(flags_of, steps[1])
    run = runner(eqn, program, flags)

    def step(inside, state, x):
        outputs = run([*steps[0], *state, *x], inside)
        return outputs[:carried], outputs[carried:]

    how = {name: eqn.params[name] for name in ("length", "reverse", "unroll")}
    if outside and met and met.labels:
        state, ys = outside.scan(step, met, state, steps[2], **how)
    else:
        state, ys = lax.scan(partial(step, None), state, steps[2], **how)
    return list(map(unpack, [*state, *ys]))


def _is_one_function(eqn: JaxprEqn, xs: list[Value]) -> bool:
    """Whether the carry stays a function of its start, element by element, and not a long one."""
    operations = eqn.params["length"] * count_elementwise(eqn.params["jaxpr"].jaxpr)
    return 0 < operations <= _LONGEST and not any(map(is_random, xs))


def _written_out(
    eqn: JaxprEqn, fixed: list[Value], carry: list[Value], xs: list[Any]
) -> list[Value]:
    """The same without a loop: Horner's scheme is a polynomial in one x, not in its last value."""
    places = range(eqn.params["length"])
    ys: list[list[Value]] = []
    for place in reversed(places) if eqn.params["reverse"] else places:
        with called_by(eqn):
            outputs = interpret(eqn.params["jaxpr"], [*fixed, *carry, *(x[place] for x in xs)])
        carry = outputs[: len(carry)]
        ys.append(outputs[len(carry) :])
    if eqn.params["reverse"]:
        ys.reverse()
    return [*carry, *map(_stacked, zip(*ys, strict=True))]


def _stacked(steps: tuple[Any, ...]) -> Value:
    if not any(map(is_random, steps)):
        return jnp.stack(steps)
    means, variances = zip(*map(moments, steps), strict=True)
    return gaussian(jnp.stack(means), jnp.stack(variances))


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
