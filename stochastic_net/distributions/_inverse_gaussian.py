"""The inverse Gaussian (Wald) distribution."""

import math

import jax.numpy as jnp
from jax.scipy.special import ndtr

from stochastic_net._types import Array, Key, Shape
from stochastic_net.distributions._family import Family, parameter
from stochastic_net.distributions._family_kl import family_kl_rule
from stochastic_net.distributions._support import positive
from stochastic_net.random import wald
from stochastic_net.random._mills import mills
from stochastic_net.random._stirling import LOG_2PI, deviance


class InverseGaussian(Family):
    """The first passage of a drifting Brownian motion: mean `loc`, variance loc^3 / concentration.

    The density is sqrt(c / (2 pi z^3)) exp(-c (z - loc)^2 / (2 loc^2 z)), c = concentration. Drawn
    by `sn.random.wald`, with a derivative in `loc` that `jax.random.wald` gets wrong.

    Args:
      loc: the mean; positive.
      concentration: positive.

    Raises:
      TypeError, ValueError: no floating arrays; shapes that do not broadcast; a bad value.

    Example:
      >>> import stochastic_net as sn
      >>> print(sn.distributions.InverseGaussian(2.0, 4.0).var)
      2.0
    """

    loc: Array = parameter(positive)
    concentration: Array = parameter(positive, 1.0)

    @property
    def support(self):
        """The numbers above 0."""
        return positive

    def _sample(self, key: Key, shape: Shape) -> Array:
        unit = wald(key, self.loc / self.concentration, shape, self.dtype)
        return self.concentration * unit

    def _log_prob(self, x: Array) -> Array:
        t = self._distance(x)
        return 0.5 * (jnp.log(self.concentration) - 3 * jnp.log(x) - LOG_2PI - t * t)

    def _cdf(self, x: Array) -> Array:
        t = self._distance(x)
        mirrored = jnp.sqrt(self.concentration / x) * (x / self.loc + 1)
        # exp(2 c / loc) Q(mirrored), its exponentials combined: they overflow apart
        return ndtr(t) + jnp.exp(-0.5 * t * t) * mills(mirrored) / math.sqrt(2 * math.pi)

    def _mean(self) -> Array:
        return self.loc

    def _var(self) -> Array:
        return self.loc / self.concentration * self.loc * self.loc

    def _distance(self, x: Array) -> Array:
        """(x - loc) / loc in units of sqrt(x / c): standard normal, but for its sign's skew."""
        return jnp.sqrt(self.concentration / x) * ((x - self.loc) / self.loc)


@family_kl_rule(InverseGaussian, InverseGaussian)
def _(p: InverseGaussian, q: InverseGaussian) -> Array:
    distance = (p.loc - q.loc) / q.loc
    shape = deviance(jnp.ones_like(p.loc), q.concentration / p.concentration)
    return 0.5 * (shape + q.concentration / p.loc * distance * distance)
