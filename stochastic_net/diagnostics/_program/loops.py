"""How branches and loops are walked."""

from jax.extend.core import JaxprEqn

from stochastic_net.diagnostics._program import bounds
from stochastic_net.diagnostics._program.derivative import is_float
from stochastic_net.diagnostics._program.ends import end, settle
from stochastic_net.diagnostics._program.flow import BITS, Flow, merge, together
from stochastic_net.diagnostics._program.walk import Walk, handles


@handles("cond")
def branch(walk: Walk, eqn: JaxprEqn, ins: list[Flow]) -> list[Flow]:
    """A value is what it is in any of the branches, and depends on which is taken."""
    index, *operands = ins
    runs = [
        walk.inside(eqn, program, operands, branch=i)
        for i, program in enumerate(eqn.params["branches"])
    ]
    outs = [merge(*column) for column in zip(*runs, strict=True)]
    return [
        settle(
            walk,
            eqn,
            [index, out],
            out._replace(
                info=out.info | index.info,
                lost=out.lost | index.lost,
                open=out.open | index.open,
                declared=out.declared | index.declared,
                vary=out.vary | index.vary,
            ),
            var,
        )
        for out, var in zip(outs, eqn.outvars, strict=True)
    ]


@handles("scan")
def scan(walk: Walk, eqn: JaxprEqn, ins: list[Flow]) -> list[Flow]:
    """The body until what is carried depends on nothing new."""
    consts, carried = counts(eqn)
    program, bit = eqn.params["jaxpr"], walk.loop(eqn)
    fixed, carry, xs = ins[:consts], ins[consts:][:carried], ins[consts + carried :]
    xs = [_each(f, bit, ("x", walk.place(eqn), i)) for i, f in enumerate(xs)]
    carry, outs = _settled(walk, eqn, program, fixed, carry, xs, bit)
    return [merge(a, b) for a, b in zip(carry, outs, strict=False)] + outs[carried:]


@handles("while")
def loop(walk: Walk, eqn: JaxprEqn, ins: list[Flow]) -> list[Flow]:
    """As a scan, but JAX has no reverse derivative of it."""
    first, second = eqn.params["cond_nconsts"], eqn.params["body_nconsts"]
    tests, fixed, carry = ins[:first], ins[first:][:second], ins[first + second :]
    bit = walk.loop(eqn)
    carry, outs = _settled(walk, eqn, eqn.params["body_jaxpr"], fixed, carry, [], bit)
    (test,) = walk.inside(eqn, eqn.params["cond_jaxpr"], [*tests, *carry])
    after = []
    for start, after_step, var in zip(carry, outs, eqn.outvars, strict=True):
        out = merge(start, after_step)
        out = out._replace(
            info=out.info | test.info, lost=out.lost | test.lost, open=out.open | test.open
        )
        if is_float(var.aval) and out.diff & walk.watched:
            moving = out.diff & walk.leaves
            out = end(walk, eqn, out._replace(diff=out.diff & ~walk.leaves), moving, out, "")
        after.append(out)
    return after


def _settled(walk: Walk, eqn, program, fixed, carry, xs, bit) -> tuple[list[Flow], list[Flow]]:
    carry = [
        _each(f, bit, ("carry", walk.place(eqn), i)) if f.key is not None else f
        for i, f in enumerate(carry)
    ]
    carry = [f._replace(range=bounds.ANY, number=None, test=None) for f in carry]
    while True:
        walk.around.append(bit)
        moving = [f._replace(vary=f.vary | bit) for f in carry]
        outs = walk.inside(eqn, program, [*fixed, *moving, *xs])
        walk.around.pop()
        wide = [together(f, g)._replace(key=f.key) for f, g in zip(carry, outs, strict=False)]
        if [f[:BITS] for f in wide] == [f[:BITS] for f in carry]:
            return carry, outs
        carry = wide


def _each(flow: Flow, bit: int, name: tuple) -> Flow:
    """What differs from step to step."""
    key = flow.key if flow.key is None else name
    return flow._replace(vary=flow.vary | bit, key=key, number=name, test=None)


def counts(eqn: JaxprEqn) -> tuple[int, int]:
    """How many operands of a scan are constants, and how many are carried.

    The names of the parameters changed between JAX 0.10 and 0.12; ranks tell, for what is scanned
    over or stacked has one more outside than inside.
    """
    program = eqn.params["jaxpr"]

    def as_outside(outside: list, inside: list) -> int:
        return sum(len(a.aval.shape) == len(b.shape) for a, b in zip(outside, inside, strict=True))

    carried = as_outside(eqn.outvars, program.out_avals)
    return as_outside(eqn.invars, program.in_avals) - carried, carried
