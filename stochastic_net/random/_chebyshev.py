"""Functions of the half line as Chebyshev series: no branch, no iteration, one rounding a term."""

import jax.numpy as jnp
import numpy as np

from stochastic_net._types import Array
from stochastic_net.random._elementary import polynomial, reciprocal

_TAME = 2.0  # times the largest of Chebyshev's coefficients


def half_line_series(coefficients: np.ndarray, scale: float, x: Array) -> Array:
    """sum_k c_k T_k(q) at q = (x - scale) / (x + scale), which maps [0, inf) onto [-1, 1).

    By Clenshaw's recurrence, which does not amplify rounding, or by Horner's scheme, half the work,
    in float32 where the powers of q have coefficients no larger than a few; float32 leaves out the
    coefficients that are below its resolution.
    """
    kept = abs(coefficients) > 0.05 * float(jnp.finfo(x.dtype).eps) * abs(coefficients[0])
    c = coefficients[: np.flatnonzero(kept)[-1] + 1]
    powers = np.polynomial.chebyshev.cheb2poly(c)
    q = (x - scale) * reciprocal(x + scale)
    if x.dtype == jnp.float32 and abs(powers).max() < _TAME * abs(c).max():
        return polynomial(powers, q)
    return _clenshaw(c.astype(x.dtype), q)


def _clenshaw(c: np.ndarray, q: Array) -> Array:
    b1, b2 = jnp.zeros_like(q), jnp.zeros_like(q)
    for coefficient in c[:0:-1]:
        b1, b2 = 2 * q * b1 - b2 + coefficient, b1
    return q * b1 - b2 + c[0]
