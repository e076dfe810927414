"""A function less a limit of it, with the digits that are lost to the limit."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax

from stochastic_net._types import Array
from stochastic_net.moments._integrals.taylor import Function


class Rest(NamedTuple):
    """`function(u, less)` is the function where `less` is 1, and `limit` less where it is 0."""

    limit: Array | float
    function: Callable[[Array, Array], Array]

    def about(self, mean: Array) -> tuple[Function, Array]:
        """The one of them that has more digits at the mean, and what it is less by."""
        zero = jnp.zeros_like(mean)
        near = jnp.abs(self.function(mean, zero)) < 0.5 * jnp.abs(self.limit)
        less = lax.stop_gradient(jnp.where(near, zero, 1))
        return lambda u: self.function(u, less), (1 - less) * self.limit
