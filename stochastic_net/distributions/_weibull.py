"""The Weibull distribution."""

import jax.numpy as jnp
from jax.lax import lgamma

from stochastic_net._types import Array, Key, Shape
from stochastic_net.distributions import _noise
from stochastic_net.distributions._family import Family, parameter
from stochastic_net.distributions._family_kl import family_kl_rule
from stochastic_net.distributions._gumbel import extreme_value_divergence
from stochastic_net.distributions._moment_ratio import log_moment_ratio
from stochastic_net.distributions._stable import scaled_exp
from stochastic_net.distributions._support import positive
from stochastic_net.random._stirling import EULER_GAMMA, log_ratio


class Weibull(Family):
    """Weibull elements: the cdf is 1 - exp(-(z / scale)^concentration) for z > 0.

    Drawn by inverse cdf in log space from 64 random bits: small concentrations do not underflow to
    0. The derivatives are exact.

    Args:
      scale: positive.
      concentration: positive.

    Raises:
      TypeError, ValueError: no floating arrays; shapes that do not broadcast; a bad value.

    Example:
      >>> import stochastic_net as sn
      >>> print(sn.distributions.Weibull(2.0, 1.0).mean)
      2.0
    """

    scale: Array = parameter(positive, 1.0)
    concentration: Array = parameter(positive, 1.0)

    @property
    def support(self):
        """The numbers above 0."""
        return positive

    def _sample(self, key: Key, shape: Shape) -> Array:
        e = _noise.exponential(key, shape, self.dtype)
        return scaled_exp(self.scale, jnp.log(e) / self.concentration)

    def _log_prob(self, x: Array) -> Array:
        k, log_t = self.concentration, log_ratio(x, self.scale)
        return jnp.log(k) - jnp.log(x) + k * log_t - jnp.exp(k * log_t)

    def _cdf(self, x: Array) -> Array:
        return -jnp.expm1(-jnp.exp(self.concentration * log_ratio(x, self.scale)))

    def _icdf(self, q: Array) -> Array:
        return scaled_exp(self.scale, jnp.log(-jnp.log1p(-q)) / self.concentration)

    def _mean(self) -> Array:
        return self.scale * jnp.exp(lgamma(1 + 1 / self.concentration))

    def _var(self) -> Array:
        return jnp.square(self._mean()) * jnp.expm1(log_moment_ratio(1 / self.concentration))

    def _entropy(self) -> Array:
        step = 1 / self.concentration
        return EULER_GAMMA * (1 - step) + jnp.log(self.scale * step) + 1


@family_kl_rule(Weibull, Weibull)
def _(p: Weibull, q: Weibull) -> Array:
    ratio, shift = q.concentration / p.concentration, log_ratio(p.scale, q.scale)
    return extreme_value_divergence(ratio, q.concentration * shift)
