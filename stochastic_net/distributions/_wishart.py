"""The Wishart distribution of positive definite matrices."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from stochastic_net._types import Array, Key, Shape
from stochastic_net.distributions._family import Family, parameter
from stochastic_net.distributions._family_kl import family_kl_rule
from stochastic_net.distributions._matrix_support import lower_cholesky, positive_definite
from stochastic_net.distributions._support import positive
from stochastic_net.distributions._triangular import (
    diagonal,
    excess,
    log_excess,
    on_diagonal,
    outer_square,
)
from stochastic_net.random import chisquare, normal
from stochastic_net.random._inverse import Coupling
from stochastic_net.random._stirling import (
    LOG_2PI,
    bregman_lgamma_less_deviance,
    deviance,
    digamma_less_log,
    log_gamma_kernel,
    stirling_error,
)


class Wishart(Family):
    """Symmetric positive definite D x D matrices: sums of outer products of normal vectors.

    z = (scale_tril A)(scale_tril A)^T by Bartlett's decomposition: A is lower triangular, normal
    below its diagonal, with independent A_ii^2 of a chi-square law with concentration - i degrees
    of freedom (i from 0). The gradients to both parameters are unbiased, that in the concentration
    by the implicit derivative of the chi-squares. The concentration need not be whole. When it is
    near D - 1, draws may be singular to rounding.

    Args:
      concentration: the degrees of freedom, above D - 1.
      scale_tril: lower triangular with a positive diagonal, shape (..., D, D); the mean is
        concentration * scale_tril @ scale_tril^T.

    Raises:
      TypeError, ValueError: no floating arrays; shapes that do not fit; a bad value.

    Example:
      >>> import jax.numpy as jnp, stochastic_net as sn
      >>> print(sn.distributions.Wishart(3.0, jnp.eye(2)).mean)
      [[3. 0.]
       [0. 3.]]

    Source: Bartlett (1933, "On the theory of statistical regression").
    """

    concentration: Array = parameter(positive)
    scale_tril: Array = parameter(lower_cholesky, event_ndim=2)

    @property
    def support(self):
        """Symmetric positive definite matrices."""
        return positive_definite

    @property
    def event_shape(self) -> Shape:
        """(D, D)."""
        return self.scale_tril.shape[-2:]

    def _check(self, need) -> None:
        if self.event_shape[0] != self.event_shape[1]:
            raise ValueError(
                f"scale_tril of Wishart must have shape (..., D, D), got {self.scale_tril.shape}."
            )
        below = self._dimension - 1
        message = f"Wishart needs a concentration above D - 1 = {below}."
        need(lambda concentration: concentration > below, self.concentration, message)

    def _sample(self, key: Key, shape: Shape, coupling: Coupling = "fast") -> Array:
        normal_key, size_key = jax.random.split(key)
        below = jnp.tril(normal(normal_key, shape + self.event_shape, self.dtype), -1)
        degrees = 2 * self._shapes()
        square = chisquare(size_key, degrees, degrees.shape, self.dtype, coupling=coupling)
        factor = below + on_diagonal(jnp.sqrt(square))
        return outer_square(jnp.matmul(self.scale_tril, factor, precision="highest"))

    _smooth_sample = functools.partialmethod(_sample, coupling="smooth")

    def _log_prob(self, x: Array) -> Array:
        factor = jax.scipy.linalg.solve_triangular(
            self.scale_tril, jnp.linalg.cholesky(x), lower=True
        )
        size = diagonal(factor)
        below = 0.5 * jnp.square(jnp.tril(factor, -1)).sum((-2, -1))
        along = log_gamma_kernel(self._shapes(), 0.5 * size * size)
        along = along - self._powers() * jnp.log(size)
        return along.sum(-1) - below - self._log_volume() - self._log_2pi()

    def _mean(self) -> Array:
        return self._per_matrix(self.concentration) * outer_square(self.scale_tril)

    def _var(self) -> Array:
        scale = outer_square(self.scale_tril)
        own = diagonal(scale)
        both = own[..., :, None] * own[..., None, :]
        return self._per_matrix(self.concentration) * (scale * scale + both)

    def _entropy(self) -> Array:
        a = self._shapes()
        log_size = 0.5 * (jnp.log(2 * a) + digamma_less_log(a))  # E log A_ii
        along = 0.5 * (LOG_2PI - jnp.log(a)) + stirling_error(a) - a * digamma_less_log(a)
        along = along + self._powers() * log_size
        return along.sum(-1) + self._log_volume() + self._log_2pi() + self._pairs / 2

    @property
    def _dimension(self) -> int:
        return self.event_shape[0]

    @property
    def _pairs(self) -> float:
        return self._dimension * (self._dimension - 1) / 2

    def _shapes(self) -> Array:
        """(concentration - i) / 2: the shapes of the gamma variates A_ii^2 / 2."""
        return 0.5 * (self.concentration[..., None] - _places(self))

    def _powers(self) -> Array:
        """D + 1 - i: of A_ii, in the volume of z for that of log A_ii."""
        return self._dimension + 1 - _places(self)

    def _log_volume(self) -> Array:
        """The logarithm of the volume of scale_tril z scale_tril^T for that of z."""
        return (self._dimension + 1) * jnp.log(diagonal(self.scale_tril)).sum(-1)

    def _log_2pi(self) -> float:
        return 0.5 * self._pairs * math.log(2 * math.pi)

    def _per_matrix(self, x: Array) -> Array:
        return x[..., None, None]


def _places(d: Wishart) -> Array:
    """0 to D - 1, along the last axis of an array over the batch."""
    places = np.arange(d._dimension, dtype=d.dtype)
    return jnp.broadcast_to(places, (*d.concentration.shape, d._dimension))


@family_kl_rule(Wishart, Wishart)
def _(p: Wishart, q: Wishart) -> Array:
    """Bartlett's variates one by one: terms that are positive, exact where p and q nearly agree."""
    a, b = p._shapes(), q._shapes()
    p_own, q_own = diagonal(p.scale_tril), diagonal(q.scale_tril)
    ratio = p_own / q_own
    along = bregman_lgamma_less_deviance(b, a) + deviance(b, a * ratio * ratio)
    square = jnp.square(ratio - 1) + 2 * log_excess(p_own, q_own)  # r^2 - 1 - log r^2
    below = jnp.square(jnp.tril(excess(p.scale_tril, q.scale_tril), -1)).sum((-2, -1))
    return (along + 0.5 * _places(p) * square).sum(-1) + 0.5 * p.concentration * below
