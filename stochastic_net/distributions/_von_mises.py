"""The von Mises distribution of angles."""

import math

import jax.numpy as jnp
from jax.scipy.special import i0e, i1e

from stochastic_net._types import Array, Key, Shape
from stochastic_net.distributions._family import Family, parameter
from stochastic_net.distributions._family_kl import family_kl_rule
from stochastic_net.distributions._support import interval, nonnegative, real
from stochastic_net.random import von_mises
from stochastic_net.random._stirling import LOG_2PI, bend


class VonMises(Family):
    """Angles with a density proportional to exp(concentration cos(z - loc)).

    Drawn by `sn.random.von_mises` and brought to [-pi, pi]; the derivative in the concentration is
    implicit. It is unbiased for functions of the angle that have the period 2 pi. `mean` is the
    mean direction, `var` the circular variance 1 - E cos(z - loc).

    Args:
      loc: the mean direction, in radians.
      concentration: not negative; 0 is the uniform law.

    Raises:
      TypeError, ValueError: no floating arrays; shapes that do not broadcast; a bad value.

    Example:
      >>> import stochastic_net as sn
      >>> print(sn.distributions.VonMises(0.5, 2.0).mean)
      0.5
    """

    loc: Array = parameter(real)
    concentration: Array = parameter(nonnegative)

    @property
    def support(self):
        """Angles from -pi to pi."""
        return interval(-math.pi, math.pi)

    def _sample(self, key: Key, shape: Shape) -> Array:
        return _wrap(self.loc + von_mises(key, self.concentration, shape, self.dtype))

    def _log_prob(self, x: Array) -> Array:
        half_sine = jnp.sin(0.5 * (x - self.loc))
        size = LOG_2PI + jnp.log(i0e(self.concentration))
        return -2 * self.concentration * half_sine * half_sine - size

    def _mean(self) -> Array:
        return _wrap(self.loc)

    def _var(self) -> Array:
        return circular_variance(self.concentration)

    def _entropy(self) -> Array:
        size = LOG_2PI + jnp.log(i0e(self.concentration))
        return size + self.concentration * circular_variance(self.concentration)


@family_kl_rule(VonMises, VonMises)
def _(p: VonMises, q: VonMises) -> Array:
    half_sine = jnp.sin(0.5 * (p.loc - q.loc))
    along = 1 - circular_variance(p.concentration)
    turned = 2 * q.concentration * along * half_sine * half_sine
    return _bent(q.concentration, p.concentration) + turned


def _bent(q: Array, p: Array) -> Array:
    """log I0(q) - log I0(p) - (q - p) I1(p) / I0(p)."""
    direct = jnp.log(i0e(q)) - jnp.log(i0e(p)) + (q - p) * circular_variance(p)
    return bend(lambda k: 1 - circular_variance(k), q, p, 1 + p, direct)


def circular_variance(k: Array) -> Array:
    """1 - I1(k) / I0(k); by its asymptotic series where the difference would cancel."""
    far = k > 20
    s = 1 / jnp.where(far, k, 20.0)
    series = jnp.polyval(jnp.array(_SERIES, k.dtype), s, unroll=16) * s
    near = jnp.where(far, 1.0, k)
    return jnp.where(far, series, 1 - i1e(near) / i0e(near))


def _wrap(angle: Array) -> Array:
    return angle - 2 * math.pi * jnp.round(angle / (2 * math.pi))


# 1 - I1(k) / I0(k) = 1/(2k) + 1/(8k^2) + 1/(8k^3) + 25/(128k^4) + ..., highest power first.
_SERIES = (1073 / 1024, 13 / 32, 25 / 128, 1 / 8, 1 / 8, 1 / 2)
