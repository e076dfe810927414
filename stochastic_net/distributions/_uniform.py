"""The uniform distribution on an interval."""

import jax.numpy as jnp

from stochastic_net._types import Array, Key, Shape
from stochastic_net.distributions import _noise
from stochastic_net.distributions._family import Family, parameter
from stochastic_net.distributions._family_kl import family_kl_rule
from stochastic_net.distributions._support import interval, real


class Uniform(Family):
    """Elements with a constant density from `low` to `high`.

    Drawn as low + (high - low) * u, reckoned from the nearer end: the derivatives are exact.

    Args:
      low: real floating array, or a number.
      high: above `low`.

    Raises:
      TypeError, ValueError: no floating arrays; shapes that do not broadcast; a bad value.

    Example:
      >>> import stochastic_net as sn
      >>> print(sn.distributions.Uniform(2.0, 4.0).icdf(0.25))
      2.5
    """

    low: Array = parameter(real, 0.0)
    high: Array = parameter(real, 1.0)

    @property
    def support(self):
        """From `low` to `high`, both included."""
        return interval(self.low, self.high)

    def _check(self, need) -> None:
        low, high = jnp.broadcast_arrays(self.low, self.high)
        need(
            lambda width: width > 0, high - low, "Uniform needs low < high; high - low must be > 0."
        )

    def _sample(self, key: Key, shape: Shape) -> Array:
        return _noise.between(key, self.low, self.high)

    def _log_prob(self, x: Array) -> Array:
        return -jnp.log(self.high - self.low)

    def _cdf(self, x: Array) -> Array:
        return (x - self.low) / (self.high - self.low)

    def _icdf(self, q: Array) -> Array:
        return self.low + (self.high - self.low) * q

    def _mean(self) -> Array:
        return 0.5 * self.low + 0.5 * self.high

    def _var(self) -> Array:
        return jnp.square(self.high - self.low) / 12

    def _entropy(self) -> Array:
        return jnp.log(self.high - self.low)


@family_kl_rule(Uniform, Uniform)
def _(p: Uniform, q: Uniform) -> Array:
    inside = (q.low <= p.low) & (p.high <= q.high)
    return jnp.where(inside, jnp.log((q.high - q.low) / (p.high - p.low)), jnp.inf)
