"""Gauss-Legendre nodes on the unit interval, as many as the precision asks for."""

import jax.numpy as jnp
import numpy as np


def unit_nodes(single: int, double: int, dtype) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on [0, 1]: `single` of them for float32, `double` for float64."""
    count = double if jnp.dtype(dtype) == jnp.float64 else single
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return ((nodes + 1) / 2).astype(dtype), (weights / 2).astype(dtype)
