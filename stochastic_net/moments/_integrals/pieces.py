r"""E and Var of a function that is smooth between a few known places: nodes on both sides of each.

A Gaussian that is narrow on the scale of the pieces asks for few nodes,

  E f(u) = sum_k int_(b_k)^(b_(k+1)) f(u) p(u) du,

Gauss-Legendre's on each piece as far as the Gaussian reaches: elu, hard swish, relu^2. A function
whose numbers are known is tried, while the program is traced, beside a dense rule; a wider Gaussian
than it is right for, in the tiles that have one, goes by the nodes that are right at every width.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike

from stochastic_net._types import Array
from stochastic_net.moments._integrals.few_nodes import values_of
from stochastic_net.moments._integrals.nodes import Nodes
from stochastic_net.moments._integrals.piece_nodes import COUNT, REACH, PieceNodes, ends_of
from stochastic_net.moments._integrals.rest import Rest
from stochastic_net.moments._integrals.smooth import chosen, program_of, where
from stochastic_net.moments._integrals.taylor import Function, taylor_slopes
from stochastic_net.moments._integrals.three_nodes import three_nodes
from stochastic_net.moments._integrals.tiles import mend
from stochastic_net.moments._integrals.widths import NARROW, NARROW_SLOPES, by_width
from stochastic_net.random._fence import both

_RULES = (COUNT, REACH), (120, 14.0)  # the rule, and what it is tried beside
_SCALES = (0.25, 0.35, 0.5, 0.7, 0.85, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0)  # that are tried
_FAR = 40.0  # as far as they are tried
_ERROR = 2e-6  # in units of the second moment's root
_FLOOR = 1e-7  # and of the largest value near 0, where the function has a limit that is not kept


@dataclasses.dataclass(frozen=True)
class Pieces:
    """A function, its breaks in order, and the deviation up to which its nodes are right.

    Equal to another of the same program. `rest`: see there.
    """

    function: Function = dataclasses.field(compare=False)
    rest: Rest | None = dataclasses.field(compare=False)
    breaks: tuple[float, ...]
    program: tuple
    reach: float = 0.0

    def about(self, mean: Array) -> tuple[Function, Array | float]:
        """The function less a constant, and that, for a Gaussian of this mean."""
        return self.rest.about(mean) if self.rest else (self.function, 0.0)

    def moments(self, mean: Array, var: Array) -> tuple[Array, ...]:
        """E and Var for rows of Gaussians."""
        return _moments(self, mean, var)

    def slopes(self, mean: Array, var: Array) -> tuple[Array, ...]:
        """Their derivatives."""
        return _slopes(self, mean, var)

    def places(self, like: Array) -> tuple[Array, ...]:
        """The breaks as arrays."""
        return tuple(jnp.full_like(like, x) for x in self.breaks)


def pieces_of(
    function: Function, breaks: tuple[ArrayLike, ...], rest: Rest | None, dtype: DTypeLike
) -> Pieces | None:
    """Those of a function whose numbers are known, where the rule is right for it."""
    numbers = [*breaks, rest.limit] if rest else breaks
    if not breaks or any(isinstance(x, jax.core.Tracer) or np.size(x) != 1 for x in numbers):
        return None
    places = tuple(sorted({float(np.asarray(x).item()) for x in breaks}))
    functions = [function]
    if rest:
        functions += [functools.partial(_with, rest, less) for less in (0.0, 1.0)]
    programs = [program_of(f, dtype) for f in functions]
    if None in programs or not np.isfinite(places).all() or np.abs(places).max() > _FAR - 5:
        return None
    return _found(Pieces(function, rest, places, (*programs, str(dtype))), dtype)


def _with(rest: Rest, less: float, u: Array) -> Array:
    return rest.function(u, jnp.full_like(u, less))


@functools.lru_cache(maxsize=128)
def _found(pieces: Pieces, dtype: DTypeLike) -> Pieces | None:
    trials = [_trial(pieces, scale, rule, dtype) for scale in _SCALES for rule in _RULES]
    values = _values(pieces, trials)
    if values is None or not np.isfinite(values).all():
        return None
    sizes = np.cumsum([x.u.size for x in trials])[:-1]
    found = [x.moments(v) for x, v in zip(trials, np.split(values, sizes), strict=True)]
    reach = 0.0
    for scale, trial, one, two in zip(_SCALES, trials[::2], found[::2], found[1::2], strict=True):
        floor = 0.0 if pieces.rest else _FLOOR * np.abs(two[0][np.abs(trial.mean) < 10]).max()
        if not (np.abs(one - two) <= _ERROR * np.hypot(*two) + floor).all():
            break
        reach = scale
    return dataclasses.replace(pieces, reach=reach) if reach else None


class _Trial(NamedTuple):
    """Gaussians of one deviation, and nodes: a column for each."""

    mean: np.ndarray
    u: np.ndarray
    mass: np.ndarray

    def moments(self, values: np.ndarray) -> np.ndarray:
        """E and deviation of a function with these values at the nodes."""
        values = values.reshape(self.u.shape)
        first = (self.mass * values).sum(0)
        return np.stack([first, np.sqrt((self.mass * (values - first) ** 2).sum(0))])


def _trial(pieces: Pieces, scale: float, rule: tuple, dtype: DTypeLike) -> _Trial:
    """Means all along the line, and more of them near the breaks."""
    near = [x + scale * np.linspace(-9, 9, 25) for x in pieces.breaks]
    mean = np.concatenate([np.arange(-_FAR, _FAR, 1.5 * scale), *near]).astype(dtype).astype(float)
    count, reach = rule
    t, weight = (x[:, None] / 2 for x in np.polynomial.legendre.leggauss(count))
    ends = list(ends_of(mean, scale, reach, pieces.breaks, np))
    u = np.concatenate([start + (end - start) * (0.5 + t) for start, end in ends])
    mass = np.concatenate([(end - start) * weight / scale for start, end in ends])
    return _Trial(mean, u, mass * np.exp(-0.5 * ((u - mean) / scale) ** 2) / np.sqrt(2 * np.pi))


def _values(pieces: Pieces, trials: list[_Trial]) -> np.ndarray | None:
    """The function at all nodes, less what it is less by at their means."""

    def at(x: Array) -> Array:
        return pieces.about(jnp.real(x))[0](jnp.imag(x))

    places = [(np.broadcast_to(x.mean, x.u.shape) + 1j * x.u).ravel() for x in trials]
    return values_of(at, np.concatenate(places))


@functools.partial(jax.jit, static_argnums=0)
def _moments(pieces: Pieces, mean: Array, var: Array) -> tuple[Array, ...]:
    near = _moments_by(pieces, PieceNodes, mean, var)
    return mend(functools.partial(_with_wide_moments, pieces), pieces.reach**2, mean, var, near)


@functools.partial(jax.jit, static_argnums=0)
def _slopes(pieces: Pieces, mean: Array, var: Array) -> tuple[Array, ...]:
    near = _slopes_by(pieces, PieceNodes, mean, var)
    return mend(functools.partial(_with_wide_slopes, pieces), pieces.reach**2, mean, var, near)


@functools.partial(jax.jit, static_argnums=0)
def _with_wide_moments(pieces: Pieces, mean: Array, var: Array, *near: Array) -> tuple[Array, ...]:
    is_wide = var > pieces.reach**2
    found = _moments_by(pieces, _deep(pieces), *where(is_wide, mean, var))
    return both(*chosen(is_wide, found, near))


@functools.partial(jax.jit, static_argnums=0)
def _with_wide_slopes(pieces: Pieces, mean: Array, var: Array, *near: Array) -> tuple[Array, ...]:
    is_wide = var > pieces.reach**2
    found = chosen(is_wide, _slopes_by(pieces, _deep(pieces), *where(is_wide, mean, var)), near)
    return (*both(*found[:2]), *both(*found[2:]))


def _deep(pieces: Pieces) -> Callable[..., Nodes]:
    return functools.partial(Nodes, deep=pieces.rest is not None)


def _moments_by(
    pieces: Pieces, nodes: Callable[..., Nodes], mean: Array, var: Array
) -> tuple[Array, ...]:
    (function, limit), places = pieces.about(mean), pieces.places(mean)
    first, second = by_width(
        *(mean, var, places, NARROW),
        lambda m, v: three_nodes(function, m, v),
        lambda m, v: nodes(function, m, v, places).moments(),
    )
    return both(first + limit, second)


def _slopes_by(
    pieces: Pieces, nodes: Callable[..., Nodes], mean: Array, var: Array
) -> tuple[Array, ...]:
    (function, _), places = pieces.about(mean), pieces.places(mean)
    found = by_width(
        *(mean, var, places, NARROW_SLOPES),
        lambda m, v: taylor_slopes(function, m, v),
        lambda m, v: nodes(function, m, v, places).slopes(),
    )
    return (*both(*found[:2]), *both(*found[2:]))
