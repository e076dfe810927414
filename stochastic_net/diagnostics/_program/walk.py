"""Walk a program and follow what every value depends on, into all that it calls."""

import functools
from collections.abc import Callable, Sequence
from operator import or_
from typing import Any

import jax
from jax.extend import core
from jax.extend.core import JaxprEqn

from stochastic_net.diagnostics._program import bounds
from stochastic_net.diagnostics._program.derivative import derivative, is_short
from stochastic_net.diagnostics._program.draws import draw, group_of
from stochastic_net.diagnostics._program.ends import join
from stochastic_net.diagnostics._program.flow import Cut, Danger, Draw, Flow, Place
from stochastic_net.diagnostics._program.keys import is_key, wrapped_again
from stochastic_net.diagnostics._program.known import detail, endanger
from stochastic_net.diagnostics._program.source import (
    Source,
    locate,
    samples,
)
from stochastic_net.diagnostics._program.words import words

_FLATTENING = words("clamp max min tanh logistic erf exp")


class Walk:
    """One pass over a program; what it finds is in `draws`, `cuts` and `dangers`."""

    def __init__(self, leaves: int, watched: int) -> None:
        self.leaves = (1 << leaves) - 1
        self.watched = watched  # the leaves whose derivative is asked for
        self.size = leaves  # how many sources there are
        self.draws: dict[Place, Draw] = {}
        self.cuts: dict[Place, Cut] = {}
        self.dangers: dict[Place, Danger] = {}
        self.shared: dict[Place, tuple[int, Source]] = {}
        self.split: dict[Place, tuple[Any, Source, Any, tuple]] = {}
        self.on_purpose = 0  # leaves that stop_gradient or a rule ends some derivative of
        self.rounded = 0  # leaves that go through floats of 16 bits
        self.jumps = 0  # leaves as which move, what a sampler returns jumps
        self.flats: dict[Place, tuple[str, Source, int]] = {}
        self.rules: dict[Place, Source] = {}  # derivative rules of the user's
        self.equations: dict[Place, tuple] = {}  # of what derivatives go through
        self.opaque: dict[Place, Source] = {}
        self.program: core.Jaxpr | None = None  # which is being walked
        self.calls: tuple[JaxprEqn, ...] = ()
        self.branches: tuple[tuple[int, int], ...] = ()
        self.around: list[int] = []  # the loops and shards around, by their bit
        self.loops: dict[Place, int] = {}
        self.own_rule = 0

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

    def loop(self, eqn: JaxprEqn) -> int:
        """The bit of a loop or of a map over shards."""
        place = self.place(eqn)
        return 1 << self.loops.setdefault(place, len(self.loops))

    # Operations

    def place(self, eqn: JaxprEqn) -> Place:
        """Which equation this is, of all in the program."""
        return (*map(id, self.calls), id(eqn))

    def sampling(self, eqn: JaxprEqn) -> bool:
        """Whether this is inside one of this library's samplers, whose derivatives are tested."""
        return any(map(samples, (*self.calls, eqn)))

    def since(self, known: int) -> int:
        """The draws that came after there were `known` sources."""
        return ((1 << self.size) - 1) & ~((1 << known) - 1)

    def where(self, eqn: JaxprEqn) -> Source:
        """The user's line that makes an equation."""
        return locate(self.calls, eqn)

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

    def cuts_in(self, bits: int) -> list[Cut]:
        return [cut for cut in self.cuts.values() if cut.bit & bits]


_HANDLERS: dict[str, Callable[[Walk, JaxprEqn, list[Flow]], list[Flow]]] = {}


def handles(*names: str):
    """Make the decorated function say how these operations are walked."""

    def add(handler):
        _HANDLERS.update(dict.fromkeys(names, handler))
        return handler

    return add
