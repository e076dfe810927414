"""The normal distribution of a vector, with a covariance of low rank and a diagonal one."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular

from stochastic_net._types import Array, Key, Shape
from stochastic_net.distributions._family import Family, parameter
from stochastic_net.distributions._support import positive, real, real_vector
from stochastic_net.distributions._triangular import diagonal, on_diagonal, outer_square, times
from stochastic_net.random import normal
from stochastic_net.random._stirling import LOG_2PI


class LowRankGaussian(Family):
    """Normal vectors with covariance cov_factor @ cov_factor^T + diag(cov_diag).

    z = loc + cov_factor @ eps + sqrt(cov_diag) * eta with normal eps and eta: unbiased gradients to
    all parameters, at a cost that is linear in the dimension D. So is that of the log-density: by
    the matrix determinant lemma and, for the quadratic form, as the least squares

      (z - loc)^T cov^-1 (z - loc) = min_u |z - loc - cov_factor u|^2 / cov_diag + |u|^2,

    a sum of squares, where Woodbury's identity is a difference that loses its digits when cov_diag
    is small.

    Args:
      loc: the mean, shape (..., D).
      cov_factor: shape (..., D, R).
      cov_diag: positive, shape (..., D).

    Raises:
      TypeError, ValueError: no floating arrays; shapes that do not fit; a bad value.

    Example:
      >>> import jax.numpy as jnp, stochastic_net as sn
      >>> d = sn.distributions.LowRankGaussian(jnp.zeros(3), jnp.ones((3, 1)), jnp.ones(3))
      >>> print(d.var, d.covariance[0])
      [2. 2. 2.] [2. 1. 1.]
    """

    loc: Array = parameter(real, event_ndim=1)
    cov_factor: Array = parameter(real, event_ndim=2)
    cov_diag: Array = parameter(positive, event_ndim=1)

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
        return self._spread(self.batch_shape)._covariance().astype(self.dtype)

    def _check(self, need) -> None:
        shapes = self.loc.shape, self.cov_factor.shape, self.cov_diag.shape
        if not shapes[0][-1] == shapes[1][-2] == shapes[2][-1]:
            raise ValueError(
                "LowRankGaussian needs loc (..., D), cov_factor (..., D, R) and cov_diag (..., D), "
                f"got the shapes {shapes[0]}, {shapes[1]} and {shapes[2]}."
            )

    def _sample(self, key: Key, shape: Shape) -> Array:
        factor_key, diagonal_key = jax.random.split(key)
        eps = normal(factor_key, shape + self.cov_factor.shape[-1:], self.dtype)
        eta = normal(diagonal_key, shape + self.event_shape, self.dtype)
        return self.loc + times(self.cov_factor, eps) + jnp.sqrt(self.cov_diag) * eta

    def _log_prob(self, x: Array) -> Array:
        t = (x - self.loc) / jnp.sqrt(self.cov_diag)
        whitened = self._whitened()
        u = whitened.solve(t)
        residual = t - times(whitened.factor, u)
        square = jnp.square(residual).sum(-1) + jnp.square(u).sum(-1)
        return -0.5 * (square + self.event_shape[0] * LOG_2PI) - self._log_det()

    def _mean(self) -> Array:
        return self.loc

    def _var(self) -> Array:
        return jnp.square(self.cov_factor).sum(-1) + self.cov_diag

    def _entropy(self) -> Array:
        return 0.5 * self.event_shape[0] * (1 + LOG_2PI) + self._log_det()

    def _log_det(self) -> Array:
        """log det(cov) / 2."""
        size = abs(diagonal(self._whitened().root))
        return jnp.log(size).sum(-1) + 0.5 * jnp.log(self.cov_diag).sum(-1)

    def _covariance(self) -> Array:
        return outer_square(self.cov_factor) + on_diagonal(self.cov_diag)

    def _whitened(self) -> "Whitened":
        return whiten(self.cov_factor / jnp.sqrt(self.cov_diag)[..., None])


class Whitened(NamedTuple):
    """A factor A of 1 + A A^T, and the QR decomposition of [A; 1], of which R^T R = 1 + A^T A.

    Its condition number is the root of that of 1 + A^T A.
    """

    factor: Array
    orthogonal: Array
    root: Array

    def solve(self, t: Array) -> Array:
        """The u with the least |t - A u|^2 + |u|^2."""
        shadow = times(self.orthogonal[..., : t.shape[-1], :].mT, t)
        return solve_triangular(self.root, shadow[..., None], lower=False)[..., 0]


def whiten(factor: Array) -> Whitened:
    """The decomposition of a factor of shape (..., D, R)."""
    one = jnp.eye(factor.shape[-1], dtype=factor.dtype)
    stacked = jnp.concatenate([factor, jnp.broadcast_to(one, (*factor.shape[:-2], *one.shape))], -2)
    return Whitened(factor, *jnp.linalg.qr(stacked))
