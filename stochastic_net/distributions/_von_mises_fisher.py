"""The von Mises-Fisher distribution of directions."""

import functools
import math

import jax
import jax.numpy as jnp

from stochastic_net._types import Array, Key, Shape
from stochastic_net.distributions._direction import direction
from stochastic_net.distributions._family import Family, parameter
from stochastic_net.distributions._family_kl import family_kl_rule
from stochastic_net.distributions._height import Height, draw_height, height, log_size_divergence
from stochastic_net.distributions._support import nonnegative, sphere
from stochastic_net.distributions._triangular import times
from stochastic_net.random import normal
from stochastic_net.random._inverse import Coupling


class VonMisesFisher(Family):
    """Directions x in d >= 2 dimensions, density proportional to exp(concentration mu . x).

    x = w mu + sqrt(1 - w^2) v with the height w = mu . x and a uniform direction v orthogonal to
    mu = mean_direction. The gradient in the concentration is the implicit derivative of w, that in
    mu is of the reflection that takes the first axis to mu or -mu, normalised: both are unbiased,
    in any dimension. (A widely copied implementation differentiates the accepted proposal and
    leaves out that its acceptance changes too, which is right for d = 3 alone.) A concentration of
    0 is the uniform law.

    Args:
      mean_direction: of length 1, shape (..., d).
      concentration: not negative.

    Raises:
      TypeError, ValueError: no floating arrays; shapes that do not fit; a bad value.

    Example:
      >>> import jax.numpy as jnp, stochastic_net as sn
      >>> d = sn.distributions.VonMisesFisher(jnp.array([0.0, 0.0, 1.0]), 2.0)
      >>> print(f"{d.mean[2]:.4f}")  # coth(2) - 1/2
      0.5373
    """

    mean_direction: Array = parameter(sphere, event_ndim=1)
    concentration: Array = parameter(nonnegative)

    @property
    def support(self):
        """Vectors of length 1."""
        return sphere

    @property
    def event_shape(self) -> Shape:
        """(d,)."""
        return self.mean_direction.shape[-1:]

    @property
    def covariance(self) -> Array:
        """E (x - E x) (x - E x)^T, shape (*batch_shape, d, d)."""
        wide = self._spread(self.batch_shape)
        mu, (along, across) = wide._mu(), wide._spreads()
        outer = mu[..., :, None] * mu[..., None, :]
        eye = jnp.broadcast_to(jnp.eye(wide._dimension, dtype=mu.dtype), outer.shape)
        along, across = along[..., None, None], across[..., None, None]
        return (across * eye + (along - across) * outer).astype(self.dtype)

    def _check(self, need) -> None:
        if self._dimension < 2:
            raise ValueError(
                "VonMisesFisher needs a mean_direction of shape (..., d) with d >= 2, got shape "
                f"{self.mean_direction.shape}."
            )

    def _sample(self, key: Key, shape: Shape, coupling: Coupling = "fast") -> Array:
        height_key, direction_key = jax.random.split(key)
        t = draw_height(height_key, self.concentration, self._dimension, coupling)[..., None]
        around = direction(normal(direction_key, (*shape, self._dimension - 1), self.dtype))
        size = 1 + t * t
        return _turn(jnp.concatenate([(1 - t * t) / size, 2 * t / size * around], -1), self._mu())

    _smooth_sample = functools.partialmethod(_sample, coupling="smooth")

    def _log_prob(self, x: Array) -> Array:
        lag = 0.5 * jnp.square(x - self._mu()).sum(-1)  # 1 - mu . x
        return -self.concentration * lag - self._law().log_size - _log_band(self._dimension)

    def _mean(self) -> Array:
        return self._length(self._law())[..., None] * self._mu()

    def _var(self) -> Array:
        mu, (along, across) = self._mu(), self._spreads()
        square = jnp.square(mu)
        return along[..., None] * square + across[..., None] * (1 - square)

    def _entropy(self) -> Array:
        law = self._law()
        return 2 * self.concentration * law.mean + law.log_size + _log_band(self._dimension)

    @property
    def _dimension(self) -> int:
        return self.mean_direction.shape[-1]

    def _mu(self) -> Array:
        size = jnp.square(self.mean_direction).sum(-1, keepdims=True)
        return self.mean_direction / jnp.sqrt(size)

    def _law(self) -> Height:
        return height(self.concentration, self._dimension)

    def _length(self, law: Height) -> Array:
        """E mu . x, by integration by parts: it does not cancel at small concentrations."""
        return self.concentration * law.sine / (self._dimension - 1)

    def _spreads(self) -> tuple[Array, Array]:
        """The variances along the mean direction and across it."""
        law = self._law()
        return 4 * law.var, law.sine / (self._dimension - 1)


@family_kl_rule(VonMisesFisher, VonMisesFisher)
def _(p: VonMisesFisher, q: VonMisesFisher) -> Array:
    law = p._law()
    sizes = log_size_divergence(p.concentration, q.concentration, law, p._dimension)
    lag = 0.5 * jnp.square(p._mu() - q._mu()).sum(-1)
    return sizes + q.concentration * p._length(law) * lag


def _turn(x: Array, mu: Array) -> Array:
    """The image of x under a rotation or reflection that takes the first axis to mu.

    That which takes it to mu or -mu, whichever is further, so that nothing cancels; then a change
    of sign. It jumps where mu is orthogonal to the first axis, and the law of the draw does not.
    """
    side = jnp.where(mu[..., :1] < 0, -1.0, 1.0).astype(mu.dtype)
    first = jnp.broadcast_to(jnp.arange(mu.shape[-1]) == 0, mu.shape)
    axis = mu + jnp.where(first, side, 0.0)
    # A product of matrices: XLA of jax 0.10 on CPU compiles the sum of axis * x wrongly under
    # jit(vmap(jacfwd)), so that a draw and what is differentiated there are not the same numbers.
    scale = times(axis[..., None, :], x) / (1 + abs(mu[..., :1]))  # |axis|^2 / 2
    return side * (axis * scale - x)


def _log_band(dimension: int) -> float:
    """log of half the area of the sphere of directions around the mean direction.

    e^(-kappa (1 - w)) over the sphere is that area times e^-E over y = logit z, halved.
    """
    half = 0.5 * (dimension - 1)
    return half * math.log(math.pi) - math.lgamma(half)
