"""The normal distribution of a vector, with a full covariance."""

import jax.numpy as jnp

from stochastic_net._types import Array, ArrayLike, Key, Shape
from stochastic_net.distributions._arguments import broadcast_parameters
from stochastic_net.distributions._family import Family, parameter
from stochastic_net.distributions._matrix_support import lower_cholesky, positive_definite
from stochastic_net.distributions._support import real, real_vector
from stochastic_net.distributions._triangular import diagonal, outer_square, solve, times
from stochastic_net.random import checked, compute_dtype, normal
from stochastic_net.random._stirling import LOG_2PI


class MultivariateGaussian(Family):
    """Normal vectors with a full covariance, given by its Cholesky factor.

    z = loc + scale_tril @ eps with eps ~ N(0, 1): unbiased gradients to both parameters. Have the
    covariance itself? `MultivariateGaussian.from_covariance(loc, covariance_matrix)`.

    Args:
      loc: the mean, shape (..., D).
      scale_tril: lower triangular with a positive diagonal, shape (..., D, D); the covariance is
        scale_tril @ scale_tril^T.

    Raises:
      TypeError, ValueError: no floating arrays; shapes that do not fit; a bad value.

    Example:
      >>> import jax.numpy as jnp, stochastic_net as sn
      >>> tril = jnp.array([[1.0, 0.0], [1.0, 2.0]])
      >>> d = sn.distributions.MultivariateGaussian(jnp.zeros(2), tril)
      >>> print(d.event_shape, d.var)
      (2,) [1. 5.]
    """

    loc: Array = parameter(real, event_ndim=1)
    scale_tril: Array = parameter(lower_cholesky, event_ndim=2)

    @classmethod
    def from_covariance(
        cls, loc: ArrayLike, covariance_matrix: ArrayLike
    ) -> "MultivariateGaussian":
        """The distribution with this covariance, symmetric and positive definite.

        Example:
          >>> import jax.numpy as jnp
          >>> d = MultivariateGaussian.from_covariance(jnp.zeros(2), 4 * jnp.eye(2))
          >>> print(d.scale_tril[0])
          [2. 0.]
        """
        given = {"loc": loc, "covariance_matrix": covariance_matrix}
        loc, covariance = broadcast_parameters((), given).values()
        if covariance.ndim < 2 or covariance.shape[-2] != covariance.shape[-1]:
            raise ValueError(
                f"covariance_matrix must have shape (..., D, D), got shape {covariance.shape}."
            )
        message = f"covariance_matrix must be {positive_definite}."
        covariance = checked(positive_definite.contains, covariance, message)
        factor = jnp.linalg.cholesky(covariance.astype(compute_dtype(covariance.dtype)))
        return cls(loc, factor.astype(covariance.dtype))

    @property
    def support(self):
        """All finite vectors."""
        return real_vector

    @property
    def event_shape(self) -> Shape:
        """(D,)."""
        return self.loc.shape[-1:]

    @property
    def covariance(self) -> Array:
        """E (z - E z) (z - E z)^T, shape (*batch_shape, D, D)."""
        return outer_square(self._spread(self.batch_shape).scale_tril).astype(self.dtype)

    def _check(self, need) -> None:
        if self.scale_tril.shape[-2:] != 2 * self.event_shape:
            raise ValueError(
                "MultivariateGaussian needs loc of shape (..., D) and scale_tril of shape "
                f"(..., D, D), got {self.loc.shape} and {self.scale_tril.shape}."
            )

    def _sample(self, key: Key, shape: Shape) -> Array:
        eps = normal(key, shape + self.event_shape, self.dtype)
        return self.loc + times(self.scale_tril, eps)

    def _log_prob(self, x: Array) -> Array:
        t = solve(self.scale_tril, x - self.loc)
        return -0.5 * (t * t + LOG_2PI).sum(-1) - self._log_det()

    def _mean(self) -> Array:
        return self.loc

    def _var(self) -> Array:
        return jnp.square(self.scale_tril).sum(-1)

    def _entropy(self) -> Array:
        return 0.5 * self.event_shape[0] * (1 + LOG_2PI) + self._log_det()

    def _log_det(self) -> Array:
        return jnp.log(diagonal(self.scale_tril)).sum(-1)
