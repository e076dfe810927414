"""What else is known of the value of an operation: which key, what range, what danger."""

from typing import Any

from jax.extend import core
from jax.extend.core import JaxprEqn

from stochastic_net.diagnostics._program import bounds
from stochastic_net.diagnostics._program.arithmetic import after
from stochastic_net.diagnostics._program.choice import chosen
from stochastic_net.diagnostics._program.dangers import exposed
from stochastic_net.diagnostics._program.derivative import is_float
from stochastic_net.diagnostics._program.draws import birth, is_sampler
from stochastic_net.diagnostics._program.ends import SUMS, TESTS, terms
from stochastic_net.diagnostics._program.flow import Danger, Flow
from stochastic_net.diagnostics._program.keys import is_key, next_key
from stochastic_net.diagnostics._program.rows import rows
from stochastic_net.diagnostics._program.source import Source, is_direct
from stochastic_net.diagnostics._program.state import State
from stochastic_net.diagnostics._program.words import words

_SHAPES = words(
    """
    broadcast_in_dim reshape transpose squeeze expand_dims convert_element_type copy pvary
    stop_gradient reduce_precision
    """
)


def detail(walk: State, eqn: JaxprEqn, index: int, out: Flow, ins: list[Flow]) -> Flow:
    """Its key, its range, and what it is equal to or a comparison of."""
    name, var = eqn.primitive.name, eqn.outvars[index]
    if is_key(var.aval) or (ins and ins[0].key is not None):
        atoms = [_number(a, f) for a, f in zip(eqn.invars[1:], ins[1:], strict=True)]
        out = out._replace(key=next_key(eqn, index, ins[0].key, atoms, walk.place(eqn)))
    if is_float(var.aval) and not any(is_float(a.aval) for a in eqn.invars):
        out = birth(walk, eqn, out, var)
    if name in ("log", "log1p", "logsumexp"):
        out = out._replace(logged=out.logged | out.diff)
    if name in _SHAPES:
        out = out._replace(number=ins[0].number, test=ins[0].test)
    else:
        out = out._replace(number=(walk.place(eqn), index), test=None)
    if name in SUMS:
        out = out._replace(terms=frozenset().union(*map(terms, ins)))
    if name in TESTS:
        out = out._replace(test=(name, ins[0].number, ins[1].number, ins[0].range, ins[1].range))
    if name == "is_finite":
        out = out._replace(test=("eq", ins[0].number, None, ins[0].range, bounds.ANY))
    if is_float(var.aval) or name in TESTS or name in ("iota", "convert_element_type"):
        out = out._replace(range=_range_of(walk, eqn, ins))
    return rows(walk, eqn, out, ins)


def _range_of(walk: State, eqn: JaxprEqn, ins: list[Flow]) -> bounds.Range:
    name = eqn.primitive.name
    ranges = [f.range for f in ins]
    if name == "select_n" and len(ins) == 3:
        return chosen(ins)
    if name == "convert_element_type" and not is_float(eqn.outvars[0].aval):
        return bounds.ANY if not is_float(eqn.invars[0].aval) else ranges[0]
    squared = name == "mul" and ins[0].number is not None and ins[0].number == ins[1].number
    return after(eqn, ranges, squared)


def endanger(walk: State, eqn: JaxprEqn, ins: list[Flow], outs: list[Flow]) -> list[Flow]:
    """`outs`, which remember that the operation may have no finite derivative here."""
    name = eqn.primitive.name
    found = exposed(eqn, [f.range for f in ins])
    if found is not None:
        index, zero, below = found
        flow = ins[index]
        if flow.diff & walk.watched:
            place = walk.place(eqn)
            if place not in walk.dangers:
                bit = 1 << len(walk.dangers)
                walk.dangers[place] = Danger(name, walk.where(eqn), bit, eqn, place, flow.number)
            danger = walk.dangers[place]
            danger.sources |= flow.diff
            danger.zero, danger.below = zero, below
            inside = any(map(is_sampler, walk.calls))
            danger.sampler = inside or not is_direct(walk.calls, eqn)
            danger.layer, danger.result = bool(flow.layer), outs[0].number
            outs = [out._replace(risk=out.risk | danger.bit) for out in outs]
    if name == "select_n" and len(ins) == 3 and outs[0].risk and _is_where(walk, eqn):
        for danger in walk.dangers.values():
            if danger.bit & outs[0].risk:
                _guard(walk.where(eqn), danger, ins)
    return outs


def _guard(source: Source, danger: Danger, ins: list[Flow]) -> None:
    """Note that a `where` chooses between what is dangerous and something else."""
    test, *cases = ins
    compared = set(test.test[1:3]) if test.test is not None else set()
    if {danger.operand, danger.result} & compared:
        danger.guarded = source
    elif test.info & danger.sources and not all(danger.bit & case.risk for case in cases):
        danger.hidden = source


def _is_where(walk: State, eqn: JaxprEqn) -> bool:
    """Whether the user writes this choice, and not a function of a library that knows why."""
    return walk.where(eqn).called.rpartition(".")[2] in (
        "where",
        "select",
        "select_n",
        "_where",
    )


def _number(atom, flow: Flow) -> Any:
    if isinstance(atom, core.Literal):
        return int(atom.val) if getattr(atom.aval, "shape", None) == () else str(atom.val)
    return flow.number, flow.vary
