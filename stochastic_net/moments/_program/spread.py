"""Numbers that a program spreads over arrays: they stay known, and are one number in memory."""

from typing import Any

import jax
import numpy as np
from jax.extend.core import JaxprEqn
from jax.extend.core import primitives as p

from stochastic_net._types import Array

_NUMBERS = (bool, int, float, np.generic, np.ndarray, jax.Array)


def spread_by(eqn: JaxprEqn, inputs: list[Any]) -> Any:
    """The array that the equation makes of one number, if that is known here and now; else None."""
    if eqn.primitive is not p.broadcast_in_dim_p or eqn.params.get("sharding") is not None:
        return None
    x, *rest = inputs
    if rest or np.ndim(x) or not isinstance(x, _NUMBERS) or isinstance(x, jax.core.Tracer):
        return None
    if jax.dtypes.issubdtype(getattr(x, "dtype", np.bool_), jax.dtypes.extended):  # a key
        return None
    return np.broadcast_to(np.asarray(x), eqn.params["shape"])


def number_of(x: Any) -> Any:
    """The number that was spread over x; else x."""
    if not isinstance(x, np.ndarray) or x.size < 2:
        return x
    moves = [stride for stride, count in zip(x.strides, x.shape, strict=True) if count > 1]
    return x if any(moves) else np.asarray(x[(0,) * x.ndim])


def is_everywhere(x: Any, value: float) -> bool:
    """Whether x is known here and now, and is this number wherever one looks."""
    known = isinstance(x, _NUMBERS) and not isinstance(x, jax.core.Tracer)
    return known and bool(np.all(np.asarray(x) == value))


def as_wide_as(u: Array, x: Any) -> Any:
    """A constant beside u: spread over its shape where it is one number."""
    is_number = isinstance(x, np.ndarray) and not x.ndim
    return np.broadcast_to(x, u.shape) if is_number else x
