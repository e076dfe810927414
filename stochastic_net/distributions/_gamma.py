"""The gamma distribution."""

import functools

import jax.numpy as jnp

from stochastic_net._types import Array, Key, Shape
from stochastic_net.distributions._exponential import Exponential
from stochastic_net.distributions._family import Family, parameter
from stochastic_net.distributions._family_kl import family_kl_rule
from stochastic_net.distributions._masses import gamma_masses
from stochastic_net.distributions._quantiles import log_gamma_quantile
from stochastic_net.distributions._support import positive
from stochastic_net.random import gamma
from stochastic_net.random._inverse import Coupling
from stochastic_net.random._stirling import (
    LOG_2PI,
    bregman_lgamma_less_deviance,
    deviance,
    digamma_less_log,
    log_gamma_kernel,
    stirling_error,
)


class Gamma(Family):
    """Gamma elements: the density is proportional to z^(concentration - 1) exp(-rate z) for z > 0.

    Drawn by `sn.random.gamma`; the derivative in the concentration is implicit (Figurnov et al.
    2018, arXiv:1805.08498), in the rate it is exact. The log-density keeps its digits at a
    concentration of 1e6.

    Args:
      concentration: positive.
      rate: positive.

    Raises:
      TypeError, ValueError: no floating arrays; shapes that do not broadcast; a bad value.

    Example:
      >>> import stochastic_net as sn
      >>> print(sn.distributions.Gamma(3.0, 2.0).mean)
      1.5
    """

    concentration: Array = parameter(positive)
    rate: Array = parameter(positive, 1.0)

    @property
    def support(self):
        """The numbers above 0."""
        return positive

    def _sample(self, key: Key, shape: Shape, coupling: Coupling = "fast") -> Array:
        return gamma(key, self.concentration, shape, self.dtype, coupling=coupling) / self.rate

    _smooth_sample = functools.partialmethod(_sample, coupling="smooth")

    def _log_prob(self, x: Array) -> Array:
        return log_gamma_kernel(self.concentration, self.rate * x) - jnp.log(x)

    def _cdf(self, x: Array) -> Array:
        return self._masses(x)[0]

    def _icdf(self, q: Array) -> Array:
        return jnp.exp(log_gamma_quantile(self.concentration, q, 1 - q) - jnp.log(self.rate))

    def _mean(self) -> Array:
        return self.concentration / self.rate

    def _var(self) -> Array:
        return self.concentration / self.rate / self.rate

    def _entropy(self) -> Array:
        a = self.concentration
        error = stirling_error(a) + (1 - a) * digamma_less_log(a)
        return 0.5 * (jnp.log(a) + LOG_2PI) - jnp.log(self.rate) + error

    def _masses(self, x: Array) -> tuple[Array, Array]:
        log_z = jnp.log(self.rate) + jnp.log(x)  # where the product underflows
        return gamma_masses(self.concentration, self.rate * x, log_z)


@family_kl_rule(Gamma, Gamma)
def _(p: Gamma, q: Gamma) -> Array:
    return gamma_divergence(p.concentration, q.concentration, q.rate / p.rate)


@family_kl_rule(Gamma, Exponential)
def _(p: Gamma, q: Exponential) -> Array:
    return gamma_divergence(p.concentration, jnp.ones_like(q.rate), q.rate / p.rate)


@family_kl_rule(Exponential, Gamma)
def _(p: Exponential, q: Gamma) -> Array:
    return gamma_divergence(jnp.ones_like(p.rate), q.concentration, q.rate / p.rate)


def gamma_divergence(p: Array, q: Array, ratio: Array) -> Array:
    """KL between gamma laws of concentrations p and q; ratio of the rates q to p. No cancellation.

    The divergence of lgamma is the deviance D(q, p) and a rest of order one; with the rates D(q, p)
    becomes D(q, p ratio).
    """
    return deviance(q, p * ratio) + bregman_lgamma_less_deviance(q, p)
