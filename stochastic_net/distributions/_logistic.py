"""The logistic distribution."""

import math

import jax
import jax.numpy as jnp

from stochastic_net._types import Array, Key, Shape
from stochastic_net.distributions import _noise
from stochastic_net.distributions._family import Family, parameter
from stochastic_net.distributions._stable import expit, logit
from stochastic_net.distributions._support import positive, real


class Logistic(Family):
    """Logistic elements: the cdf is 1 / (1 + exp(-(z - loc) / scale)).

    Drawn by inverse cdf, z = loc + scale * e with e from 64 random bits: finite and right in both
    tails, with exact derivatives.

    Args:
      loc: real floating array, or a number.
      scale: positive.

    Raises:
      TypeError, ValueError: no floating arrays; shapes that do not broadcast; a bad value.

    Example:
      >>> import stochastic_net as sn
      >>> print(sn.distributions.Logistic(0.0, 1.0).cdf(0.0))
      0.5
    """

    loc: Array = parameter(real, 0.0)
    scale: Array = parameter(positive, 1.0)

    @property
    def support(self):
        """The real line."""
        return real

    def _sample(self, key: Key, shape: Shape) -> Array:
        return self.loc + self.scale * _noise.logistic(key, shape, self.dtype)

    def _log_prob(self, x: Array) -> Array:
        t = self._standardise(x)
        return -t - 2 * jax.nn.softplus(-t) - jnp.log(self.scale)

    def _cdf(self, x: Array) -> Array:
        return expit(self._standardise(x))

    def _icdf(self, q: Array) -> Array:
        return self.loc + self.scale * logit(q)

    def _mean(self) -> Array:
        return self.loc

    def _var(self) -> Array:
        return math.pi**2 / 3 * self.scale * self.scale

    def _entropy(self) -> Array:
        return jnp.log(self.scale) + 2

    def _standardise(self, x: Array) -> Array:
        return (x - self.loc) / self.scale
