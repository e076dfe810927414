"""Checks of values: at once where they are concrete, through checkify where they are traced."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.experimental import checkify

from stochastic_net._types import Array


def require(valid: Callable[[Array], Array], value: Array, message: str) -> None:
    """Raise ValueError unless `valid(value)`, elementwise, is True everywhere.

    A traced value is checked by `checkify.debug_check`, which raises under
    `jax.experimental.checkify.checkify` and compiles to nothing otherwise. It is not quite free:
    its effect keeps a jitted function off JAX's fast path of dispatch, 0.1 ms a call on CPU.

    Raises:
      ValueError: `message`, with how many entries are wrong and the first of them.
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
