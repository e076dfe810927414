"""The inverse gamma distribution."""

import functools

import jax.numpy as jnp

from stochastic_net._types import Array, Key, Shape
from stochastic_net.distributions._family import Family, parameter
from stochastic_net.distributions._family_kl import family_kl_rule
from stochastic_net.distributions._gamma import gamma_divergence
from stochastic_net.distributions._masses import gamma_masses
from stochastic_net.distributions._quantiles import log_gamma_quantile
from stochastic_net.distributions._stable import exp_open
from stochastic_net.distributions._support import positive
from stochastic_net.random import inverse_gamma
from stochastic_net.random._inverse import Coupling
from stochastic_net.random._stirling import (
    LOG_2PI,
    digamma_less_log,
    log_gamma_kernel,
    stirling_error,
)


class InverseGamma(Family):
    """One over gamma elements: the density is proportional to z^(-concentration - 1) exp(-rate /
    z).

    Drawn by `sn.random.inverse_gamma`; the derivative in the concentration is implicit, in the rate
    exact. Draws and derivatives beyond the largest number of the dtype are that number.

    Args:
      concentration: positive.
      rate: positive.

    Raises:
      TypeError, ValueError: no floating arrays; shapes that do not broadcast; a bad value.

    Example:
      >>> import stochastic_net as sn
      >>> print(sn.distributions.InverseGamma(3.0, 4.0).mean)
      2.0
    """

    concentration: Array = parameter(positive)
    rate: Array = parameter(positive, 1.0)

    @property
    def support(self):
        """The numbers above 0."""
        return positive

    def _sample(self, key: Key, shape: Shape, coupling: Coupling = "fast") -> Array:
        return self.rate * inverse_gamma(
            key, self.concentration, shape, self.dtype, coupling=coupling
        )

    _smooth_sample = functools.partialmethod(_sample, coupling="smooth")

    def _log_prob(self, x: Array) -> Array:
        return log_gamma_kernel(self.concentration, self.rate / x) - jnp.log(x)

    def _cdf(self, x: Array) -> Array:
        log_z = jnp.log(self.rate) - jnp.log(x)  # where the quotient underflows
        return gamma_masses(self.concentration, self.rate / x, log_z)[1]

    def _icdf(self, q: Array) -> Array:
        return self.rate * exp_open(-log_gamma_quantile(self.concentration, 1 - q, q))

    def _mean(self) -> Array:
        return self.rate / self._above(1)

    def _var(self) -> Array:
        return jnp.square(self.rate / self._above(1)) / self._above(2)

    def _entropy(self) -> Array:
        a = self.concentration
        error = stirling_error(a) - (1 + a) * digamma_less_log(a)
        return jnp.log(self.rate) - 1.5 * jnp.log(a) + 0.5 * LOG_2PI + error

    def _above(self, order: int) -> Array:
        """concentration - order, and 0 where the moment of that order diverges."""
        return jnp.maximum(self.concentration - order, 0.0)


@family_kl_rule(InverseGamma, InverseGamma)
def _(p: InverseGamma, q: InverseGamma) -> Array:
    return gamma_divergence(p.concentration, q.concentration, q.rate / p.rate)
