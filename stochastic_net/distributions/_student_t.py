"""Student's t distribution."""

import functools

import jax.numpy as jnp

from stochastic_net._types import Array, Key, Shape
from stochastic_net.distributions._family import Family, parameter
from stochastic_net.distributions._masses import log_t_density, t_below
from stochastic_net.distributions._quantiles import t_quantile
from stochastic_net.distributions._stable import nan_unless
from stochastic_net.distributions._support import positive, real
from stochastic_net.random import t
from stochastic_net.random._inverse import Coupling
from stochastic_net.random._stirling import LOG_2PI, digamma_less_log, lgamma_increment


class StudentT(Family):
    """Elements with the power tail of t: z = loc + scale * N(0, 1) / sqrt(chi-square(df) / df).

    Drawn by `sn.random.t`; the derivative in `df` is implicit, the others are exact. The
    log-density tends to the normal one for large `df`, digits included.

    Args:
      df: degrees of freedom; positive.
      loc: real floating array, or a number.
      scale: positive.

    Raises:
      TypeError, ValueError: no floating arrays; shapes that do not broadcast; a bad value.

    Example:
      >>> import stochastic_net as sn
      >>> print(sn.distributions.StudentT(4.0).var)
      2.0
    """

    df: Array = parameter(positive)
    loc: Array = parameter(real, 0.0)
    scale: Array = parameter(positive, 1.0)

    @property
    def support(self):
        """The real line."""
        return real

    def _sample(self, key: Key, shape: Shape, coupling: Coupling = "fast") -> Array:
        unit = t(key, self.df, shape, self.dtype, coupling=coupling)
        return self.loc + self.scale * unit

    _smooth_sample = functools.partialmethod(_sample, coupling="smooth")

    def _log_prob(self, x: Array) -> Array:
        return log_t_density(self.df, (x - self.loc) / self.scale) - jnp.log(self.scale)

    def _cdf(self, x: Array) -> Array:
        return t_below(self.df, (x - self.loc) / self.scale)

    def _icdf(self, q: Array) -> Array:
        return self.loc + self.scale * t_quantile(self.df, q)

    def _mean(self) -> Array:
        return nan_unless(self.df > 1, self.loc)

    def _var(self) -> Array:
        spread = 1 + 2 / jnp.maximum(self.df - 2, 0.0)  # df / (df - 2)
        return nan_unless(self.df > 1, self.scale * self.scale * spread)

    def _entropy(self) -> Array:
        half = 0.5 * self.df
        slope = jnp.log1p(0.5 / half) + digamma_less_log(half + 0.5) - digamma_less_log(half)
        size = 0.5 * LOG_2PI + jnp.log(self.scale) - lgamma_increment(half)
        return size + (half + 0.5) * slope
