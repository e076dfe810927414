"""Noise that is the same in every row of a vmap or shard."""

from jax.extend.core import JaxprEqn

from stochastic_net.diagnostics._program.derivative import shape
from stochastic_net.diagnostics._program.flow import Flow
from stochastic_net.diagnostics._program.state import State
from stochastic_net.diagnostics._program.words import words

_ELEMENTWISE = words("add sub mul div max min select_n pow add_any atan2")


def rows(walk: State, eqn: JaxprEqn, out: Flow, ins: list[Flow]) -> Flow:
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
    plain = [(f, a) for f, a in plain if f.info & walk.leaves]
    if not plain:
        return out
    wider = any(_wider(shape(a), shape(b)) for _, a in plain for _, b in noisy)
    varied = any(f.vary & ~g.vary for f, _ in plain for g, _ in noisy) and _sharded(walk)
    if wider or varied or (name == "select_n" and any(f.spread for f, _ in noisy)):
        walk.shared[walk.place(eqn)] = (out.same, walk.where(eqn))
        return out._replace(same=0, spread=0)
    if name in ("add", "sub", "add_any") and any(f.diff & walk.watched for f, _ in plain):
        return out._replace(same=0, spread=0)  # a parameter is drawn: one draw for all rows
    return out


def _sharded(walk: State) -> bool:
    return any(eqn.primitive.name == "shard_map" for eqn in walk.calls)


def _wider(shape: tuple, noise: tuple) -> bool:
    """Whether noise is repeated along an axis to meet a value of this shape."""
    if len(shape) != len(noise):
        return len(shape) > len(noise)
    return any(a > 1 and b == 1 for a, b in zip(shape, noise, strict=True))
