"""Axes of the batch taken as axes of one event."""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stochastic_net._types import Array, ArrayLike, Key, Shape
from stochastic_net.distributions._convert import own
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
    def _own(self) -> Any:
        """`base` as a distribution of this library: not made on the way in, where JAX comes too."""
        return own(self.base)

    @property
    def shape(self) -> Shape:
        """The shape of a draw: `batch_shape` and `event_shape`."""
        return shape_of(self._own)

    @property
    def batch_shape(self) -> Shape:
        """The shape of the independent events."""
        return self.shape[: len(self.shape) - len(self.event_shape)]

    @property
    def event_shape(self) -> Shape:
        """The last `event_ndim` axes of the batch of `base`, and its event."""
        axes = self.event_ndim + len(_event(self._own))
        return self.shape[len(self.shape) - axes :]

    @property
    def dtype(self) -> jnp.dtype:
        """That of `base`."""
        return self._own.dtype

    @property
    def mean(self) -> Array:
        """E z."""
        return self._own.mean

    @property
    def var(self) -> Array:
        """E (z - E z)^2, elementwise."""
        return self._own.var

    def sample(self, key: Key, shape: Shape = (), *, coupling: Coupling = "fast") -> Array:
        """Draw from `base`, in the `coupling` that `Family.sample` describes."""
        return self._own.sample(key, shape, coupling=coupling)

    def log_prob(self, value: ArrayLike) -> Array:
        """The log-density of each event."""
        return _sum(self._own.log_prob(value), self.event_ndim)

    def entropy(self) -> Array:
        """-E log p(z) in nats, of each event."""
        return _sum(self._own.entropy(), self.event_ndim)

    def enumerate_support(self) -> Array:
        """Every value, along a new leading axis: K^n of n elements that each have K values."""
        values, batch = self._own.enumerate_support(), len(self.batch_shape)
        own_event = _event(self._own)
        n = math.prod(self.event_shape[: self.event_ndim])
        table = values.reshape(len(values), *self.batch_shape, n, *own_event)
        table = jnp.moveaxis(table, batch + 1, 1)  # (values, elements, batch, event)
        digits = np.indices((len(values),) * n, np.int32).reshape(n, -1).T
        joint = jnp.moveaxis(table[digits, np.arange(n, dtype=np.int32)], 1, batch + 1)
        return joint.reshape(len(digits), *self.shape)


@kl_rule(Independent, Independent)
def _(p: Independent, q: Independent) -> Array:
    if p.event_ndim != q.event_ndim:
        raise ValueError(
            f"kl(p, q) needs events of as many axes, got {p.event_ndim} and {q.event_ndim}."
        )
    return _sum(kl(p.base, q.base), p.event_ndim)


def shape_of(law: Any) -> Shape:
    """The shape of one draw."""
    return law.shape if hasattr(law, "shape") else law.batch_shape + law.event_shape


def _event(law: Any) -> Shape:
    return getattr(law, "event_shape", ())


def _sum(array: Array, axes: int) -> Array:
    return array.sum(tuple(range(-axes, 0)))
