"""Functions of the half line as Chebyshev series: no branch, no iteration, one rounding a term."""

import jax.numpy as jnp
import numpy as np

from stochastic_net._types import Array


def half_line_series(coefficients: np.ndarray, scale: float, x: Array) -> Array:
    """sum_k c_k T_k(q) at q = (x - scale) / (x + scale), which maps [0, inf) onto [-1, 1).

    By Clenshaw's recurrence, which does not amplify rounding; float32 leaves out the coefficients
    that are below its resolution.
    """
    kept = abs(coefficients) > 0.05 * float(jnp.finfo(x.dtype).eps) * abs(coefficients[0])
    c = np.asarray(coefficients[: np.flatnonzero(kept)[-1] + 1], x.dtype)
    q = (x - scale) / (x + scale)
    b1, b2 = jnp.zeros_like(x), jnp.zeros_like(x)
    for coefficient in c[:0:-1]:
        b1, b2 = 2 * q * b1 - b2 + coefficient, b1
    return q * b1 - b2 + c[0]
