"""The binary concrete distribution: a relaxed Bernoulli."""

import jax
import jax.numpy as jnp

from stochastic_net._types import Array, Key, Shape
from stochastic_net.distributions import _noise
from stochastic_net.distributions._family import Family, parameter
from stochastic_net.distributions._stable import exp_open, expit, logit
from stochastic_net.distributions._support import positive, real, unit_interval


class BinaryConcrete(Family):
    """Elements of (0, 1), z = sigmoid((logits + e) / temperature) with logistic e.

    As the temperature tends to 0 the draw tends to a Bernoulli one with the same logits, and its
    gradient's variance grows (Maddison et al. 2017, arXiv:1611.00712; Jang et al. 2017,
    arXiv:1611.01144). Exact derivatives; as a stand-in for the discrete draw it is biased.

    Args:
      temperature: positive.
      logits: real floating array, or a number.

    Raises:
      TypeError, ValueError: no floating arrays; shapes that do not broadcast; a bad value.

    Example:
      >>> import stochastic_net as sn
      >>> print(sn.distributions.BinaryConcrete(0.5, 0.0).icdf(0.5))
      0.5
    """

    temperature: Array = parameter(positive)
    logits: Array = parameter(real)

    @property
    def support(self):
        """The numbers between 0 and 1."""
        return unit_interval

    def _sample(self, key: Key, shape: Shape) -> Array:
        e = _noise.logistic(key, shape, self.dtype)
        log_z = -jax.nn.softplus(-(self.logits + e) / self.temperature)
        return exp_open(log_z)

    def _log_prob(self, x: Array) -> Array:
        t = self._noise_of(x)
        return jnp.log(self.temperature) - t - 2 * jax.nn.softplus(-t) - jnp.log(x) - jnp.log1p(-x)

    def _cdf(self, x: Array) -> Array:
        return expit(self._noise_of(x))

    def _icdf(self, q: Array) -> Array:
        return jax.nn.sigmoid((self.logits + logit(q)) / self.temperature)

    def _noise_of(self, x: Array) -> Array:
        """The logistic noise that gives x."""
        return self.temperature * logit(x) - self.logits
