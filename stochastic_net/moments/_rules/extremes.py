"""The largest of many, as a balanced tree of the larger of two (Clark 1961).

max_i relu(X_i) = relu(max_i X_i): a bound that all elements share is put on after the maximum, for
X_i is near Gaussian and relu(X_i) is not, and which one is largest goes with which one is positive.
Taken in the order of the program, a network of relu and max pooling loses a tenth of its deviation.
"""

from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import JaxprEqn
from jax.extend.core import primitives as p

from stochastic_net._types import Array
from stochastic_net.moments._integrals.flat import flat
from stochastic_net.moments._integrals.fold import fold, fold_axes, running
from stochastic_net.moments._integrals.precision import Form, Moments
from stochastic_net.moments._program.registry import register
from stochastic_net.moments._program.values import (
    Value,
    gaussian,
    later,
    moments,
)
from stochastic_net.moments._rules.bounds import under, under_bound
from stochastic_net.moments._rules.larger import larger
from stochastic_net.moments._rules.origins import Largest


@register("approximated", p.reduce_max_p, p.reduce_min_p)
def reduce(eqn: JaxprEqn, operands: list[Value]) -> list[Value]:
    """Over the axes of the equation."""
    sign = 1 if eqn.primitive is p.reduce_max_p else -1

    def extreme(mean: Array, var: Array) -> Moments:
        least = max(-1e30, float(jnp.finfo(mean.dtype).min) / 4)  # of masked ones, of mean -inf
        mean = jnp.maximum(sign * mean, least)
        mean, var = fold_axes(larger, (mean, var), eqn.params["axes"])
        return sign * mean, var

    x: Any = operands[0]
    inner = under(x)

    def of_means() -> Array:
        return eqn.primitive.bind(inner.moments()[0], **eqn.params)

    return [_before_a_bound(eqn, extreme, x, Largest(of_means))]


def _before_a_bound(eqn: JaxprEqn, extreme: Form, x: Any, origin: object = None) -> Value:
    """The extreme of x, or of what x puts a bound on; a softmax never asks for it."""
    return under_bound(x, lambda inner: later(lambda: extreme(*inner.moments()), eqn, origin))


@register("approximated", p.cummax_p, p.cummin_p)
def cumulative(eqn: JaxprEqn, operands: list[Value]) -> list[Value]:
    """Along the axis of the equation."""
    mean, var = moments(operands[0])
    sign = 1 if eqn.primitive is p.cummax_p else -1
    mean, var = running(larger, (sign * mean, var), **eqn.params)
    return [gaussian(sign * mean, var)]


@register("approximated", p.reduce_window_max_p, p.reduce_window_min_p)
def pool(eqn: JaxprEqn, operands: list[Value]) -> list[Value]:
    """Over windows; what pads them is never the largest."""
    sign = 1 if eqn.primitive is p.reduce_window_max_p else -1

    def extreme(mean: Array, var: Array) -> Moments:
        # What pads the means is far below all, yet with finite differences.
        windows = _windows(sign * mean, eqn.params, -1e30), _windows(var, eqn.params, 0.0)
        means, variances = (jnp.stack(list(x)) for x in windows)
        shape = means.shape[1:]
        rows = (len(means), *flat(shape))
        mean, var = fold(larger, means.reshape(rows), variances.reshape(rows))
        return sign * mean.reshape(shape), var.reshape(shape)

    return [_before_a_bound(eqn, extreme, operands[0])]


def _windows(x: Array, params: dict, fill: float) -> Iterator[Array]:
    """For each place in the window, the array of what stands there."""
    padding, size = params["padding"], params["window_dimensions"]
    strides, dilation = params["window_strides"], params["window_dilation"]
    base = params["base_dilation"]
    wide = lax.pad(
        x,
        np.asarray(fill, x.dtype),
        [(a, b, d - 1) for (a, b), d in zip(padding, base, strict=True)],
    )
    counts = [
        (n - (k - 1) * d - 1) // s + 1
        for n, k, d, s in zip(wide.shape, size, dilation, strides, strict=True)
    ]
    for offsets in np.ndindex(*size):
        start = [o * d for o, d in zip(offsets, dilation, strict=True)]
        stop = [b + (c - 1) * s + 1 for b, c, s in zip(start, counts, strides, strict=True)]
        yield lax.slice(wide, start, stop, strides)
