"""The normal distribution between two bounds."""

import math

import jax.numpy as jnp
import numpy as np

from stochastic_net._types import Array, Key, Shape
from stochastic_net.distributions._family import Family, parameter
from stochastic_net.distributions._support import interval, not_nan, positive, real
from stochastic_net.random import truncated_normal
from stochastic_net.random._mills import central_mass, tail_mass
from stochastic_net.random._stirling import LOG_2PI


class TruncatedGaussian(Family):
    """Normal elements given that they lie between `low` and `high`; NumPyro's TruncatedNormal.

    `loc` and `scale` are the mean and the deviation before the truncation. Drawn by
    `sn.random.truncated_normal`: exact and with unbiased gradients in all four parameters however
    far out the bounds lie. Bounds may be infinite.

    Args:
      loc: real floating array, or a number.
      scale: positive.
      low: below `high`.
      high: above `low`.

    Raises:
      TypeError, ValueError: no floating arrays; shapes that do not broadcast; a bad value.

    Example:
      >>> import stochastic_net as sn
      >>> print(sn.distributions.TruncatedGaussian(low=-1.0, high=1.0).mean)
      0.0
    """

    loc: Array = parameter(real, 0.0)
    scale: Array = parameter(positive, 1.0)
    low: Array = parameter(not_nan, -math.inf)
    high: Array = parameter(not_nan, math.inf)

    @property
    def support(self):
        """From `low` to `high`, included where they are finite."""
        return interval(self.low, self.high)

    def _check(self, need) -> None:
        low, high = jnp.broadcast_arrays(self.low, self.high)
        message = "TruncatedGaussian needs low < high; high - low must be > 0."
        need(lambda width: width > 0, high - low, message)

    def _sample(self, key: Key, shape: Shape) -> Array:
        low, high = self._bounds()
        return self.loc + self.scale * truncated_normal(key, low, high, shape, self.dtype)

    def _log_prob(self, x: Array) -> Array:
        t = self._standardise(x)
        return -0.5 * (t * t + LOG_2PI) - jnp.log(self.scale) - _log_mass(*self._bounds())

    def _cdf(self, x: Array) -> Array:
        low, high = self._bounds()
        return jnp.exp(_log_mass(low, self._standardise(x)) - _log_mass(low, high))

    def _mean(self) -> Array:
        mode, _, mean, _ = self._moments()
        return self.loc + self.scale * (mode + mean)

    def _var(self) -> Array:
        return jnp.square(self.scale) * self._moments()[3]

    def _entropy(self) -> Array:
        mode, size, mean, var = self._moments()
        return jnp.log(self.scale * size) + mode * mean + 0.5 * (mean * mean + var)

    def _standardise(self, x: Array) -> Array:
        return (x - self.loc) / self.scale

    def _bounds(self) -> tuple[Array, Array]:
        """The bounds in units of the deviation; those beyond 1e15 are as good as infinite."""
        return self._bound(self.low), self._bound(self.high)

    def _bound(self, bound: Array) -> Array:
        infinite = jnp.isinf(bound)  # its derivative is 0, not the NaN of inf / scale^2
        t = self._standardise(jnp.where(infinite, self.loc, bound))
        return jnp.where(infinite, jnp.sign(bound) * _FAR, jnp.clip(t, -_FAR, _FAR))

    def _moments(self) -> tuple[Array, Array, Array, Array]:
        """The standard mode m; and of d = t - m the size of exp(-m d - d^2/2), mean and variance.

        By quadrature over where the density is not negligible: closed forms cancel in the tails.
        """
        low, high = self._bounds()
        mode = jnp.clip(jnp.zeros_like(low), low, high)
        reach = 160 / (abs(mode) + jnp.sqrt(mode * mode + 160))  # there it has fallen by exp(-80)
        start, end = jnp.maximum(low - mode, -reach), jnp.minimum(high - mode, reach)
        nodes, weights = (jnp.asarray(w, low.dtype) for w in np.polynomial.legendre.leggauss(96))
        middle, half = 0.5 * (start + end)[..., None], 0.5 * (end - start)[..., None]
        d = middle + half * nodes.reshape((1,) * low.ndim + (-1,))
        weights = weights.reshape((1,) * low.ndim + (-1,))
        density = half * weights * jnp.exp(-d * (mode[..., None] + 0.5 * d))
        size = density.sum(-1)
        mean = (density * d).sum(-1) / size
        return mode, size, mean, (density * jnp.square(d - mean[..., None])).sum(-1) / size


def _log_mass(low: Array, high: Array) -> Array:
    """log(Phi(high) - Phi(low)), relatively accurate in both tails and for near bounds."""
    mirrored = high <= 0
    low, high = jnp.where(mirrored, -high, low), jnp.where(mirrored, -low, high)
    inner = jnp.maximum(low, 0.0)
    straddles = low < 0
    around = central_mass(jnp.where(straddles, -low, 1.0)) + central_mass(jnp.maximum(high, 0.0))
    beyond = tail_mass(inner, jnp.where(straddles, 1.0, high - inner))
    mass = jnp.where(straddles, around, beyond)
    return jnp.log(mass) - 0.5 * (inner * inner + LOG_2PI)


_FAR = 1e15
