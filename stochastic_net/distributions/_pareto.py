"""The Pareto distribution."""

import math

import jax.numpy as jnp

from stochastic_net._types import Array, Key, Shape
from stochastic_net.distributions import _noise
from stochastic_net.distributions._family import Family, parameter
from stochastic_net.distributions._family_kl import family_kl_rule
from stochastic_net.distributions._stable import scaled_exp
from stochastic_net.distributions._support import interval, positive
from stochastic_net.random._stirling import deviance, log_ratio


class Pareto(Family):
    """Elements with a power tail: P(Z > z) = (scale / z)^alpha for z >= scale.

    Drawn by inverse cdf in log space from 64 random bits, with exact derivatives; what a float
    cannot hold is its largest number.

    Args:
      scale: the smallest value; positive.
      alpha: positive.

    Raises:
      TypeError, ValueError: no floating arrays; shapes that do not broadcast; a bad value.

    Example:
      >>> import stochastic_net as sn
      >>> print(sn.distributions.Pareto(1.0, 2.0).mean)
      2.0
    """

    scale: Array = parameter(positive)
    alpha: Array = parameter(positive)

    @property
    def support(self):
        """The numbers from `scale` on."""
        return interval(self.scale, math.inf)

    def _sample(self, key: Key, shape: Shape) -> Array:
        return scaled_exp(self.scale, _noise.exponential(key, shape, self.dtype) / self.alpha)

    def _log_prob(self, x: Array) -> Array:
        return jnp.log(self.alpha) - jnp.log(x) - self.alpha * log_ratio(x, self.scale)

    def _cdf(self, x: Array) -> Array:
        return -jnp.expm1(-self.alpha * log_ratio(x, self.scale))

    def _icdf(self, q: Array) -> Array:
        return scaled_exp(self.scale, -jnp.log1p(-q) / self.alpha)

    def _mean(self) -> Array:
        return self.scale / self._above(1) * self.alpha

    def _var(self) -> Array:
        return jnp.square(self.scale / self._above(1)) / self._above(2) * self.alpha

    def _entropy(self) -> Array:
        return jnp.log(self.scale / self.alpha) + 1 + 1 / self.alpha

    def _above(self, order: int) -> Array:
        """alpha - order, and 0 where the moment of that order diverges."""
        return jnp.maximum(self.alpha - order, 0.0)


@family_kl_rule(Pareto, Pareto)
def _(p: Pareto, q: Pareto) -> Array:
    shape = deviance(jnp.ones_like(p.alpha), q.alpha / p.alpha)
    shifted = shape + q.alpha * log_ratio(p.scale, q.scale)
    return jnp.where(p.scale >= q.scale, shifted, jnp.inf)
