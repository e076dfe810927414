"""What is known of a value in a program: which sources it depends on, and how.

A source is a leaf of the arguments or a random draw; sets of them, and sets of cuts, are bits of an
int, for a network has thousands of values.
"""

import dataclasses
import functools
import operator
from typing import Any, NamedTuple

from jax.extend.core import JaxprEqn

from stochastic_net.diagnostics._program import bounds
from stochastic_net.diagnostics._program.bounds import Range
from stochastic_net.diagnostics._program.source import Source

Place = tuple[int, ...]  # the ids of the calls around an equation and its own


class Flow(NamedTuple):
    """How one value depends on the sources."""

    diff: int = 0  # sources on a path of derivatives
    info: int = 0  # sources on any path
    lost: int = 0  # cuts on the way here
    open: int = 0  # cuts that make a discrete draw, and that nothing makes up for
    made_up: int = 0  # cuts that were open and that something made up for
    logged: int = 0  # sources that came here through a logarithm
    joint: int = 0  # open cuts that the derivative in their own parameters depends on
    declared: int = 0  # open cuts of which a score-function term is part
    stopped: int = 0  # open cuts that a stop_gradient hides
    given: int = 0  # sources whose derivative x - stop_gradient(x) puts in by hand
    risk: int = 0  # dangerous operations this comes from
    same: int = 0  # draws that vmap or shard_map repeats in every row
    spread: int = 0  # of these, the ones already repeated
    vary: int = 0  # loops and shards it differs between
    raises: int = 0  # cuts that raise an error when differentiated, on a path of derivatives
    layer: int = 0  # whether it comes from a matrix product or convolution
    range: Range = bounds.ANY
    key: Any = None  # which key this is, or is made of
    number: Any = None  # equal for equal values
    test: Any = None  # (comparison, number, bound) of a boolean
    terms: frozenset = frozenset()  # the numbers of what was added up to it


BITS = Flow._fields.index("range")  # how many of the fields are sets


@dataclasses.dataclass
class Draw:
    """Random bits that a program takes from a key."""

    source: Source
    shape: tuple[int, ...]
    key: Any
    bit: int
    group: Any
    branches: tuple
    still: bool = False  # in a loop, with a key that does not change in it
    low: str = ""  # its dtype, where that has 16 bits or fewer
    name: str = ""
    constant: bool = False  # its key comes from none of the arguments
    chain: tuple[JaxprEqn, ...] = ()  # the calls around where it becomes a number, and that
    bits: tuple[JaxprEqn, ...] = ()  # those around its random bits, and those


@dataclasses.dataclass
class Cut:
    """Where a derivative ends."""

    kind: str
    source: Source
    bit: int
    ended: int = 0
    noise: int = 0
    why: str = ""
    jump: bool = False  # and not a kink, as in where(x > 0, x, 0)


@dataclasses.dataclass
class Danger:
    """An operation with an infinite or undefined derivative at 0 or below."""

    name: str
    source: Source
    bit: int
    eqn: JaxprEqn
    place: Place
    operand: Any
    sources: int = 0
    zero: int = bounds.POINTS
    below: bool = False
    layer: bool = False  # its operand is made by a layer, which bounds nothing
    result: Any = None
    sampler: bool = False  # inside a sampler of a library, whose business it is
    guarded: Source | None = None  # a `where` around it, which does not protect the derivative
    hidden: Source | None = None  # a `where` that may take it out of the value


def together(*flows: Flow) -> Flow:
    """What depends on all of these: the sets united, the rest unknown."""
    columns: list[Any] = list(zip(*(flow[:BITS] for flow in flows), strict=True))
    return Flow(*(functools.reduce(operator.or_, column) for column in columns))


def merge(*flows: Flow) -> Flow:
    """One of several values."""
    if len(flows) == 1:
        return flows[0]
    keys = {flow.key for flow in flows}
    return together(*flows)._replace(
        range=bounds.union(*(flow.range for flow in flows)),
        key=keys.pop() if len(keys) == 1 else ("one of", *sorted(map(repr, keys))),
    )
