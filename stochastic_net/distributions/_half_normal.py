"""The half-normal distribution."""

import math

import jax.numpy as jnp
from jax.scipy.special import erf, erfinv

from stochastic_net._types import Array, Key, Shape
from stochastic_net.distributions._family import Family, parameter
from stochastic_net.distributions._family_kl import family_kl_rule
from stochastic_net.distributions._support import nonnegative, positive
from stochastic_net.random import normal
from stochastic_net.random._stirling import deviance


class HalfNormal(Family):
    """The absolute value of normal elements of mean 0: z = scale * abs(eps), eps ~ N(0, 1).

    Args:
      scale: positive; the deviation of the normal law, not of z.

    Raises:
      TypeError, ValueError: no floating arrays; shapes that do not broadcast; a bad value.

    Example:
      >>> import stochastic_net as sn
      >>> print(f"{sn.distributions.HalfNormal(1.0).mean:.4f}")
      0.7979
    """

    scale: Array = parameter(positive, 1.0)

    @property
    def support(self):
        """The numbers from 0 on."""
        return nonnegative

    def _sample(self, key: Key, shape: Shape) -> Array:
        return self.scale * abs(normal(key, shape, self.dtype))

    def _log_prob(self, x: Array) -> Array:
        t = x / self.scale
        return -0.5 * t * t - jnp.log(self.scale) + 0.5 * math.log(2 / math.pi)

    def _cdf(self, x: Array) -> Array:
        return erf(x / self.scale * math.sqrt(0.5))

    def _icdf(self, q: Array) -> Array:
        return self.scale * math.sqrt(2) * erfinv(q)

    def _mean(self) -> Array:
        return self.scale * math.sqrt(2 / math.pi)

    def _var(self) -> Array:
        return self.scale * self.scale * (1 - 2 / math.pi)

    def _entropy(self) -> Array:
        return jnp.log(self.scale) + 0.5 * (1 + math.log(math.pi / 2))


@family_kl_rule(HalfNormal, HalfNormal)
def _(p: HalfNormal, q: HalfNormal) -> Array:
    ratio = p.scale / q.scale
    return 0.5 * deviance(jnp.ones_like(ratio), ratio * ratio)
