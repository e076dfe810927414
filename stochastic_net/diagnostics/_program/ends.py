"""Where derivatives end on their way through an operation, and what makes up for it."""

from jax.extend.core import JaxprEqn

from stochastic_net.diagnostics._program.derivative import Refused
from stochastic_net.diagnostics._program.flow import Cut, Flow, together
from stochastic_net.diagnostics._program.source import is_jax, stops_exactly
from stochastic_net.diagnostics._program.state import State
from stochastic_net.diagnostics._program.words import words

_KINDS = {
    "stop_gradient": "stop_gradient",
    **dict.fromkeys(("floor", "ceil", "round", "sign"), "rounding"),
    **dict.fromkeys(("eq", "ne", "lt", "le", "gt", "ge", "is_finite"), "comparison"),
    **dict.fromkeys(("argmax", "argmin", "sort", "top_k"), "argmax"),
    **dict.fromkeys(("eq_to", "lt_to", "le_to"), "comparison"),
    **dict.fromkeys(("convert_element_type", "bitcast_convert_type"), "integer"),
    "mul": "zero_factor",
    "while": "while_loop",
}
_ADDITIVE = words(
    """
    add sub add_any neg concatenate pad reduce_sum cumsum broadcast_in_dim reshape transpose
    squeeze slice convert_element_type copy pvary psum expand_dims
    """
)
SUMS = frozenset(("add", "sub", "add_any"))
TESTS = frozenset(("gt", "ge", "lt", "le", "eq", "ne"))
_PRODUCTS = frozenset(("mul", "dot_general"))
_SELDOM = frozenset(("is_finite", "eq", "ne"))  # true or false but for values of no probability


def join(walk: State, eqn: JaxprEqn, ins: list[Flow], mask) -> list[Flow]:
    """What every operation does: join its operands, and end derivatives that have no rule."""
    why = ""
    refused = isinstance(mask, Refused)
    if refused:
        why, mask = mask.why, [[False] * len(ins) for _ in eqn.outvars]
    joined = together(*ins) if ins else Flow()
    outs = []
    for row, var in zip(mask, eqn.outvars, strict=True):
        diff = logged = raises = 0
        for flag, flow in zip(row, ins, strict=True):
            if flag:
                diff |= flow.diff
                logged |= flow.logged
                raises |= flow.raises
        ended = joined.diff & ~diff
        lost = joined.lost and _unhealed(walk, joined.lost, diff, eqn.primitive.name)
        risk = joined.risk if diff else 0
        out = joined._replace(diff=diff, logged=logged & diff, lost=lost, risk=risk, raises=raises)
        if refused:
            ended |= joined.diff
        if ended:
            out = end(walk, eqn, out, ended, joined, "refused" if refused else "", why)
        outs.append(settle(walk, eqn, ins, out, var))
    return outs


def end(walk: State, eqn, out: Flow, ended: int, joined: Flow, kind: str, why: str = "") -> Flow:
    """Note that derivatives in the sources `ended` go no further than this operation."""
    name = eqn.primitive.name
    place = walk.place(eqn)
    if place not in walk.cuts:
        kind = kind or _KINDS.get(name, "custom_rule" if name.startswith("custom_") else "")
        why = why or ("wald" if _in_wald(walk) else "")
        walk.cuts[place] = Cut(
            kind or "no_derivative", walk.where(eqn), 1 << len(walk.cuts), why=why
        )
    cut = walk.cuts[place]
    cut.ended |= ended
    opened = out.open
    if name.startswith("custom_") or (name == "stop_gradient" and not stops_exactly(eqn)):
        walk.on_purpose |= 0 if walk.sampling(eqn) else ended & walk.leaves
    if name == "stop_gradient":
        out = out._replace(stopped=out.stopped | out.open)
        opened = 0  # said by the user, and therefore not a silent end
    elif ended & walk.watched and ended & ~walk.leaves and name not in _SELDOM:
        cut.noise |= ended & ~walk.leaves
        opened |= cut.bit
    raises = cut.bit if cut.kind in ("refused", "while_loop") and ended & walk.watched else 0
    return out._replace(lost=out.lost | cut.bit, open=opened, raises=out.raises | raises)


def _unhealed(walk: State, lost: int, diff: int, name: str) -> int:
    """Cuts of which some source has no other way here."""
    for cut in walk.cuts_in(lost):
        if not cut.ended & walk.leaves & ~diff:
            lost &= ~cut.bit
            cut.jump = cut.jump or name not in ("select_n", "mul")
    return lost


def settle(walk: State, eqn: JaxprEqn, ins: list[Flow], out: Flow, var) -> Flow:
    """Open cuts that this operation makes up for, and terms that estimate their gradient."""
    name = eqn.primitive.name
    if name in SUMS:
        out = _straight_through(walk, ins, _put_in(walk, name, ins, out))
        # the pieces of a spline, one of which is made up for
        out = out._replace(open=out.open & ~out.made_up)
    if not out.open or name in _ADDITIVE or len(ins) < 2:
        return out
    opened, joint, declared = out.open, out.joint, out.declared
    made_up = out.made_up
    backward = "transpose(" in str(eqn.source_info.name_stack)
    for cut in walk.cuts_in(out.open):
        followed = cut.noise and not cut.noise & ~out.diff and name not in TESTS
        if followed or backward:  # (in a derivative: which slope, of a function with a kink)
            opened &= ~cut.bit  # a kink: what was compared goes on, as in where(z > 0, z, 0)
            made_up |= cut.bit
            continue
        own = cut.ended & walk.watched
        carriers = [f for f in ins if f.joint & cut.bit and f.logged & own]
        factors = [f for f in ins if f.info & cut.noise and not f.diff & own]
        if carriers and factors and name in _PRODUCTS:
            declared |= cut.bit  # the logarithm of its probability, times what comes of it
        if any(f.diff & own for f in ins):
            joint |= cut.bit
    return out._replace(open=opened, joint=joint, declared=declared, made_up=made_up)


def _straight_through(walk: State, ins: list[Flow], out: Flow) -> Flow:
    """x + stop_gradient(choice - x): the choice has the gradient that the user gives it."""
    for cut in walk.cuts_in(out.stopped):
        if any(f.diff & cut.ended & walk.watched and not f.stopped & cut.bit for f in ins):
            out = out._replace(declared=out.declared | cut.bit)
    return out


def _put_in(walk: State, name: str, ins: list[Flow], out: Flow) -> Flow:
    """choice + x - stop_gradient(x): the value is the choice's, the gradient that of x."""
    if name == "sub" and ins[1].number in terms(ins[0]) and not ins[1].diff & walk.watched:
        out = out._replace(given=out.given | (ins[0].diff & walk.watched))
    for cut in walk.cuts_in(out.open) if out.given else []:
        if cut.ended & out.given:
            out = out._replace(declared=out.declared | cut.bit)
            walk.on_purpose |= cut.ended & walk.leaves
    return out


def terms(flow: Flow) -> frozenset:
    """The numbers of what is added up in a value."""
    return flow.terms or frozenset((flow.number,) if flow.number is not None else ())


def _in_wald(walk: State) -> bool:
    """Whether this is inside JAX's own sampler of the Wald law."""
    return any(e.params.get("name") == "_wald" and is_jax(e) for e in walk.calls)
