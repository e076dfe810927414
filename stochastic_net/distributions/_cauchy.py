"""The Cauchy distribution."""

import math

import jax.numpy as jnp

from stochastic_net._types import Array, Key, Shape
from stochastic_net.distributions import _noise
from stochastic_net.distributions._family import Family, parameter
from stochastic_net.distributions._family_kl import family_kl_rule
from stochastic_net.distributions._stable import log1p_square
from stochastic_net.distributions._support import positive, real


class Cauchy(Family):
    """Cauchy elements: the density is 1 / (pi scale (1 + t^2)) with t = (z - loc) / scale.

    It has no mean and no variance: both are NaN.

    Drawn by inverse cdf, z = loc + scale * e with e from 64 random bits: finite and right in both
    tails, with exact derivatives.

    Args:
      loc: real floating array, or a number.
      scale: positive.

    Raises:
      TypeError, ValueError: no floating arrays; shapes that do not broadcast; a bad value.

    Example:
      >>> import stochastic_net as sn
      >>> print(sn.distributions.Cauchy(0.0, 1.0).mean)
      nan
    """

    loc: Array = parameter(real, 0.0)
    scale: Array = parameter(positive, 1.0)

    @property
    def support(self):
        """The real line."""
        return real

    def _sample(self, key: Key, shape: Shape) -> Array:
        return self.loc + self.scale * _noise.cauchy(key, shape, self.dtype)

    def _log_prob(self, x: Array) -> Array:
        return -log1p_square(self._standardise(x)) - jnp.log(math.pi * self.scale)

    def _cdf(self, x: Array) -> Array:
        return jnp.arctan2(1.0, -self._standardise(x)) / math.pi

    def _icdf(self, q: Array) -> Array:
        tail = jnp.where(q < 0.5, q, 1 - q)  # minimum has no slope at 0.5
        size = 1 / jnp.tan(math.pi * tail)
        return self.loc + self.scale * jnp.where(q < 0.5, -size, size)

    def _mean(self) -> Array:
        return jnp.full_like(self.loc, jnp.nan)

    def _var(self) -> Array:
        return jnp.full_like(self.loc, jnp.nan)

    def _entropy(self) -> Array:
        return jnp.log(4 * math.pi * self.scale)

    def _standardise(self, x: Array) -> Array:
        return (x - self.loc) / self.scale


@family_kl_rule(Cauchy, Cauchy)
def _(p: Cauchy, q: Cauchy) -> Array:
    # Chyzak and Nielsen (2019, arXiv:1905.10965): log(((s + s')^2 + (l - l')^2) / (4 s s')).
    ratio = (p.scale - q.scale) / p.scale * ((p.scale - q.scale) / q.scale)
    distance = (p.loc - q.loc) / p.scale * ((p.loc - q.loc) / q.scale)
    return jnp.log1p(0.25 * (ratio + distance))
