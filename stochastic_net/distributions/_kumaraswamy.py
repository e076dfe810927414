"""The Kumaraswamy distribution: like the beta, with a closed cdf."""

import jax.numpy as jnp
from jax.scipy.special import digamma

from stochastic_net._types import Array, Key, Shape
from stochastic_net.distributions import _noise
from stochastic_net.distributions._family import Family, parameter
from stochastic_net.distributions._moment_ratio import log_moment_ratio
from stochastic_net.distributions._stable import exp_open, log1mexp
from stochastic_net.distributions._support import positive, unit_interval
from stochastic_net.random._stirling import EULER_GAMMA, log_beta

_TINY = 1e-37  # keeps log1mexp finite where a product has underflowed


class Kumaraswamy(Family):
    """Elements of (0, 1) with the cdf 1 - (1 - z^a)^b, a = concentration1, b = concentration0.

    Drawn by inverse cdf in log space from 64 random bits, so that small concentrations give neither
    0 nor 1. The derivatives are exact (Kumaraswamy 1980; Nalisnick & Smyth 2017, arXiv:1605.06197).

    Args:
      concentration1: positive.
      concentration0: positive.

    Raises:
      TypeError, ValueError: no floating arrays; shapes that do not broadcast; a bad value.

    Example:
      >>> import stochastic_net as sn
      >>> print(sn.distributions.Kumaraswamy(1.0, 3.0).mean)
      0.25
    """

    concentration1: Array = parameter(positive)
    concentration0: Array = parameter(positive)

    @property
    def support(self):
        """The numbers between 0 and 1."""
        return unit_interval

    def _sample(self, key: Key, shape: Shape) -> Array:
        e = _noise.exponential(key, shape, self.dtype)
        return exp_open(log1mexp(jnp.maximum(e / self.concentration0, _TINY)) / self.concentration1)

    def _log_prob(self, x: Array) -> Array:
        a, b, log_x = self.concentration1, self.concentration0, jnp.log(x)
        power = jnp.maximum(-a * log_x, _TINY)  # -log of x^a
        return jnp.log(a) + jnp.log(b) + (a - 1) * log_x + (b - 1) * log1mexp(power)

    def _cdf(self, x: Array) -> Array:
        power = jnp.maximum(-self.concentration1 * jnp.log(x), _TINY)
        return -jnp.expm1(self.concentration0 * log1mexp(power))

    def _icdf(self, q: Array) -> Array:
        e = jnp.maximum(-jnp.log1p(-q) / self.concentration0, _TINY)
        return jnp.exp(log1mexp(e) / self.concentration1)

    def _mean(self) -> Array:
        b = self.concentration0
        return jnp.exp(jnp.log(b) + log_beta(1 + 1 / self.concentration1, b))

    def _var(self) -> Array:
        ratio = log_moment_ratio(1 / self.concentration1, self.concentration0)
        return jnp.square(self._mean()) * jnp.expm1(ratio)

    def _entropy(self) -> Array:
        a, b = self.concentration1, self.concentration0
        return (1 - 1 / b) + (1 - 1 / a) * _harmonic(b) - jnp.log(a) - jnp.log(b)


def _harmonic(b: Array) -> Array:
    """The harmonic number of real order b."""
    return digamma(b + 1) + EULER_GAMMA
