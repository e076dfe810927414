"""The Gumbel distribution of largest values."""

import math

import jax
import jax.numpy as jnp

from stochastic_net._types import Array, Key, Shape
from stochastic_net.distributions import _noise
from stochastic_net.distributions._family import Family, parameter
from stochastic_net.distributions._family_kl import family_kl_rule
from stochastic_net.distributions._support import positive, real
from stochastic_net.random._elementary import exp_less_line
from stochastic_net.random._stirling import (
    EULER_GAMMA,
    bregman_lgamma_less_deviance,
    deviance,
)


class Gumbel(Family):
    """Gumbel elements: the cdf is exp(-exp(-t)) with t = (z - loc) / scale.

    Drawn by inverse cdf, z = loc + scale * e with e from 64 random bits: finite and right in both
    tails, with exact derivatives.

    Args:
      loc: real floating array, or a number.
      scale: positive.

    Raises:
      TypeError, ValueError: no floating arrays; shapes that do not broadcast; a bad value.

    Example:
      >>> import stochastic_net as sn
      >>> print(f"{sn.distributions.Gumbel(0.0, 1.0).mean:.4f}")
      0.5772
    """

    loc: Array = parameter(real, 0.0)
    scale: Array = parameter(positive, 1.0)

    @property
    def support(self):
        """The real line."""
        return real

    def _sample(self, key: Key, shape: Shape) -> Array:
        return self.loc + self.scale * _noise.gumbel(key, shape, self.dtype)

    def _log_prob(self, x: Array) -> Array:
        t = self._standardise(x)
        most = 0.9 * math.log(float(jnp.finfo(t.dtype).max))  # finite, and so is its derivative
        return -(t + jnp.exp(jnp.minimum(-t, most))) - jnp.log(self.scale)

    def _cdf(self, x: Array) -> Array:
        return jnp.exp(-jnp.exp(-self._standardise(x)))

    def _icdf(self, q: Array) -> Array:
        return self.loc - self.scale * jnp.log(-jnp.log(q))

    def _mean(self) -> Array:
        return self.loc + EULER_GAMMA * self.scale

    def _var(self) -> Array:
        return math.pi**2 / 6 * self.scale * self.scale

    def _entropy(self) -> Array:
        return jnp.log(self.scale) + (1 + EULER_GAMMA)

    def _standardise(self, x: Array) -> Array:
        return (x - self.loc) / self.scale


@family_kl_rule(Gumbel, Gumbel)
def _(p: Gumbel, q: Gumbel) -> Array:
    ratio, shift = p.scale / q.scale, (p.loc - q.loc) / q.scale
    return extreme_value_divergence(ratio, -shift)


def extreme_value_divergence(ratio: Array, shift: Array) -> Array:
    """gamma (ratio - 1) - log(ratio) - shift + e^m - 1 with m = log Gamma(1 + ratio) + shift.

    As a sum of terms >= 0, each of them of second order where the laws are equal.
    """
    log_moment = jax.lax.lgamma(1 + ratio) + shift
    one, two = jnp.ones_like(ratio), jnp.full_like(ratio, 2.0)
    bent = deviance(1 + ratio, two) + bregman_lgamma_less_deviance(1 + ratio, two)
    return exp_less_line(log_moment) + bent + deviance(one, ratio)
