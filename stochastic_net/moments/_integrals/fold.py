"""Many independent values into one, or into running ones, by an operation on two."""

from collections.abc import Callable
from typing import TypeAlias

import jax.numpy as jnp
from jax import lax

from stochastic_net._types import Array
from stochastic_net.moments._integrals.precision import Moments

OfTwo: TypeAlias = Callable[[Moments, Moments], Moments]


def fold(of_two: OfTwo, mean: Array, var: Array) -> Moments:
    """Of the entries along the first axis, as a balanced tree."""
    while mean.shape[0] > 1:
        half = mean.shape[0] // 2
        one, two = (mean[:half], var[:half]), (mean[half : 2 * half], var[half : 2 * half])
        best = of_two(one, two)
        mean, var = (
            jnp.concatenate([a, b[2 * half :]]) for a, b in zip(best, (mean, var), strict=True)
        )
    return mean[0], var[0]


def fold_axes(of_two: OfTwo, x: Moments, axes: tuple[int, ...]) -> Moments:
    """Over several axes."""
    return fold(of_two, *(_first(part, axes) for part in x))


def running(of_two: OfTwo, x: Moments, axis: int, reverse: bool) -> Moments:
    """Of each entry and all before it."""
    return lax.associative_scan(of_two, x, reverse=reverse, axis=axis)


def _first(x: Array, axes: tuple[int, ...]) -> Array:
    rest = [axis for axis in range(x.ndim) if axis not in axes]
    x = x.transpose(*axes, *rest)
    return x.reshape(-1, *x.shape[len(axes) :])
