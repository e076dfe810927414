"""Elementwise work on long rows: XLA on CPU vectorises the last axis, and channels are few."""

import functools

import jax

from stochastic_net._types import Array, Shape
from stochastic_net.moments._integrals.precision import Form, Moments
from stochastic_net.random._fence import both


def flat(shape: Shape) -> Shape:
    """All axes but the first in one: the batch may be spread over devices."""
    return shape if len(shape) < 3 else (shape[0], -1)


def flatly(form: Form) -> Form:
    """The elementwise `form`, worked out on rows."""

    @jax.jit  # traced once
    @functools.wraps(form)
    def of_rows(mean: Array, var: Array) -> Moments:
        rows = flat(mean.shape)
        mean, var = both(mean, var)
        first, second = form(mean.reshape(rows), var.reshape(rows))
        return first.reshape(mean.shape), second.reshape(mean.shape)

    return of_rows
