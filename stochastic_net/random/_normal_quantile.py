r"""The normal quantile of a uniform number, for the rounds of a rejection.

With w = -log(4 u (1 - u)) it is (2 u - 1) g(w), where g is a polynomial in w near the middle and
one in sqrt(w) in the tails (the variables of Giles 2012, "Approximating the erfinv function").
"""

import math

import jax.numpy as jnp
from jax import lax

from stochastic_net._types import Array
from stochastic_net.random._elementary import log, polynomial, root

_MIDDLE = 5.0  # the largest w of the first polynomial
_CENTRE, _TAIL_CENTRE = 2.5, 3.0737947
# Chebyshev series from 30 digits, to 2e-7 in the middle and 4e-7 as far as the tails of 2^23 cells
_BODY = (
    *(2.1233134793495685, 0.34880270532352675, -0.005907721252610038, -0.0017730682891089933),
    *(0.000308789168060769, -6.199391247160886e-06, -4.897925260586514e-06),
    *(4.844032988086116e-07, 3.293115710640713e-08),
)
_TAIL = (
    *(4.111039753404124, 1.4183862513769585, 0.011181177719022333, -0.008639368886924442),
    *(0.006538560013398186, -0.004371812524466605, 0.0015345024896281762),
)


def normal_quantile(u: Array) -> Array:
    """z with Phi(z) = u for the middle u of one of 2^23 equal cells; JAX's own in float64."""
    if u.dtype != jnp.float32:
        return math.sqrt(2) * lax.erf_inv(2 * u - 1)
    w = -log(4 * u * (1 - u))
    body = polynomial(_BODY, w - _CENTRE)
    tail = polynomial(_TAIL, root(jnp.maximum(w, 0)) - _TAIL_CENTRE)
    return (2 * u - 1) * jnp.where(w < _MIDDLE, body, tail)
