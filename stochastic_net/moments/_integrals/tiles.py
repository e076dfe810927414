"""What only wide Gaussians ask for, on tiles of one size: XLA compiles it once for all layers."""

from collections.abc import Callable
from typing import TypeAlias

import jax.numpy as jnp
from jax import lax

from stochastic_net._types import Array, Shape

Mended: TypeAlias = Callable[..., tuple[Array, ...]]

_TILE, _STEP = 2**14, 16  # elements of the smallest tile, and how much larger the next is


def any_above(x: Array, limit: float) -> Array:
    """Whether an element is, or is not a number: a maximum is cheaper to compile than `any`."""
    return ~(jnp.max(x) <= limit)


def mend(
    mended: Mended, limit: float, mean: Array, var: Array, near: tuple[Array, ...]
) -> tuple[Array, ...]:
    """`near`, or `mended(mean, var, *near)` in the tiles that have a variance above the limit."""

    def tile(mean: Array, var: Array, *near: Array) -> tuple[Array, ...]:
        return lax.cond(
            any_above(var, limit), mended, lambda mean, var, *near: near, mean, var, *near
        )

    width = _width(mean.shape)
    if width is None:
        return tile(mean, var, *near)
    rows, columns = mean.shape

    def part(state: tuple, _: None) -> tuple[tuple, None]:
        start, near = state
        at = (0, jnp.maximum(start, 0))
        found = tile(*(lax.dynamic_slice(x, at, (rows, width)) for x in (mean, var, *near)))
        near = tuple(lax.dynamic_update_slice(x, y, at) for x, y in zip(near, found, strict=True))
        return (start - width, near), None

    def in_tiles(near: tuple[Array, ...]) -> tuple[Array, ...]:
        start, count = jnp.int32(columns - width), -(-columns // width)
        return lax.scan(part, (start, near), None, count)[0][1]

    return lax.cond(any_above(var, limit), in_tiles, lambda near: near, near)


def _width(shape: Shape) -> int | None:
    """Columns of a tile of such an array; None where that is one. The first axis is whole: it may
    be spread over devices."""
    if len(shape) != 2 or not shape[0]:
        return None
    size = _TILE
    while shape[0] * shape[1] > _STEP * size:
        size *= _STEP
    width = -(-size // shape[0])
    return width if width < shape[1] else None
