"""The beta distribution."""

import functools

import jax
import jax.numpy as jnp

from stochastic_net._types import Array, Key, Shape
from stochastic_net.distributions._family import Family, parameter
from stochastic_net.distributions._family_kl import family_kl_rule
from stochastic_net.distributions._masses import beta_masses
from stochastic_net.distributions._quantiles import logit_beta_quantile
from stochastic_net.distributions._support import positive, unit_interval
from stochastic_net.random import beta
from stochastic_net.random._inverse import Coupling
from stochastic_net.random._stirling import (
    LOG_2PI,
    bregman_lgamma_less_deviance,
    deviance,
    deviance_of_share,
    digamma_less_log,
    stirling_error,
)


class Beta(Family):
    """Elements of (0, 1) with a density proportional to z^(a - 1) (1 - z)^(b - 1).

    a = concentration1, b = concentration0. Drawn by `sn.random.beta` with implicit derivatives,
    never 0 or 1. The log-density keeps its digits at concentrations of 1e6.

    Args:
      concentration1: positive.
      concentration0: positive.

    Raises:
      TypeError, ValueError: no floating arrays; shapes that do not broadcast; a bad value.

    Example:
      >>> import stochastic_net as sn
      >>> print(sn.distributions.Beta(1.0, 3.0).mean)
      0.25
    """

    concentration1: Array = parameter(positive)
    concentration0: Array = parameter(positive)

    @property
    def support(self):
        """The numbers between 0 and 1."""
        return unit_interval

    def _sample(self, key: Key, shape: Shape, coupling: Coupling = "fast") -> Array:
        shapes = self.concentration1, self.concentration0
        return beta(key, *shapes, shape, self.dtype, coupling=coupling)

    _smooth_sample = functools.partialmethod(_sample, coupling="smooth")

    def _log_prob(self, x: Array) -> Array:
        a, b, n = self.concentration1, self.concentration0, self._total()
        misfit = deviance_of_share(a, n, x) + deviance_of_share(b, n, 1 - x)
        error = stirling_error(n) - stirling_error(a) - stirling_error(b)
        return error - misfit + 0.5 * (self._log_share() - LOG_2PI) - jnp.log(x) - jnp.log1p(-x)

    def _cdf(self, x: Array) -> Array:
        return self._masses(x)[0]

    def _icdf(self, q: Array) -> Array:
        logit = logit_beta_quantile(self.concentration1, self.concentration0, q, 1 - q)
        return jax.nn.sigmoid(logit)

    def _mean(self) -> Array:
        return self.concentration1 / self._total()

    def _var(self) -> Array:
        mean = self._mean()
        return mean * (self.concentration0 / self._total()) / (self._total() + 1)

    def _entropy(self) -> Array:
        a, b, n = self.concentration1, self.concentration0, self._total()
        error = stirling_error(a) + stirling_error(b) - stirling_error(n)
        slope = (n - 2) * digamma_less_log(n)
        slope = slope - (a - 1) * digamma_less_log(a) - (b - 1) * digamma_less_log(b)
        return 0.5 * (self._log_share() + LOG_2PI) - jnp.log(n) + error + slope

    def _masses(self, x: Array) -> tuple[Array, Array]:
        return beta_masses(self.concentration1, self.concentration0, x, 1 - x)

    def _total(self) -> Array:
        return self.concentration1 + self.concentration0

    def _log_share(self) -> Array:
        """log(a b / (a + b)), without over- or underflow of the product."""
        a, b = self.concentration1, self.concentration0
        return jnp.log(jnp.minimum(a, b)) - jnp.log1p(jnp.minimum(a, b) / jnp.maximum(a, b))


@family_kl_rule(Beta, Beta)
def _(p: Beta, q: Beta) -> Array:
    total = p._total(), q._total()
    pairs = ((p.concentration1, q.concentration1), (p.concentration0, q.concentration0))
    leading = sum(deviance(b, total[1] * (a / total[0])) for a, b in pairs)
    rest = sum(bregman_lgamma_less_deviance(b, a) for a, b in pairs)
    return leading + rest - bregman_lgamma_less_deviance(total[1], total[0])
