"""The generalised normal distribution."""

import functools
import math

import jax.numpy as jnp
from jax.lax import lgamma

from stochastic_net._types import Array, Key, Shape
from stochastic_net.distributions._family import Family, parameter
from stochastic_net.distributions._masses import gamma_masses
from stochastic_net.distributions._quantiles import log_gamma_quantile, two_sided
from stochastic_net.distributions._stable import power
from stochastic_net.distributions._support import positive, real
from stochastic_net.random import generalized_normal
from stochastic_net.random._inverse import Coupling


class GeneralizedNormal(Family):
    """Elements with a density proportional to exp(-abs((z - loc) / scale)^power).

    Laplace at power 1, normal of deviation scale / sqrt(2) at power 2, uniform in the limit. Drawn
    by `sn.random.generalized_normal`; the derivative in the power is implicit, the others are
    exact.

    Args:
      loc: real floating array, or a number.
      scale: positive.
      power: positive.

    Raises:
      TypeError, ValueError: no floating arrays; shapes that do not broadcast; a bad value.

    Example:
      >>> import stochastic_net as sn
      >>> print(sn.distributions.GeneralizedNormal(1.0, 1.0, 2.0).var.round(5))
      0.5
    """

    loc: Array = parameter(real)
    scale: Array = parameter(positive)
    power: Array = parameter(positive)

    @property
    def support(self):
        """The real line."""
        return real

    def _sample(self, key: Key, shape: Shape, coupling: Coupling = "fast") -> Array:
        unit = generalized_normal(key, self.power, shape, self.dtype, coupling=coupling)
        return self.loc + self.scale * unit

    _smooth_sample = functools.partialmethod(_sample, coupling="smooth")

    def _log_prob(self, x: Array) -> Array:
        return -self._exponent(x) - self._log_size()

    def _cdf(self, x: Array) -> Array:
        t = (x - self.loc) / self.scale
        t = jnp.where(t == 0, t + 1e-18, t)  # where abs(t) and log(t) have derivatives
        log_z = self.power * jnp.log(abs(t))
        z = jnp.exp(jnp.minimum(log_z, math.log(float(jnp.finfo(t.dtype).max)) - 1))
        half = 0.5 * gamma_masses(1 / self.power, z, log_z)[1]
        return jnp.where(t < 0, half, 1 - half)

    def _icdf(self, q: Array) -> Array:
        size = jnp.exp(log_gamma_quantile(1 / self.power, *two_sided(q)) / self.power)
        return self.loc + self.scale * jnp.where(q < 0.5, -size, size)

    def _mean(self) -> Array:
        return self.loc

    def _var(self) -> Array:
        step = 1 / self.power
        third = jnp.exp(lgamma(1 + 3 * step) - lgamma(1 + step)) / 3
        return self.scale * self.scale * third

    def _entropy(self) -> Array:
        return 1 / self.power + self._log_size()

    def _log_size(self) -> Array:
        """log(2 scale Gamma(1 + 1 / power)): of what the density is divided by."""
        return jnp.log(2 * self.scale) + lgamma(1 + 1 / self.power)

    def _exponent(self, x: Array) -> Array:
        return power(abs(x - self.loc) / self.scale, self.power)
