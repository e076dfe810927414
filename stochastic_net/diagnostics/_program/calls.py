"""How calls are walked: into them, and by their own derivative rule where they have one."""

from jax.extend.core import JaxprEqn

from stochastic_net.diagnostics._program import bounds
from stochastic_net.diagnostics._program.choice import softplus
from stochastic_net.diagnostics._program.derivative import CALLS, derivative, is_float
from stochastic_net.diagnostics._program.ends import join
from stochastic_net.diagnostics._program.flow import Flow
from stochastic_net.diagnostics._program.source import calls_users, name_of_rule, samples
from stochastic_net.diagnostics._program.walk import Walk, handles

# Bounds that are known better than arithmetic on bits knows them.
_LAWS = {"_uniform": bounds.Range(-float("inf"), float("inf"), bounds.POINTS)}
_RULES = [name for name in CALLS if name.startswith("custom_")]
_PLAIN = [name for name in CALLS if name not in _RULES and name != "shard_map"]


def _program(eqn: JaxprEqn):
    names = ("jaxpr", "call_jaxpr", "fun_jaxpr")
    return next(eqn.params[name] for name in names if name in eqn.params)


@handles(*_PLAIN)
def call(walk: Walk, eqn: JaxprEqn, ins: list[Flow]) -> list[Flow]:
    """As if its program stood here."""
    known = walk.size
    outs = walk.inside(eqn, _program(eqn), ins)
    if samples(eqn):  # what it returns is what is drawn, however it is made
        moving = [walk.since(known) if is_float(v.aval) else 0 for v in eqn.outvars]
        outs = [f._replace(diff=f.diff | bits) for f, bits in zip(outs, moving, strict=True)]
    law = _LAWS.get(eqn.params.get("name", ""))
    return outs if law is None else [flow._replace(range=law) for flow in outs]


@handles("optimization_barrier", "fence")
def barrier(_walk: Walk, _eqn: JaxprEqn, ins: list[Flow]) -> list[Flow]:
    """Every operand comes out as it is."""
    return ins


@handles(*_RULES)
def own_rule(walk: Walk, eqn: JaxprEqn, ins: list[Flow]) -> list[Flow]:
    """A function with a derivative rule of its own: the rule counts, not what is inside."""
    known = walk.size
    walk.own_rule += 1
    inner = walk.inside(eqn, _program(eqn), ins)
    walk.own_rule -= 1
    if not walk.own_rule and calls_users(eqn):
        walk.rules[walk.place(eqn)] = walk.where(eqn)
    outs = join(walk, eqn, ins, derivative(eqn))
    for out, flow in zip(outs, inner, strict=True):
        _compare(walk, eqn, out, flow)
    if name_of_rule(eqn) in ("relu", "relu6") and outs[0].diff & walk.watched:
        walk.flats[walk.place(eqn)] = ("relu", walk.where(eqn), outs[0].diff)
    is_softplus = name_of_rule(eqn) == "logaddexp"
    return [
        out._replace(
            diff=out.diff | (flow.diff & walk.since(known)),
            info=out.info | flow.info,
            logged=out.logged | (flow.logged & out.diff),
            range=softplus(ins) if is_softplus else flow.range,
            key=flow.key,
        )
        for out, flow in zip(outs, inner, strict=True)
    ]


def _compare(walk: Walk, eqn: JaxprEqn, by_rule: Flow, inside: Flow) -> None:
    """Note the derivatives that a rule gives and the program inside has not."""
    given = by_rule.diff & ~inside.diff & walk.leaves
    if walk.sampling(eqn):
        walk.jumps |= given
    else:
        walk.on_purpose |= given
    for cut in walk.cuts_in(inside.lost):
        walk.jumps |= cut.ended & by_rule.diff & walk.leaves


@handles("shard_map")
def shards(walk: Walk, eqn: JaxprEqn, ins: list[Flow]) -> list[Flow]:
    """As a call in which what is split differs from shard to shard."""
    bit = walk.loop(eqn)
    specs = eqn.params.get("in_specs") or eqn.params.get("in_names", ())
    split = [bool(tuple(filter(None, spec))) for spec in specs]
    ins = [f._replace(vary=f.vary | bit) if s else f for f, s in zip(ins, split, strict=True)]
    walk.around.append(bit)
    outs = walk.inside(eqn, _program(eqn), ins)
    walk.around.pop()
    return outs
