"""The Dirichlet distribution of probabilities."""

import functools

import jax.numpy as jnp

from stochastic_net._types import Array, Key, Shape
from stochastic_net.distributions._family import Family, parameter
from stochastic_net.distributions._family_kl import family_kl_rule
from stochastic_net.distributions._support import positive, simplex
from stochastic_net.random import dirichlet
from stochastic_net.random._inverse import Coupling
from stochastic_net.random._stirling import (
    LOG_2PI,
    bregman_lgamma_less_deviance,
    deviance,
    deviance_of_share,
    digamma_less_log,
    stirling_error,
)


class Dirichlet(Family):
    """Vectors of K positive numbers with sum 1, density proportional to prod z_i^(a_i - 1).

    a = concentration. Drawn by `sn.random.dirichlet`, with unbiased pathwise gradients that solve
    the transport equation; no entry is 0 or 1. The log-density keeps its digits at concentrations
    of 1e6.

    Args:
      concentration: positive, shape (..., K).

    Raises:
      TypeError, ValueError: no floating array; no axis of classes; a bad value.

    Example:
      >>> import jax.numpy as jnp, stochastic_net as sn
      >>> print(sn.distributions.Dirichlet(jnp.array([1.0, 1.0, 2.0])).mean)
      [0.25 0.25 0.5 ]
    """

    concentration: Array = parameter(positive, event_ndim=1)

    @property
    def support(self):
        """Vectors of positive numbers with sum 1."""
        return simplex

    @property
    def event_shape(self) -> Shape:
        """(K,)."""
        return self.concentration.shape[-1:]

    @property
    def covariance(self) -> Array:
        """E (z - E z) (z - E z)^T, shape (*batch_shape, K, K); it is singular."""
        wide = self._spread(self.batch_shape)
        mean, spread = wide._mean(), 1 / (wide._total() + 1)
        between = -mean[..., :, None] * mean[..., None, :] * spread[..., None]
        same = jnp.broadcast_to(jnp.eye(*2 * self.event_shape, dtype=bool), between.shape)
        return jnp.where(same, wide._var()[..., None], between).astype(self.dtype)

    def _check(self, need) -> None:
        if self.event_shape == (0,):
            raise ValueError(
                "Dirichlet needs a concentration of shape (..., K) with K >= 1, got shape "
                f"{self.concentration.shape}."
            )

    def _sample(self, key: Key, shape: Shape, coupling: Coupling = "fast") -> Array:
        return dirichlet(key, self.concentration, shape, self.dtype, coupling=coupling)

    _smooth_sample = functools.partialmethod(_sample, coupling="smooth")

    def _log_prob(self, x: Array) -> Array:
        a, n = self.concentration, self._total()
        error = stirling_error(n[..., 0]) - stirling_error(a).sum(-1)
        misfit = deviance_of_share(a, n, x) + jnp.log(x)
        return error - misfit.sum(-1) + 0.5 * self._log_share()

    def _mean(self) -> Array:
        return self.concentration / self._total()

    def _var(self) -> Array:
        mean, n = self._mean(), self._total()
        return mean * ((n - self.concentration) / n) / (n + 1)

    def _entropy(self) -> Array:
        a, total = self.concentration, self._total()
        n, classes = total[..., 0], a.shape[-1]
        error = stirling_error(a).sum(-1) - stirling_error(n)
        slope = (n - classes) * digamma_less_log(n) - ((a - 1) * digamma_less_log(a)).sum(-1)
        size = 0.5 * self._log_share() + (classes - 1) * (LOG_2PI - jnp.log(n))
        return size + error + slope

    def _total(self) -> Array:
        return self.concentration.sum(-1, keepdims=True)

    def _log_share(self) -> Array:
        """log(prod a_i / n) - (K - 1) log(2 pi)."""
        a, n = self.concentration, self._total()
        return jnp.log(a / n).sum(-1) + (a.shape[-1] - 1) * (jnp.log(n[..., 0]) - LOG_2PI)


@family_kl_rule(Dirichlet, Dirichlet)
def _(p: Dirichlet, q: Dirichlet) -> Array:
    return dirichlet_divergence(p.concentration, q.concentration)


def dirichlet_divergence(p: Array, q: Array) -> Array:
    """KL between Dirichlet laws of these concentrations: exact where they nearly agree."""
    p_total, q_total = p.sum(-1, keepdims=True), q.sum(-1, keepdims=True)
    leading = deviance(q, q_total * (p / p_total)) + bregman_lgamma_less_deviance(q, p)
    return leading.sum(-1) - bregman_lgamma_less_deviance(q_total, p_total)[..., 0]
