"""Axes of the batch taken as axes of one event."""

import dataclasses
import functools
from typing import Any

import jax

from stochastic_net._types import Array, ArrayLike, Key, Shape
from stochastic_net.distributions._kl import kl, kl_rule
from stochastic_net.random._inverse import Coupling


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["base"], meta_fields=["event_ndim"]
)
@dataclasses.dataclass(frozen=True, eq=False)
class Independent:
    """`base` with its last `event_ndim` axes as one event: log-densities are summed over them.

    What NumPyro's `to_event` gives; here densities and divergences are elementwise, and you sum.

    Example:
      >>> import jax.numpy as jnp, stochastic_net as sn
      >>> d = sn.distributions.Independent(sn.distributions.Uniform(0.0, jnp.full(3, 2.0)), 1)
      >>> print(f"{d.log_prob(jnp.ones(3)):.3f}")
      -2.079
    """

    base: Any
    event_ndim: int

    @property
    def shape(self) -> Shape:
        """The shape of a draw."""
        return self.base.shape

    def sample(self, key: Key, shape: Shape = (), *, coupling: Coupling = "fast") -> Array:
        """Draw from `base`, in the `coupling` that `Family.sample` describes."""
        return self.base.sample(key, shape, coupling=coupling)

    def log_prob(self, value: ArrayLike) -> Array:
        """The log-density of each event."""
        return _sum(self.base.log_prob(value), self.event_ndim)


@kl_rule(Independent, Independent)
def _(p: Independent, q: Independent) -> Array:
    if p.event_ndim != q.event_ndim:
        raise ValueError(
            f"kl(p, q) needs events of as many axes, got {p.event_ndim} and {q.event_ndim}."
        )
    return _sum(kl(p.base, q.base), p.event_ndim)


def _sum(array: Array, axes: int) -> Array:
    return array.sum(tuple(range(-axes, 0)))
