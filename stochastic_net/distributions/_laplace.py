"""The Laplace distribution."""

import math

import jax.numpy as jnp

from stochastic_net._types import Array, Key, Shape
from stochastic_net.distributions import _noise
from stochastic_net.distributions._family import Family, parameter
from stochastic_net.distributions._family_kl import family_kl_rule
from stochastic_net.distributions._stable import exp_less_linear
from stochastic_net.distributions._support import positive, real
from stochastic_net.random._stirling import deviance


class Laplace(Family):
    """Double exponential elements: the density is exp(-abs(z - loc) / scale) / (2 scale).

    Drawn by inverse cdf, z = loc + scale * e: the derivatives are exact.

    Args:
      loc: real floating array, or a number.
      scale: positive.

    Raises:
      TypeError, ValueError: no floating arrays; shapes that do not broadcast; a bad value.

    Example:
      >>> import stochastic_net as sn
      >>> print(sn.distributions.Laplace(1.0, 2.0).var)
      8.0
    """

    loc: Array = parameter(real, 0.0)
    scale: Array = parameter(positive, 1.0)

    @property
    def support(self):
        """The real line."""
        return real

    def _sample(self, key: Key, shape: Shape) -> Array:
        return self.loc + self.scale * _noise.laplace(key, shape, self.dtype)

    def _log_prob(self, x: Array) -> Array:
        return -abs(x - self.loc) / self.scale - jnp.log(2 * self.scale)

    def _cdf(self, x: Array) -> Array:
        t = (x - self.loc) / self.scale
        tail = 0.5 * jnp.exp(jnp.where(t < 0, t, -t))  # unlike abs, of slope 1 at 0
        return jnp.where(t < 0, tail, 1 - tail)

    def _icdf(self, q: Array) -> Array:
        size = -jnp.log(2 * jnp.where(q < 0.5, q, 1 - q))  # minimum has no slope at 0.5
        return self.loc + self.scale * jnp.where(q < 0.5, -size, size)

    def _mean(self) -> Array:
        return self.loc

    def _var(self) -> Array:
        return 2 * self.scale * self.scale

    def _entropy(self) -> Array:
        return jnp.log(self.scale) + (1 + math.log(2))


@family_kl_rule(Laplace, Laplace)
def _(p: Laplace, q: Laplace) -> Array:
    distance = abs(p.loc - q.loc)
    t, r = distance / p.scale, distance / q.scale
    shift = exp_less_linear(-t)
    return deviance(jnp.ones_like(t), p.scale / q.scale) + r * shift / jnp.where(t > 0, t, 1.0)
