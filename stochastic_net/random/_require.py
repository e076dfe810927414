"""Checks of values: at once where they are concrete, through checkify where they are traced."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.experimental import checkify

from stochastic_net._types import Array
from stochastic_net.random._checkify import with_check


def checked(valid: Callable[[Array], Array], value: Array, message: str) -> Array:
    """`value`; ValueError unless `valid(value)` is True everywhere.

    A traced value is checked under `jax.experimental.checkify.checkify`, wherever the value that is
    returned is used, and elsewhere not at all: then it costs a jitted function nothing.

    Args:
      valid: elementwise or along the last axes. A function that is made once, not at every call.

    Raises:
      ValueError: `message`, with how many entries are wrong and the first of them.
    """
    if isinstance(value, jax.core.Tracer):
        return with_check(valid, value, message)
    require_if_concrete(valid, value, message)
    return value


def require(valid: Callable[[Array], Array], value: Array, message: str) -> None:
    """`checked`, of a value that is made for the check alone.

    A traced one is checked by `checkify.debug_check`, whose effect keeps a jitted function off
    JAX's fast path of dispatch: 0.1 ms a call on CPU and more.
    """
    if isinstance(value, jax.core.Tracer):
        checkify.debug_check(valid(value).all(), message)
        return
    require_if_concrete(valid, value, message)


def require_if_concrete(valid: Callable[[Array], Array], value: Array, message: str) -> None:
    """`require`, but a traced value passes: for what was checked when it was made."""
    if isinstance(value, jax.core.Tracer):
        return
    with jax.ensure_compile_time_eval():  # a concrete value may be closed over by a traced function
        wrong = ~valid(value)
        if wrong.any():
            index = tuple(int(i) for i in jnp.unravel_index(wrong.argmax(), wrong.shape))
            where = f", the first is {value[index]} at index {index}" if index else f": {value}"
            raise ValueError(
                f"{message} {int(wrong.sum())} of {wrong.size} entries are not{where}."
            )
