"""Random bits: who draws them, from which key, and where they become a number."""

from typing import Any

from jax.extend.core import JaxprEqn

from stochastic_net.diagnostics._program.flow import Draw, Flow
from stochastic_net.diagnostics._program.keys import is_key
from stochastic_net.diagnostics._program.source import calls_users
from stochastic_net.diagnostics._program.state import State


def group_of(walk: State, eqn: JaxprEqn) -> tuple[int, ...]:
    """The function of a library that asks for random bits, as one taker of its key.

    What it does with the key inside (JAX's are private functions) is its own business.
    """
    for index, outer in enumerate(walk.calls):
        if is_sampler(outer):
            return tuple(map(id, walk.calls[: index + 1]))
    return walk.place(eqn)


def is_sampler(eqn: JaxprEqn) -> bool:
    """Whether this calls one of JAX's samplers: a private function that takes a key."""
    private = eqn.params.get("name", "").startswith("_")
    return private and any(is_key(a.aval) for a in eqn.invars) and not calls_users(eqn)


def draw(
    walk: State, eqn, ins: list[Flow], outs: list[Flow], unwrapped: bool = False
) -> list[Flow]:
    """The flows of a draw: a new source of noise, which its parameters may move."""
    place = walk.place(eqn)
    if place not in walk.draws:
        walk.draws[place] = Draw(
            walk.where(eqn),
            tuple(eqn.outvars[0].aval.shape),
            ins[0].key,
            1 << walk.size,
            group_of(walk, eqn),
            walk.branches,
            name=_sampler(walk, eqn),
        )
        walk.size += 1
    draw = walk.draws[place]
    draw.key = ins[0].key
    draw.constant = not ins[0].info & walk.leaves
    around = 0
    for bit in walk.around:
        around |= bit
    shards = around & ~_loop_bits(walk)
    draw.still = bool((around & _loop_bits(walk)) & ~ins[0].vary)
    alone = shards & ~ins[0].vary or len(eqn.invars[0].aval.shape) < _mapped(walk, eqn)
    draw.bits = (*walk.calls, eqn)
    born = eqn.primitive.name == "random_gamma"
    draw.chain = draw.bits if born else draw.chain
    return [
        out._replace(
            info=out.info | draw.bit,
            diff=out.diff | (draw.bit if born else 0),
            same=out.same | (draw.bit if alone and not unwrapped else 0),
            key=ins[0].key if unwrapped else None,
        )
        for out in outs
    ]


def _sampler(walk: State, eqn: JaxprEqn) -> str:
    """The function of the library that the user calls to draw."""
    called_ = walk.where(eqn).called.rpartition(".")
    law = next((e.params["name"].lstrip("_") for e in walk.calls if is_sampler(e)), "")
    if called_[2] in ("sample", "rsample", "__call__", "bind"):
        return f"{called_[0]}.{called_[2]}".lstrip(".")
    return called_[2] or law or "random bits"


def _loop_bits(walk: State) -> int:
    """The loops, without the maps over shards that are around."""
    shards = {
        tuple(map(id, walk.calls[: i + 1]))
        for i, eqn in enumerate(walk.calls)
        if eqn.primitive.name == "shard_map"
    }
    return sum(1 << index for place, index in walk.loops.items() if place not in shards)


def _mapped(walk: State, eqn: JaxprEqn) -> int:
    """How many vmaps are around."""
    stacks = [str(e.source_info.name_stack) for e in (*walk.calls, eqn)]
    return max(stack.count("vmap(") for stack in stacks)


def birth(walk: State, eqn: JaxprEqn, out: Flow, var) -> Flow:
    """Random bits become a number here; from now on derivatives in it may be followed."""
    name = eqn.primitive.name
    noise = out.info & ~walk.leaves
    if name not in ("bitcast_convert_type", "convert_element_type") or not noise:
        return out
    operand: Any = eqn.invars[0].aval
    if getattr(operand.dtype, "kind", "") != "u":
        return out
    for draw in walk.draws.values():
        if draw.bit & noise:
            draw.chain = draw.chain or (*walk.calls, eqn)
            draw.low = str(var.aval.dtype) if var.aval.dtype.itemsize < 4 else draw.low
    return out._replace(diff=out.diff | noise)
