"""Run a program on values some of which are random."""

import contextlib

import jax
from jax.extend import core

from stochastic_net._types import Array
from stochastic_net.moments._program.no_rule import NoRule
from stochastic_net.moments._program.registry import RULES, refuse, user_line
from stochastic_net.moments._program.shifts import running
from stochastic_net.moments._program.spread import spread_by
from stochastic_net.moments._program.tape import asking
from stochastic_net.moments._program.values import Value, is_random
from stochastic_net.moments._program.watch import CALLS, watch
from stochastic_net.moments._rules.otherwise import fallback


def interpret(jaxpr: core.ClosedJaxpr, operands: list[Value]) -> list[Value]:
    """The outputs of a program; what no randomness reaches is computed as it stands."""
    program = jaxpr.jaxpr
    values: dict[core.Var, Value] = dict(zip(program.constvars, jaxpr.consts, strict=True))
    values |= dict(zip(program.invars, operands, strict=True))

    def read(atom) -> Value:
        return atom.val if isinstance(atom, core.Literal) else values[atom]

    for eqn in program.eqns:
        inputs = [read(atom) for atom in eqn.invars]
        watcher, outputs = watch.get(), list[Value]()
        if any(map(is_random, inputs)) or (watcher and eqn.primitive in CALLS):
            with running.being(program):
                outputs.extend(_by_rule(eqn, inputs))
        else:
            outputs.extend(_as_it_stands(eqn, inputs))
        if watcher:
            watcher.see(eqn, inputs, outputs)
        values |= dict(zip(eqn.outvars, outputs, strict=True))
    return [read(atom) for atom in program.outvars]


def _by_rule(eqn: core.JaxprEqn, inputs: list[Value]) -> list[Value]:
    with asking.being(lambda: f"{user_line(eqn) or '-'}: {eqn.primitive.name}"):
        return _apply(eqn, inputs)


def _apply(eqn: core.JaxprEqn, inputs: list[Value]) -> list[Value]:
    rule, instead = RULES.get(eqn.primitive) or (lambda eqn, _: refuse(eqn)), fallback.get()
    if instead is None:
        return rule(eqn, inputs)
    try:
        return rule(eqn, inputs)
    except NoRule:
        return instead(eqn, inputs)


def _as_it_stands(eqn: core.JaxprEqn, inputs: list[Value]) -> list[Array]:
    """One equation on constants, its own derivative rules kept.

    A number is computed here and now where it can be: a rule may want to know which way it goes.
    Spread over an array it stays known.
    """
    spread = spread_by(eqn, inputs)
    if spread is not None:
        return [spread]
    numbers = all(getattr(out.aval, "shape", None) == () for out in eqn.outvars)
    known = numbers and not eqn.effects and not any(isinstance(x, jax.core.Tracer) for x in inputs)
    with jax.ensure_compile_time_eval() if known else contextlib.nullcontext():
        outputs = eqn.primitive.bind(*inputs, **eqn.primitive.get_bind_params(eqn.params))
    return outputs if eqn.primitive.multiple_results else [outputs]
