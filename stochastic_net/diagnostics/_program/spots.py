"""Where in a program the value of a draw is: the call of its sampler, or where bits become it."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from stochastic_net._types import Array, Shape
from stochastic_net.diagnostics._program.derivative import is_float
from stochastic_net.diagnostics._program.draws import is_sampler
from stochastic_net.diagnostics._program.flow import Draw, Place
from stochastic_net.diagnostics._program.rerun import RULES, enters, stacked


class Spot(NamedTuple):
    """An equation with a value that can be shifted, and the shape of all its values together."""

    place: Place
    shape: Shape
    dtype: jnp.dtype

    @property
    def zeros(self) -> Array:
        """No shift."""
        return jnp.zeros(self.shape, self.dtype)


def spot(draw: Draw) -> Spot | None:
    """Where to shift what is drawn; None where no derivative can be asked for there.

    It is the outermost sampler around the random bits, whose value is what the user calls the draw;
    a function with a derivative rule of its own is taken whole.
    """
    axes: Shape = ()
    chain = draw.chain or draw.bits
    for i, eqn in enumerate(chain):
        last = i == len(chain) - 1
        if last or is_sampler(eqn) or eqn.primitive.name in RULES:
            floats: list[Any] = [v.aval for v in eqn.outvars if is_float(v.aval)]
            place = tuple(map(id, chain[: i + 1]))
            return Spot(place, (*axes, *floats[0].shape), floats[0].dtype) if floats else None
        if not enters(eqn):
            return None
        axes = (*axes, *stacked(eqn))
    return None


def shift(values: list, by: Array) -> list:
    """The values of an equation, its first float shifted."""
    values = list(values)
    first = next(i for i, x in enumerate(values) if is_float(jnp.asarray(x).aval))
    values[first] = values[first] + by
    return values
