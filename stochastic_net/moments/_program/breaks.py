"""Where a function that is being composed has its kinks and jumps."""

import itertools
from typing import TypeGuard

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import JaxprEqn
from jax.extend.core import primitives as p
from jax.typing import ArrayLike

from stochastic_net._types import Array
from stochastic_net.moments._integrals.ascending import ascending
from stochastic_net.moments._program.crossings import Function, crossings
from stochastic_net.moments._program.values import Line, Value, split
from stochastic_net.random import compute_dtype

Place = ArrayLike

_ASKING = (p.gt_p, p.ge_p, p.lt_p, p.le_p)
_BENT = (p.max_p, p.min_p, p.clamp_p, *_ASKING)
_BENT_AT_0 = (p.abs_p, p.sign_p)
_MOST = 6  # breaks that are kept track of
_NEAR = 1e-5  # and are taken for one


def breaks_of(
    eqn: JaxprEqn, operands: list[Value], line: Line, parts: list[Function]
) -> tuple[Place, ...]:
    """In units of `line`: those of the operands, and where the operation itself bends them.

    An operand that is a line, or one that was clipped, is bent where it meets the other operand;
    for any other that is looked for. `parts` are the operands as functions of `line`.
    """
    randoms, constants = split(operands)
    places = [_on(line, x.line, place) for x in randoms for place in x.breaks]
    if eqn.primitive not in (*_BENT, *_BENT_AT_0):
        return _kept(places, line)
    if eqn.primitive in _BENT_AT_0:
        constants = [0.0]
    lines = all(x.function is None for x in randoms)
    straight = [x for x in randoms if x.clipped and (lines or len(randoms) == 1)]
    if len(straight) < len(randoms):
        moving = eqn.primitive in _ASKING
        for inside in _insides(eqn, parts):
            places += crossings(inside, line, moving)
        return _kept(places, line)
    places += [_on(line, x.line, c) for x in straight for c in constants]
    if len(straight) == 2:
        places.append(_meeting(line, *(x.line for x in straight)))
    return _kept(places, line)


def _insides(eqn: JaxprEqn, parts: list[Function]) -> list[Function]:
    """What changes its sign where the operation is bent."""

    def less(one: Function, two: Function) -> Function:
        return lambda u: jnp.asarray(one(u) - two(u), u.dtype)

    match parts:
        case [x]:
            return [x]
        case [low, x, high] if eqn.primitive is p.clamp_p:
            return [less(x, low), less(x, high)]
        case [x, y]:
            return [less(x, y)]
    return []


def _on(line: Line, own: Line, place: Place) -> Place:
    """The same point in units of `line`; not a finite number where `own` is constant."""
    if own is line:
        return place
    at, scale, shift, into, onto = _numbers(
        line, place, own.scale, own.shift, line.scale, line.shift
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        return into * ((at - shift) / scale) + onto


def _meeting(line: Line, one: Line, two: Line) -> Place:
    """Where the two cross."""
    difference = Line(line.root, one.scale - two.scale, one.shift - two.shift)
    return _on(line, difference, 0.0)


def _numbers(line: Line, *numbers: Place) -> list[Array | np.ndarray]:
    """In one dtype; those that are known stay known."""
    dtype = compute_dtype(line.root.like.dtype)
    return [x.astype(dtype) if _traced(x) else np.asarray(x, dtype) for x in numbers]


def _traced(x: Place) -> TypeGuard[Array]:
    return isinstance(x, jax.core.Tracer)


def _kept(places: list[Place], line: Line) -> tuple[Place, ...]:
    """Each once, and no more than are kept track of: those that are nowhere give way."""
    kept: list[Place] = []
    for place in places:
        if not any(_same(place, other) for other in kept):
            kept.append(place)
    return tuple(kept) if len(kept) <= _MOST else _merged(kept, line)


def _merged(places: list[Place], line: Line) -> tuple[Place, ...]:
    """The leftmost of those that are finite and not near another."""
    dtype, shape = compute_dtype(line.root.like.dtype), line.root.like.shape
    arrays = [jnp.broadcast_to(jnp.asarray(x, dtype), shape) for x in places]
    found = ascending([jnp.where(jnp.isfinite(x), x, jnp.inf) for x in arrays])
    kept = found[:1]
    for low, high in itertools.pairwise(found):
        again = high - low < _NEAR * (1 + jnp.abs(high))
        kept.append(jnp.where(again, jnp.inf, high))
    return tuple(ascending(kept)[:_MOST])


def _same(one: Place, two: Place) -> bool:
    return one is two or (not _traced(one) and not _traced(two) and np.array_equal(one, two))
