"""The normal distribution between two bounds."""

import math

import jax.numpy as jnp
import numpy as np
from jax import lax

from stochastic_net._types import Array, Key, Shape
from stochastic_net.distributions._family import Family, parameter
from stochastic_net.distributions._support import interval, not_nan, positive, real
from stochastic_net.random import truncated_normal
from stochastic_net.random._implicit import finite, moving
from stochastic_net.random._inverse import quantile
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
        return _log_density(*self._bounds(), self._standardise(x)) - jnp.log(self.scale)

    def _cdf(self, x: Array) -> Array:
        return self._masses(x)[0]

    def _icdf(self, q: Array) -> Array:
        low, high = self._bounds()
        z = _quantile(*lax.stop_gradient((low, high, q)))
        return self.loc + self.scale * _move(z, low, high, q)

    def _mean(self) -> Array:
        mode, _, mean, _ = self._moments()
        return self.loc + self.scale * (mode + mean)

    def _var(self) -> Array:
        return jnp.square(self.scale) * self._moments()[3]

    def _entropy(self) -> Array:
        mode, size, mean, var = self._moments()
        return jnp.log(self.scale * size) + mode * mean + 0.5 * (mean * mean + var)

    def _masses(self, x: Array) -> tuple[Array, Array]:
        return _shares(*self._bounds(), self._standardise(x))

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
        mode, start, end = _extent(low, high, 80.0)
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


def _shares(low: Array, high: Array, z: Array) -> tuple[Array, Array]:
    """The masses below and above z, in units of that between the bounds."""
    start, end, at = lax.stop_gradient((low, high, z))
    total = _log_mass(start, end)
    below, above = jnp.exp(_log_mass(start, at) - total), jnp.exp(_log_mass(at, end) - total)
    return _move_share(below, low, high, z), -_move_share(-above, low, high, z)


def _extent(low: Array, high: Array, depth: float) -> tuple[Array, Array, Array]:
    """The mode, and how far from it to either side the density has fallen by exp(-depth)."""
    mode = jnp.clip(jnp.zeros_like(low), low, high)
    reach = 2 * depth / (abs(mode) + jnp.sqrt(mode * mode + 2 * depth))
    return mode, jnp.maximum(low - mode, -reach), jnp.minimum(high - mode, reach)


def _quantile(low: Array, high: Array, q: Array) -> Array:
    mode, start, end = _extent(low, high, 800.0)
    return quantile(
        lambda z: _shares(low, high, z),
        lambda z: _log_density(low, high, z),
        q,
        1 - q,
        mode + start,
        mode + end,
    )


def _log_density(low: Array, high: Array, z: Array) -> Array:
    return -0.5 * (z * z + LOG_2PI) - _log_mass(low, high)


def _slopes(low: Array, high: Array, z: Array) -> tuple[Array, Array]:
    """How a draw moves with the bounds, (1 - F) p(low) / p(z) and F p(high) / p(z).

    By logarithms, for the factors overflow.
    """
    total = _log_mass(low, high)
    by_low = jnp.exp(_log_mass(z, high) - total + 0.5 * (z - low) * (z + low))
    return by_low, jnp.exp(_log_mass(low, z) - total + 0.5 * (z - high) * (z + high))


@moving
def _move(z: Array, low: Array, high: Array, q: Array) -> tuple[Array, Array, Array]:
    del q
    return *_slopes(low, high, z), finite(jnp.exp(-_log_density(low, high, z)))


@moving
def _move_share(below: Array, low: Array, high: Array, z: Array) -> tuple[Array, Array, Array]:
    del below
    density = jnp.exp(_log_density(low, high, z))
    by_low, by_high = _slopes(low, high, z)
    return -density * by_low, -density * by_high, density


_FAR = 1e15
