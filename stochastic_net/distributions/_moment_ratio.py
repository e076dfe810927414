r"""How wide a power of a random variable is, without the difference of nearly equal moments.

For Z = X^h with an exponential X, or one that is the smallest of b uniform numbers (b real; an
exponential one, in units of 1/b, where b is infinite), Malmsten's integral of log Gamma gives

  log(E Z^2 / (E Z)^2) = int_0^inf e^{-t} (1 - e^{-b t}) (1 - e^{-h t})^2 / (1 - e^{-t}) dt / t,

of positive terms only. In log t the trapezoidal rule converges exponentially.
"""

import jax.numpy as jnp
import numpy as np
from jax import lax

from stochastic_net._types import Array

_LAST = 3.7  # of log t; e^{-t} is 3e-18 there
# How far log t goes below that of min(1, 1/h), where the integrand falls as t does or faster; and
# how many nodes.
_NODES = {np.dtype(np.float32): (18.0, 100), np.dtype(np.float64): (37.0, 300)}


def log_moment_ratio(h: Array, b: Array | float = np.inf) -> Array:
    """log(E Z^2 / (E Z)^2) for Z = X^h, with b of the shape of h or a number."""
    below, count = _NODES[np.dtype(h.dtype)]
    first = lax.stop_gradient(-jnp.log(jnp.maximum(h, 1.0)) - below)
    step = (_LAST - first) / (count - 1)

    def add(total: Array, k: Array) -> tuple[Array, None]:
        t = jnp.exp(first + step * k)
        bent = jnp.square(jnp.expm1(-h * t)) / jnp.expm1(t)
        return total - bent * jnp.expm1(-b * t), None

    total, _ = lax.scan(add, jnp.zeros_like(first), jnp.arange(count, dtype=h.dtype))
    return step * total
