"""A program run again, with the values of some of its equations changed."""

from collections.abc import Callable, Mapping

import jax
from jax import lax
from jax.extend import core
from jax.extend.core import JaxprEqn

from stochastic_net._types import Array, Shape
from stochastic_net.diagnostics._program.derivative import bind
from stochastic_net.diagnostics._program.flow import Place
from stochastic_net.diagnostics._program.loops import counts
from stochastic_net.diagnostics._program.words import words

Changes = Mapping[Place, Array]
Do = Callable[[JaxprEqn, list, Place], list]
Change = Callable[[list, Array], list]  # an equation's values and what is given for its place

_CALLS = words("jit pjit closed_call core_call")
RULES = words("custom_jvp_call custom_vjp_call")
_REMAT = words("remat2 checkpoint")
_ENTERED = _CALLS | _REMAT | {"scan", "cond"}


def enters(eqn: JaxprEqn, rules: bool = False) -> bool:
    """Whether equations inside this one can be changed; `rules`: losing its derivative rule."""
    return eqn.primitive.name in _ENTERED or (rules and eqn.primitive.name in RULES)


def stacked(eqn: JaxprEqn) -> Shape:
    """The axes that a value of an equation gets for being inside this one: one a step."""
    return (eqn.params["length"],) if eqn.primitive.name == "scan" else ()


def rerun(closed: core.ClosedJaxpr, inputs: list, changes: Changes, change: Change) -> list:
    """The outputs of a program, `change` applied at the places in `changes`.

    Everything else is bound as it is, so that derivative rules and compiled calls stay.
    """
    return _run(closed.jaxpr, closed.consts, inputs, (), changes, change)


def _run(program, consts, inputs, calls: Place, changes: Changes, change: Change) -> list:
    def do(eqn: JaxprEqn, ins: list, place: Place) -> list:
        inside = {p: x for p, x in changes.items() if p[: len(place)] == place}
        if not inside:
            return bind(eqn, *ins)
        if place in inside:
            return change(bind(eqn, *ins), inside[place])
        return _enter(eqn, ins, place, inside, change)

    return evaluate(program, consts, inputs, calls, do)


def evaluate(program: core.Jaxpr, consts, inputs, calls: Place, do: Do) -> list:
    """The outputs of a program of which every equation is done by `do`, which knows its place."""
    state: dict = dict(zip(program.constvars, consts, strict=True))
    state.update(zip(program.invars, inputs, strict=True))

    def read(atom):
        return atom.val if isinstance(atom, core.Literal) else state[atom]

    for eqn in program.eqns:
        outs = do(eqn, list(map(read, eqn.invars)), (*calls, id(eqn)))
        state.update(zip(eqn.outvars, outs, strict=True))
    return list(map(read, program.outvars))


def _enter(eqn: JaxprEqn, ins: list, place: Place, changes: Changes, change: Change) -> list:
    name = eqn.primitive.name
    if name == "scan":
        return _scan(eqn, ins, place, changes, change)
    if name == "cond":
        index, *operands = ins
        branches = [_body(b, place, changes, change) for b in eqn.params["branches"]]
        return list(lax.switch(index, branches, *operands))
    names = ("jaxpr", "call_jaxpr", "fun_jaxpr")
    run = _body(next(eqn.params[n] for n in names if n in eqn.params), place, changes, change)
    if name in _REMAT:
        run = jax.checkpoint(run, policy=eqn.params.get("policy"))
    return list(run(*ins))


def _body(closed, place: Place, changes: Changes, change: Change) -> Callable[..., list]:
    program, consts = getattr(closed, "jaxpr", closed), getattr(closed, "consts", ())
    return lambda *ins: _run(program, consts, ins, place, changes, change)


def _scan(eqn: JaxprEqn, ins: list, place: Place, changes: Changes, change: Change) -> list:
    """Changes are given step by step, along their first axis."""
    consts, carried = counts(eqn)
    fixed, start, xs = ins[:consts], ins[consts:][:carried], ins[consts + carried :]
    closed = eqn.params["jaxpr"]

    def step(carry, each):
        values, now = each
        outs = _body(closed, place, now, change)(*fixed, *carry, *values)
        return outs[:carried], outs[carried:]

    options = {k: eqn.params[k] for k in ("length", "reverse", "unroll")}
    end, ys = lax.scan(step, start, (xs, dict(changes)), **options)
    return [*end, *ys]
