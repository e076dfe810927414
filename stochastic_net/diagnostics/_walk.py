"""Walk a program and follow what every value depends on, into all that it calls."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend import core
from jax.extend.core import JaxprEqn

from stochastic_net.diagnostics import _range
from stochastic_net.diagnostics._dangers import exposed
from stochastic_net.diagnostics._derivative import Refused, called, derivative, is_float, shape
from stochastic_net.diagnostics._flow import Cut, Danger, Draw, Flow, Place, together
from stochastic_net.diagnostics._keys import is_key, next_key
from stochastic_net.diagnostics._source import (
    Source,
    is_direct,
    is_jax,
    locate,
    name_of_rule,
    rule_is_users,
    stops_exactly,
)
from stochastic_net.diagnostics._words import words

_KINDS = {
    "stop_gradient": "stop_gradient",
    **dict.fromkeys(("floor", "ceil", "round", "sign"), "rounding"),
    **dict.fromkeys(("eq", "ne", "lt", "le", "gt", "ge", "is_finite"), "comparison"),
    **dict.fromkeys(("argmax", "argmin", "sort", "top_k"), "argmax"),
    "convert_element_type": "integer",
    "mul": "zero_factor",
    "while": "while_loop",
}
_ADDITIVE = words(
    """
    add sub add_any neg concatenate pad reduce_sum cumsum broadcast_in_dim reshape transpose
    squeeze slice convert_element_type copy pvary psum expand_dims
    """
)
_SHAPES = words(
    """
    broadcast_in_dim reshape transpose squeeze expand_dims convert_element_type copy pvary
    stop_gradient reduce_precision
    """
)
_TESTS = frozenset(("gt", "ge", "lt", "le", "eq", "ne"))
_ELEMENTWISE = words("add sub mul div max min select_n pow add_any atan2")
_FLATTENING = words("clamp max min tanh logistic erf exp")
_PRODUCTS = frozenset(("mul", "dot_general"))
_SELDOM = frozenset(("is_finite", "eq", "ne"))  # true or false but for values of no probability


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
        self.jumps = 0  # leaves as which move, what a sampler returns jumps
        self.flats: dict[Place, tuple[str, Source, int]] = {}
        self.rules: dict[Place, Source] = {}  # derivative rules of the user's
        self.equations: dict[Place, tuple] = {}  # of what derivatives go through
        self.opaque: dict[Place, Source] = {}
        self._calls: tuple[JaxprEqn, ...] = ()
        self._branches: tuple[tuple[int, int], ...] = ()
        self._inside: list[int] = []  # the loops and shards around, by their bit
        self._loops: dict[Place, int] = {}
        self._own_rule = 0

    def run(self, program: core.Jaxpr, consts: Sequence, ins: Sequence[Flow]) -> list[Flow]:
        """The flows of a program's outputs."""
        state: dict = dict(zip(program.invars, ins, strict=True))
        for var, value in zip(program.constvars, consts, strict=True):
            state[var] = self._constant(var, value)

        def read(atom) -> Flow:
            if isinstance(atom, core.Literal):
                return Flow(range=_range.of_constant(atom.val), number=("is", str(atom.val)))
            return state[atom]

        for eqn in program.eqns:
            outs = self._equation(eqn, [read(atom) for atom in eqn.invars])
            state.update(zip(eqn.outvars, outs, strict=True))
        return [read(atom) for atom in program.outvars]

    def _constant(self, var, value) -> Flow:
        if isinstance(value, Flow):
            return value
        key = ("constant", id(value)) if is_key(var.aval) else None
        small = getattr(value, "size", 1) <= 1 << 16 and not is_key(var.aval)
        concrete = small and not isinstance(value, jax.core.Tracer)
        return Flow(
            range=_range.of_constant(value) if concrete else _range.ANY,
            key=key,
            number=("constant", id(value)),
        )

    def _equation(self, eqn: JaxprEqn, ins: list[Flow]) -> list[Flow]:
        handler = _HANDLERS.get(eqn.primitive.name)
        if handler is not None:
            return handler(self, eqn, ins)
        inner = called(eqn)
        if inner is not None:
            return self._call(eqn, inner, ins)
        return self._operation(eqn, ins)

    # Calls

    def inside(self, eqn: JaxprEqn, closed, ins: list[Flow], branch: int | None = None):
        """The flows of the program in an equation."""
        before = self._calls, self._branches
        self._calls = (*self._calls, eqn)
        if branch is not None:
            self._branches = (*self._branches, (id(eqn), branch))
        program, consts = getattr(closed, "jaxpr", closed), getattr(closed, "consts", ())
        outs = self.run(program, consts, ins)
        self._calls, self._branches = before
        return outs

    def _call(self, eqn: JaxprEqn, inner: core.Jaxpr, ins: list[Flow]) -> list[Flow]:
        names = ("jaxpr", "call_jaxpr", "fun_jaxpr")
        closed = next(eqn.params[name] for name in names if name in eqn.params)
        name = eqn.primitive.name
        if name.startswith("custom_"):
            return self._own(eqn, closed, ins)
        if name == "shard_map":
            return self._shards(eqn, closed, ins)
        outs = self.inside(eqn, closed, ins)
        law = _LAWS.get(eqn.params.get("name", ""))
        if law is not None:  # its bounds are known better than arithmetic on bits knows them
            outs = [flow._replace(range=law) for flow in outs]
        return outs

    def _own(self, eqn: JaxprEqn, closed, ins: list[Flow]) -> list[Flow]:
        """A function with a derivative rule of its own: the rule counts, not what is inside."""
        known = self.size
        self._own_rule += 1
        inner = self.inside(eqn, closed, ins)
        self._own_rule -= 1
        mask = derivative(eqn)
        if not self._own_rule and rule_is_users(eqn):
            self.rules[self.place(eqn)] = self.where(eqn)
        new = ((1 << self.size) - 1) & ~((1 << known) - 1)
        outs = self._by_mask(eqn, ins, mask)
        for out, flow in zip(outs, inner, strict=True):
            self.on_purpose |= out.diff & ~flow.diff & self.leaves  # a derivative it has not
            for cut in self._cuts(flow.lost):
                self.jumps |= cut.ended & out.diff & self.leaves
        if name_of_rule(eqn) in ("relu", "relu6") and outs[0].diff & self.watched:
            self.flats[self.place(eqn)] = ("relu", self.where(eqn), outs[0].diff)
        softplus = name_of_rule(eqn) == "logaddexp"
        return [
            out._replace(
                diff=out.diff | (flow.diff & new),
                info=out.info | flow.info,
                logged=out.logged | (flow.logged & out.diff),
                range=_softplus(ins) if softplus else flow.range,
                key=flow.key,
            )
            for out, flow in zip(outs, inner, strict=True)
        ]

    def _shards(self, eqn: JaxprEqn, closed, ins: list[Flow]) -> list[Flow]:
        bit = self.loop(eqn)
        specs = eqn.params.get("in_specs") or eqn.params.get("in_names", ())
        split = [bool(tuple(filter(None, spec))) for spec in specs]
        ins = [f._replace(vary=f.vary | bit) if s else f for f, s in zip(ins, split, strict=True)]
        self._inside.append(bit)
        outs = self.inside(eqn, closed, ins)
        self._inside.pop()
        return outs

    def loop(self, eqn: JaxprEqn) -> int:
        """The bit of a loop or of a map over shards."""
        place = self.place(eqn)
        return 1 << self._loops.setdefault(place, len(self._loops))

    # Operations

    def place(self, eqn: JaxprEqn) -> Place:
        """Which equation this is, of all in the program."""
        return (*map(id, self._calls), id(eqn))

    def where(self, eqn: JaxprEqn) -> Source:
        """The user's line that makes an equation."""
        return locate(self._calls, eqn)

    def _operation(self, eqn: JaxprEqn, ins: list[Flow]) -> list[Flow]:
        mask = derivative(eqn)
        name = eqn.primitive.name
        if name == "mul" and any(f.range.low == f.range.high == 0 for f in ins):
            mask = [[False, False]]
        if name == "pallas_call":
            self.opaque[self.place(eqn)] = self.where(eqn)
        outs = self._by_mask(eqn, ins, mask)
        if outs and outs[0].diff & self.watched:
            self.equations[self.place(eqn)] = self._calls, eqn
        if name in ("random_bits", "random_gamma", "rng_bit_generator", "threefry2x32"):
            outs = self._draw(eqn, ins, outs)
        elif name == "random_unwrap":
            outs = self._draw(eqn, ins, outs, unwrapped=True)
        outs = [self._detail(eqn, i, out, ins) for i, out in enumerate(outs)]
        if not self._own_rule:
            outs = self._endanger(eqn, ins, outs)
        if name == "random_gamma":
            self.jumps |= ins[1].diff & self.leaves
        if name in _FLATTENING and outs[0].diff & self.watched and not self._own_rule:
            self.flats[self.place(eqn)] = (name, self.where(eqn), outs[0].diff)
        if name in ("dot_general", "conv_general_dilated"):
            outs = [out._replace(layer=1) for out in outs]
        if name == "random_split" and ins[0].key is not None:
            group = self._group(eqn)
            self.split[self.place(eqn)] = (ins[0].key, self.where(eqn), group, self._branches)
        return outs

    def _by_mask(self, eqn: JaxprEqn, ins: list[Flow], mask) -> list[Flow]:
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
            lost = joined.lost and self._unhealed(joined.lost, diff, eqn.primitive.name)
            risk = joined.risk if diff else 0
            out = joined._replace(
                diff=diff, logged=logged & diff, lost=lost, risk=risk, raises=raises
            )
            if refused:
                ended |= joined.diff
            if ended:
                out = self._end(eqn, out, ended, joined, "refused" if refused else "", why)
            outs.append(self._settle(eqn, ins, out, var))
        return outs

    def _is_where(self, eqn: JaxprEqn) -> bool:
        """Whether the user writes this choice, and not a function of a library that knows why."""
        return self.where(eqn).called.rpartition(".")[2] in (
            "where",
            "select",
            "select_n",
            "_where",
        )

    def _sampling(self) -> bool:
        """Whether this is inside one of JAX's samplers: a private function that takes a key."""
        return any(
            e.params.get("name", "").startswith("_") and any(is_key(a.aval) for a in e.invars)
            for e in self._calls
        )

    def _in_wald(self) -> bool:
        """Whether this is inside JAX's own sampler of the Wald law."""
        return any(e.params.get("name") == "_wald" and is_jax(e) for e in self._calls)

    def _unhealed(self, lost: int, diff: int, name: str) -> int:
        """Cuts of which some source has no other way here."""
        for cut in self._cuts(lost):
            if not cut.ended & self.leaves & ~diff:
                lost &= ~cut.bit
                cut.jump = cut.jump or name not in ("select_n", "mul")
        return lost

    def _end(self, eqn, out: Flow, ended: int, joined: Flow, kind: str, why: str = "") -> Flow:
        name = eqn.primitive.name
        place = self.place(eqn)
        if place not in self.cuts:
            kind = kind or _KINDS.get(name, "custom_rule" if name.startswith("custom_") else "")
            why = why or ("wald" if self._in_wald() else "")
            self.cuts[place] = Cut(
                kind or "no_derivative", self.where(eqn), 1 << len(self.cuts), why=why
            )
        cut = self.cuts[place]
        cut.ended |= ended
        opened = out.open
        if name.startswith("custom_") or (name == "stop_gradient" and not stops_exactly(eqn)):
            self.on_purpose |= ended & self.leaves
        if name == "stop_gradient":
            out = out._replace(stopped=out.stopped | out.open)
            opened = 0  # said by the user, and therefore not a silent end
        elif ended & self.watched and ended & ~self.leaves and name not in _SELDOM:
            cut.noise |= ended & ~self.leaves
            opened |= cut.bit
        raises = cut.bit if cut.kind in ("refused", "while_loop") and ended & self.watched else 0
        return out._replace(lost=out.lost | cut.bit, open=opened, raises=out.raises | raises)

    def _settle(self, eqn: JaxprEqn, ins: list[Flow], out: Flow, var) -> Flow:
        """Open cuts that this operation makes up for, and terms that estimate their gradient."""
        name = eqn.primitive.name
        if out.stopped and name in ("add", "sub", "add_any"):
            out = self._straight_through(ins, out)
        if name in ("add", "sub", "add_any"):  # the pieces of a spline, one of which is made up for
            out = out._replace(open=out.open & ~out.made_up)
        if not out.open or name in _ADDITIVE or len(ins) < 2:
            return out
        opened, joint, declared = out.open, out.joint, out.declared
        made_up = out.made_up
        backward = "transpose(" in str(eqn.source_info.name_stack)
        for cut in self._cuts(out.open):
            followed = cut.noise and not cut.noise & ~out.diff and name not in _TESTS
            if followed or backward:  # (in a derivative: which slope, of a function with a kink)
                opened &= ~cut.bit  # a kink: what was compared goes on, as in where(z > 0, z, 0)
                made_up |= cut.bit
                continue
            own = cut.ended & self.watched
            carriers = [f for f in ins if f.joint & cut.bit and f.logged & own]
            factors = [f for f in ins if f.info & cut.noise and not f.diff & own]
            if carriers and factors and name in _PRODUCTS:
                declared |= cut.bit  # the logarithm of its probability, times what comes of it
            if any(f.diff & own for f in ins):
                joint |= cut.bit
        return out._replace(open=opened, joint=joint, declared=declared, made_up=made_up)

    def _straight_through(self, ins: list[Flow], out: Flow) -> Flow:
        """x + stop_gradient(choice - x): the choice has the gradient that the user gives it."""
        for cut in self._cuts(out.stopped):
            if any(f.diff & cut.ended & self.watched and not f.stopped & cut.bit for f in ins):
                out = out._replace(declared=out.declared | cut.bit)
        return out

    def _cuts(self, bits: int) -> list[Cut]:
        return [cut for cut in self.cuts.values() if cut.bit & bits]

    # Draws

    def _group(self, eqn: JaxprEqn) -> Any:
        """The library's function that asks for random bits, as one: what it does with its key
        inside is its own business.
        """
        before = None
        for index, outer in enumerate((*self._calls, eqn)):
            source = locate(self._calls[:index], outer)
            if outer is eqn or outer.params.get("name", "").startswith("_"):
                return (*map(id, self._calls[:index]), id(outer))
            before = source
        return before

    def _draw(self, eqn, ins: list[Flow], outs: list[Flow], unwrapped: bool = False) -> list[Flow]:
        place = self.place(eqn)
        if place not in self.draws:
            self.draws[place] = Draw(
                self.where(eqn),
                tuple(eqn.outvars[0].aval.shape),
                ins[0].key,
                1 << self.size,
                self._group(eqn),
                self._branches,
                name=self._sampler(eqn),
            )
            self.size += 1
        draw = self.draws[place]
        draw.key = ins[0].key
        draw.constant = not ins[0].info & self.leaves
        around = 0
        for bit in self._inside:
            around |= bit
        shards = around & ~self._loop_bits()
        draw.still = bool((around & self._loop_bits()) & ~ins[0].vary)
        alone = shards & ~ins[0].vary or len(eqn.invars[0].aval.shape) < self._mapped(eqn)
        born = eqn.primitive.name == "random_gamma"
        return [
            out._replace(
                info=out.info | draw.bit,
                diff=out.diff | (draw.bit if born else 0),
                same=out.same | (draw.bit if alone and not unwrapped else 0),
                key=ins[0].key if unwrapped else None,
            )
            for out in outs
        ]

    def _sampler(self, eqn: JaxprEqn) -> str:
        """The function of the library that the user calls to draw."""
        called_ = self.where(eqn).called.rpartition(".")
        names = [
            e.params.get("name", "") for e in self._calls if e.primitive.name in ("jit", "pjit")
        ]
        law = next((n.lstrip("_") for n in names if n.startswith("_")), "")
        if called_[2] in ("sample", "rsample", "__call__", "bind"):
            return f"{called_[0]}.{called_[2]}".lstrip(".")
        return called_[2] or law or "random bits"

    def _loop_bits(self) -> int:
        bits = 0
        for place, index in self._loops.items():
            if self._loop_is(place):
                bits |= 1 << index
        return bits

    def _loop_is(self, place: Place) -> bool:
        return place not in self._shard_places

    @property
    def _shard_places(self) -> set[Place]:
        return {
            tuple(map(id, self._calls[: i + 1]))
            for i, eqn in enumerate(self._calls)
            if eqn.primitive.name == "shard_map"
        }

    def _mapped(self, eqn: JaxprEqn) -> int:
        """How many vmaps are around."""
        stacks = [str(e.source_info.name_stack) for e in (*self._calls, eqn)]
        return max(stack.count("vmap(") for stack in stacks)

    # What else is known of the value

    def _detail(self, eqn: JaxprEqn, index: int, out: Flow, ins: list[Flow]) -> Flow:
        name, var = eqn.primitive.name, eqn.outvars[index]
        if is_key(var.aval) or (ins and ins[0].key is not None):
            atoms = [_number(a, f) for a, f in zip(eqn.invars[1:], ins[1:], strict=True)]
            out = out._replace(key=next_key(eqn, index, ins[0].key, atoms, self.place(eqn)))
        if is_float(var.aval) and not any(is_float(a.aval) for a in eqn.invars):
            out = self._birth(eqn, out, var)
        if name in ("log", "log1p", "logsumexp"):
            out = out._replace(logged=out.logged | out.diff)
        if name in _SHAPES:
            out = out._replace(number=ins[0].number, test=ins[0].test)
        else:
            out = out._replace(number=(self.place(eqn), index), test=None)
        if name in _TESTS:
            out = out._replace(
                test=(name, ins[0].number, ins[1].number, ins[0].range, ins[1].range)
            )
        if name == "is_finite":
            out = out._replace(test=("eq", ins[0].number, None, ins[0].range, _range.ANY))
        if is_float(var.aval) or name in _TESTS or name in ("iota", "convert_element_type"):
            out = out._replace(range=self._range(eqn, ins))
        return self._rows(eqn, out, ins)

    def _birth(self, eqn: JaxprEqn, out: Flow, var) -> Flow:
        """Random bits become a number here; from now on derivatives in it may be followed."""
        name = eqn.primitive.name
        noise = out.info & ~self.leaves
        if name not in ("bitcast_convert_type", "convert_element_type") or not noise:
            return out
        operand: Any = eqn.invars[0].aval
        if getattr(operand.dtype, "kind", "") != "u":
            return out
        if var.aval.dtype.itemsize < 4:
            for draw in self.draws.values():
                if draw.bit & noise:
                    draw.low = str(var.aval.dtype)
        return out._replace(diff=out.diff | noise)

    def _range(self, eqn: JaxprEqn, ins: list[Flow]) -> _range.Range:
        name = eqn.primitive.name
        ranges = [f.range for f in ins]
        if name == "select_n" and len(ins) == 3:
            return _chosen(ins)
        if name == "convert_element_type" and not is_float(eqn.outvars[0].aval):
            return _range.ANY if not is_float(eqn.invars[0].aval) else ranges[0]
        squared = name == "mul" and ins[0].number is not None and ins[0].number == ins[1].number
        return _range.after(eqn, ranges, squared)

    def _rows(self, eqn: JaxprEqn, out: Flow, ins: list[Flow]) -> Flow:
        """Noise that is the same in every row, when it meets rows."""
        if not out.same:
            return out
        name = eqn.primitive.name
        if name == "broadcast_in_dim" and 0 not in tuple(eqn.params["broadcast_dimensions"]):
            grown = shape(eqn.outvars[0])[:1] not in ((), (1,))
            return out._replace(spread=out.spread | (out.same if grown else 0))
        if name in ("dot_general", "conv_general_dilated", "gather", "scatter-add"):
            return out._replace(same=0, spread=0)
        if name not in _ELEMENTWISE:
            return out
        noisy = [(f, a) for f, a in zip(ins, eqn.invars, strict=True) if f.same]
        plain = [(f, a) for f, a in zip(ins, eqn.invars, strict=True) if not f.same]
        plain = [(f, a) for f, a in plain if f.info & self.leaves]
        if not plain:
            return out
        wider = any(_wider(shape(a), shape(b)) for _, a in plain for _, b in noisy)
        varied = any(f.vary & ~g.vary for f, _ in plain for g, _ in noisy) and self._sharded
        if wider or varied or (name == "select_n" and any(f.spread for f, _ in noisy)):
            self.shared[self.place(eqn)] = (out.same, self.where(eqn))
            return out._replace(same=0, spread=0)
        if name in ("add", "sub", "add_any") and any(f.diff & self.watched for f, _ in plain):
            return out._replace(same=0, spread=0)  # a parameter is drawn: one draw for all rows
        return out

    @property
    def _sharded(self) -> bool:
        return any(eqn.primitive.name == "shard_map" for eqn in self._calls)

    def _endanger(self, eqn: JaxprEqn, ins: list[Flow], outs: list[Flow]) -> list[Flow]:
        name = eqn.primitive.name
        found = exposed(eqn, [f.range for f in ins])
        if found is not None:
            index, zero, below = found
            flow = ins[index]
            if flow.diff & self.watched:
                place = self.place(eqn)
                if place not in self.dangers:
                    bit = 1 << len(self.dangers)
                    self.dangers[place] = Danger(
                        name, self.where(eqn), bit, eqn, place, flow.number
                    )
                danger = self.dangers[place]
                danger.sources |= flow.diff
                danger.zero, danger.below = zero, below
                danger.sampler = self._sampling() or not is_direct(self._calls, eqn)
                danger.layer, danger.result = bool(flow.layer), outs[0].number
                outs = [out._replace(risk=out.risk | danger.bit) for out in outs]
        if name == "select_n" and len(ins) == 3 and ins[0].test is not None:
            test = ins[0].test
            for danger in self.dangers.values():
                about = {danger.operand, danger.result} & {test[1], test[2]}
                if danger.bit & outs[0].risk and about and self._is_where(eqn):
                    danger.guarded = self.where(eqn)
        return outs


