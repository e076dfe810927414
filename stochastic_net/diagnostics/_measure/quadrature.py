"""The mean of a function over all its noise, where few numbers are drawn: a lattice, not keys.

The random bits of a program are replaced by the points of a Kronecker lattice in the unit cube,
x_k = k alpha + u mod 1 with alpha the powers of the generalised golden ratio: a jump of f costs an
error of order log n / n, not 1 / sqrt(n). The shift u is random, drawn several times; how far the
means over one lattice differ says how exact they are.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from stochastic_net._types import Array
from stochastic_net.diagnostics._measure.objective import Objective
from stochastic_net.diagnostics._measure.work import work
from stochastic_net.diagnostics._program.derivative import shape as shape_of
from stochastic_net.diagnostics._program.flow import Draw, Place
from stochastic_net.diagnostics._program.rerun import enters
from stochastic_net.random import named_key

SHIFTS = 16
_NODES = 1024
_MOST_NUMBERS = 4
_MOST_WORK = 5e3  # of one evaluation
_CHUNK = 2048


def quadrature(
    objective: Objective, draws: list[Draw]
) -> Callable[[list[Array]], np.ndarray] | None:
    """The mean of f at a point, once a random shift; None if too much is drawn, or not as bits."""
    shapes = {tuple(map(id, draw.bits)): _shape(draw) for draw in draws}
    known = {place: shape for place, shape in shapes.items() if shape is not None}
    numbers = sum(math.prod(shape) for shape in known.values())
    affordable = work(objective.program.closed.jaxpr) < _MOST_WORK
    if len(known) < len(shapes) or not 0 < numbers <= _MOST_NUMBERS or not affordable:
        return None
    key = named_key(objective.keys[0], "quadrature")
    words = _words(key, numbers)

    @jax.jit
    def of_chunk(point: list[Array], words: Array) -> Array:
        def one(row):
            return objective.scalar(point, key, _split(row, known), lambda _, bits: [bits])

        return jax.vmap(one)(words)

    def mean(point: list[Array]) -> np.ndarray:
        found = [of_chunk(point, part) for part in words.reshape(-1, _CHUNK, numbers)]
        return np.asarray(jnp.concatenate(found), np.float64).reshape(SHIFTS, _NODES).mean(1)

    return mean


def _shape(draw: Draw) -> tuple[int, ...] | None:
    """Of the bits of a draw, where they can be replaced: outside of loops, 32 each."""
    *around, eqn = draw.bits
    inside = all(enters(outer, rules=True) and outer.primitive.name != "scan" for outer in around)
    if not inside or eqn.primitive.name != "random_bits" or eqn.params["bit_width"] != 32:
        return None
    return shape_of(eqn.outvars[0])


def _words(key, numbers: int) -> Array:
    """Random bits of all nodes, in rows: those of one shift follow each other."""
    ratio = 2.0
    for _ in range(64):  # the root of x^(d + 1) = x + 1
        ratio = (1 + ratio) ** (1 / (numbers + 1))
    steps = np.arange(_NODES)[:, None] * ratio ** -np.arange(1.0, numbers + 1)
    seed = np.asarray(jax.random.bits(key, (2,), jnp.uint32))
    shifts = np.random.default_rng(seed).uniform(size=(SHIFTS, 1, numbers))
    unit = (steps[None] + shifts) % 1.0
    return jnp.asarray((unit * 2.0**32).astype(np.uint64).astype(np.uint32).reshape(-1, numbers))


def _split(row: Array, shapes: dict[Place, tuple[int, ...]]) -> dict[Place, Array]:
    found, start = {}, 0
    for place, shape in shapes.items():
        size = math.prod(shape)
        found[place] = row[start : start + size].reshape(shape)
        start += size
    return found
