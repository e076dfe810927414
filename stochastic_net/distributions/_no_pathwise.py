"""Draws that do not move with their parameters: differentiating one is an error, not a zero."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero

from stochastic_net._types import Array


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def refuse_gradient(family: str, draw: Array, parameters: dict[str, Any]) -> Array:
    """`draw`, whose derivative in any of `parameters` is refused when it is asked for.

    JAX would return 0, which is not the derivative of an expectation.
    """
    del family, parameters
    return draw


@functools.partial(refuse_gradient.defjvp, symbolic_zeros=True)
def _refuse(family, primals, tangents):
    moving = [n for n, t in tangents[1].items() if not all(map(_is_zero, jax.tree.leaves(t)))]
    if moving:
        raise TypeError(
            f"a draw of {family} is discrete: it has no derivative in {' and '.join(moving)}, and "
            "0 would not be the gradient of an expectation. Use an estimator of sn.estimators "
            "(score_function, leave_one_out, enumerate_support, measure_valued, straight_through), "
            "or say that no gradient is wanted: sn.estimators.stop_gradient, or "
            "jax.lax.stop_gradient of the parameters."
        )
    draw = primals[0]
    if jnp.issubdtype(draw.dtype, jnp.floating):
        return draw, jnp.zeros_like(draw)
    return draw, np.zeros(draw.shape, jax.dtypes.float0)


def _is_zero(tangent: Any) -> bool:
    return isinstance(tangent, SymbolicZero) or tangent.dtype == jax.dtypes.float0
