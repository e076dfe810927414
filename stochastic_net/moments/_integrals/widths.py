"""Narrow Gaussians by one form, the others by another."""

import jax.numpy as jnp

from stochastic_net._types import Array
from stochastic_net.moments._integrals.nodes import Breaks
from stochastic_net.moments._integrals.smooth import Form, chosen, narrow_enough, where

NARROW = 1e-2  # the deviation below which moments are of three nodes
NARROW_SLOPES = 3e-3  # and, for derivatives, Taylor's theorem
_POINT = 1e-5  # the part of the mean where a Gaussian is a point beside a kink


def by_width(
    mean: Array, var: Array, breaks: Breaks, least: float, narrow: Form, wide: Form
) -> tuple[Array, ...]:
    """Each form where it holds."""
    narrow_here = is_narrow(mean, var, breaks, least)
    expanded = narrow(*where(narrow_here, mean, var, 0.0))
    return chosen(narrow_here, expanded, wide(*where(~narrow_here, mean, var)))


def is_narrow(mean: Array, var: Array, breaks: Breaks, least: float) -> Array:
    """Where it is `narrow`: the function bends nowhere near, or the mean has no digits."""
    narrow = narrow_enough(mean, var, least)
    near = 64 * var
    for place in breaks:
        away = jnp.square(place - mean)
        seen = var > jnp.square(_POINT * mean)
        narrow &= ~(seen & (away < near))
    return narrow
