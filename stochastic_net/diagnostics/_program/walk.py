"""Walk a program and follow what every value depends on, into all that it calls."""

import functools
from collections.abc import Callable, Sequence
from operator import or_

import jax
from jax.extend import core
from jax.extend.core import JaxprEqn

from stochastic_net.diagnostics._program import bounds
from stochastic_net.diagnostics._program.derivative import derivative, is_short
from stochastic_net.diagnostics._program.draws import draw, group_of
from stochastic_net.diagnostics._program.ends import join
from stochastic_net.diagnostics._program.flow import Flow
from stochastic_net.diagnostics._program.keys import is_key, wrapped_again
from stochastic_net.diagnostics._program.known import detail, endanger
from stochastic_net.diagnostics._program.state import State
from stochastic_net.diagnostics._program.words import words

_FLATTENING = words("clamp max min tanh logistic erf exp")


class Walk(State):
    """One pass over a program, which leaves in its state what it finds."""

    def run(self, program: core.Jaxpr, consts: Sequence, ins: Sequence[Flow]) -> list[Flow]:
        """The flows of a program's outputs."""
        state: dict = dict(zip(program.invars, ins, strict=True))
        for var, value in zip(program.constvars, consts, strict=True):
            state[var] = self._constant(var, value)

        def read(atom) -> Flow:
            if isinstance(atom, core.Literal):
                return Flow(range=bounds.of_constant(atom.val), number=("is", str(atom.val)))
            return state[atom]

        before, self.program = self.program, program
        for eqn in program.eqns:
            outs = self._equation(eqn, [read(atom) for atom in eqn.invars])
            state.update(zip(eqn.outvars, outs, strict=True))
        self.program = before
        return [read(atom) for atom in program.outvars]

    def _constant(self, var, value) -> Flow:
        if isinstance(value, Flow):
            return value
        key = ("constant", id(value)) if is_key(var.aval) else None
        small = getattr(value, "size", 1) <= 1 << 16 and not is_key(var.aval)
        concrete = small and not isinstance(value, jax.core.Tracer)
        return Flow(
            range=bounds.of_constant(value) if concrete else bounds.ANY,
            key=key,
            number=("constant", id(value)),
        )

    def _equation(self, eqn: JaxprEqn, ins: list[Flow]) -> list[Flow]:
        handler = _HANDLERS.get(eqn.primitive.name)
        if handler is not None:
            return handler(self, eqn, ins)
        return self._operation(eqn, ins)

    # Calls

    def inside(self, eqn: JaxprEqn, closed, ins: list[Flow], branch: int | None = None):
        """The flows of the program in an equation."""
        before = self.calls, self.branches
        self.calls = (*self.calls, eqn)
        if branch is not None:
            self.branches = (*self.branches, (id(eqn), branch))
        program, consts = getattr(closed, "jaxpr", closed), getattr(closed, "consts", ())
        outs = self.run(program, consts, ins)
        self.calls, self.branches = before
        return outs

    # Operations

    def _operation(self, eqn: JaxprEqn, ins: list[Flow]) -> list[Flow]:
        mask = derivative(eqn)
        name = eqn.primitive.name
        if name == "mul" and any(f.range.low == f.range.high == 0 for f in ins):
            mask = [[False, False]]
        if name == "pallas_call":
            self.opaque[self.place(eqn)] = self.where(eqn)
        outs = join(self, eqn, ins, mask)
        if outs and outs[0].diff & self.watched:
            self.equations[self.place(eqn)] = self.calls, eqn
            if any(map(is_short, (*eqn.invars, *eqn.outvars))):
                self.rounded |= outs[0].diff & self.leaves
        if name in ("random_bits", "random_gamma", "rng_bit_generator", "threefry2x32"):
            outs = draw(self, eqn, ins, outs)
        elif name == "random_unwrap" and not wrapped_again(eqn, self.program):
            outs = draw(self, eqn, ins, outs, unwrapped=True)
        outs = [detail(self, eqn, i, out, ins) for i, out in enumerate(outs)]
        if not self.own_rule:
            outs = endanger(self, eqn, ins, outs)
        if name == "axis_index":  # it differs from shard to shard
            outs = [
                out._replace(vary=out.vary | functools.reduce(or_, self.around, 0)) for out in outs
            ]
        if name == "random_gamma":
            self.jumps |= ins[1].diff & self.leaves
        if name in _FLATTENING and outs[0].diff & self.watched and not self.own_rule:
            self.flats[self.place(eqn)] = (name, self.where(eqn), outs[0].diff)
        if name in ("dot_general", "conv_general_dilated"):
            outs = [out._replace(layer=1) for out in outs]
        if name == "random_split" and ins[0].key is not None:
            group = group_of(self, eqn)
            self.split[self.place(eqn)] = (ins[0].key, self.where(eqn), group, self.branches)
        return outs


_HANDLERS: dict[str, Callable[[Walk, JaxprEqn, list[Flow]], list[Flow]]] = {}


def handles(*names: str):
    """Make the decorated function say how these operations are walked."""

    def add(handler):
        _HANDLERS.update(dict.fromkeys(names, handler))
        return handler

    return add
