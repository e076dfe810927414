"""The log-normal distribution."""

import jax.numpy as jnp
from jax.scipy.special import ndtr, ndtri

from stochastic_net._types import Array, Key, Shape
from stochastic_net.distributions._family import Family, parameter
from stochastic_net.distributions._family_kl import family_kl_rule
from stochastic_net.distributions._stable import exp_open
from stochastic_net.distributions._support import positive, real
from stochastic_net.random import normal
from stochastic_net.random._stirling import LOG_2PI, deviance


class LogNormal(Family):
    """Elements whose logarithm is normal: z = exp(loc + scale * eps), eps ~ N(0, 1).

    Args:
      loc: mean of log(z).
      scale: deviation of log(z); positive.

    Raises:
      TypeError, ValueError: no floating arrays; shapes that do not broadcast; a bad value.

    Example:
      >>> import stochastic_net as sn
      >>> print(sn.distributions.LogNormal(0.0, 1.0).icdf(0.5))
      1.0
    """

    loc: Array = parameter(real, 0.0)
    scale: Array = parameter(positive, 1.0)

    @property
    def support(self):
        """The numbers above 0."""
        return positive

    def _sample(self, key: Key, shape: Shape) -> Array:
        return exp_open(self.loc + self.scale * normal(key, shape, self.dtype))

    def _log_prob(self, x: Array) -> Array:
        log_x = jnp.log(x)
        t = (log_x - self.loc) / self.scale
        return -0.5 * t * t - jnp.log(self.scale) - log_x - 0.5 * LOG_2PI

    def _cdf(self, x: Array) -> Array:
        return ndtr((jnp.log(x) - self.loc) / self.scale)

    def _icdf(self, q: Array) -> Array:
        return jnp.exp(self.loc + self.scale * ndtri(q))

    def _mean(self) -> Array:
        return jnp.exp(self.loc + 0.5 * self.scale * self.scale)

    def _var(self) -> Array:
        square = self.scale * self.scale
        return jnp.expm1(square) * jnp.exp(2 * self.loc + square)

    def _entropy(self) -> Array:
        return self.loc + jnp.log(self.scale) + 0.5 * (1 + LOG_2PI)


@family_kl_rule(LogNormal, LogNormal)
def _(p: LogNormal, q: LogNormal) -> Array:
    ratio, shift = p.scale / q.scale, (p.loc - q.loc) / q.scale
    return 0.5 * (deviance(jnp.ones_like(ratio), ratio * ratio) + shift * shift)