def _number(atom, flow: Flow) -> Any:
    if isinstance(atom, core.Literal):
        return int(atom.val) if getattr(atom.aval, "shape", None) == () else str(atom.val)
    return flow.number, flow.vary


def _wider(shape: tuple, noise: tuple) -> bool:
    """Whether noise is repeated along an axis to meet a value of this shape."""
    if len(shape) != len(noise):
        return len(shape) > len(noise)
    return any(a > 1 and b == 1 for a, b in zip(shape, noise, strict=True))


def _softplus(ins: list[Flow]) -> _range.Range:
    low = max(f.range.low for f in ins)
    return _range.of(low, float("inf"), _range.NEVER if low >= 0 else None)


def _chosen(ins: list[Flow]) -> _range.Range:
    """What a `where` returns: each case as the comparison leaves it."""
    test, other, chosen = ins
    if test.test is None:
        return _range.union(other.range, chosen.range)
    name, left, right, of_left, of_right = test.test
    if left == right:  # x != x, which asks for NaN
        return other.range if name in ("ne", "lt", "gt") else chosen.range
    flipped = {"gt": "lt", "ge": "le", "lt": "gt", "le": "ge", "eq": "eq", "ne": "ne"}
    inverse = {"gt": "le", "ge": "lt", "lt": "ge", "le": "gt", "eq": "ne", "ne": "eq"}

    def kept(flow: Flow, holds: str) -> _range.Range:
        if flow.number == left and left is not None:
            return _bounded(flow.range, holds, of_right)
        if flow.number == right and right is not None:
            return _bounded(flow.range, flipped[holds], of_left)
        return flow.range

    return _range.union(kept(other, inverse[name]), kept(chosen, name))


def _bounded(r: _range.Range, holds: str, bound: _range.Range) -> _range.Range:
    if holds in ("gt", "ge"):
        low = max(r.low, bound.low)
        open_ = holds == "gt" and bound.low >= 0
        return _range.Range(low, max(r.high, low), _range.NEVER if low > 0 or open_ else r.zero)
    if holds in ("lt", "le"):
        high = min(r.high, bound.high)
        open_ = holds == "lt" and bound.high <= 0
        return _range.Range(min(r.low, high), high, _range.NEVER if high < 0 or open_ else r.zero)
    if holds == "ne" and bound.low == bound.high == 0:
        return r._replace(zero=_range.NEVER)
    return r


_LAWS = {
    "_uniform": _range.Range(-float("inf"), float("inf"), _range.POINTS),
}
_HANDLERS: dict[str, Callable[[Walk, JaxprEqn, list[Flow]], list[Flow]]] = {}


def handles(*names: str):
    """Make the decorated function say how these operations are walked."""

    def add(handler):
        _HANDLERS.update(dict.fromkeys(names, handler))
        return handler

    return add
