"""Elementwise work on long rows, a tile at a time.

XLA on CPU vectorises the last axis, and channels are few. It compiles a pass once for all places
that ask for it in the same shape: layers of every size go through tiles of one.
"""

import functools
from collections.abc import Callable

import jax
from jax import lax

from stochastic_net._types import Array, Shape
from stochastic_net.moments._tape import Moments
from stochastic_net.random._fence import both

Form = Callable[[Array, Array], Moments]

_TILE = 16_384  # elements, whose arrays are near the processor


def flat(shape: Shape) -> Shape:
    """All axes but the first in one: the batch may be spread over devices."""
    return shape if len(shape) < 3 else (shape[0], -1)


def flatly(form: Form) -> Form:
    """The elementwise `form`, worked out on rows."""

    @functools.wraps(form)
    def of_rows(mean: Array, var: Array) -> tuple[Array, Array]:
        rows = flat(mean.shape)
        first, second = form(mean.reshape(rows), var.reshape(rows))
        return first.reshape(mean.shape), second.reshape(mean.shape)

    return of_rows


def in_tiles(
    form: Callable[[Array, Array], tuple[Array, ...]], mean: Array, var: Array
) -> tuple[Array, ...]:
    """An elementwise `form` of an even number of results, tile by tile."""
    columns = max(1, _TILE // len(mean)) if mean.ndim == 2 and mean.size else mean.size
    if mean.ndim != 2 or mean.shape[1] <= columns or jax.default_backend() != "cpu":
        return form(*both(mean, var))

    def one(index: Array, done: tuple[Array, ...]) -> tuple[Array, ...]:
        start = index * columns  # that of the last tile is moved back to have all its columns
        tile = both(*(lax.dynamic_slice_in_dim(x, start, columns, 1) for x in (mean, var)))
        return tuple(
            lax.dynamic_update_slice_in_dim(x, new, start, 1)
            for x, new in zip(done, form(*tile), strict=True)
        )

    count = len(jax.eval_shape(form, mean, var))
    start = (mean, var) * (count // 2)  # no pass is compiled to copy them
    return lax.fori_loop(0, -(-mean.shape[1] // columns), one, start)
