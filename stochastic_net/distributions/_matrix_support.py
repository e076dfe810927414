"""Sets of matrices, whose last two axes belong to one value."""

import dataclasses
from typing import ClassVar

import jax.numpy as jnp
from jax.typing import DTypeLike

from stochastic_net._types import Array
from stochastic_net.distributions._support import Support, slack
from stochastic_net.distributions._triangular import diagonal
from stochastic_net.random import compute_dtype


@dataclasses.dataclass(frozen=True, eq=False)
class LowerCholesky(Support):
    """Square lower triangular matrices with a positive diagonal."""

    event_ndim: ClassVar[int] = 2

    def excludes(self, x: Array) -> Array:
        """An infinite entry, one above the diagonal, or a diagonal that is not positive."""
        if x.shape[-2] != x.shape[-1]:
            return jnp.ones(x.shape[:-2], bool)
        above = (jnp.triu(x, 1) != 0) & ~jnp.isnan(x)
        return (above | jnp.isinf(x)).any((-2, -1)) | (diagonal(x) <= 0).any(-1)

    def interior(self, x: Array) -> Array:
        """The identity."""
        return jnp.broadcast_to(jnp.eye(*x.shape[-2:], dtype=x.dtype), x.shape)

    def __str__(self) -> str:
        return "a finite square lower triangular matrix with a positive diagonal"


@dataclasses.dataclass(frozen=True, eq=False)
class CorrelationCholesky(LowerCholesky):
    """Those whose rows have length 1, but for rounding: Cholesky factors of correlations."""

    def excludes(self, x: Array) -> Array:
        """Also a row of another length."""
        return self.excludes_rounded(x, x.dtype)

    def excludes_rounded(self, x: Array, dtype: DTypeLike) -> Array:
        """The same, of lengths that are 1 but for the rounding to `dtype`."""
        lengths = jnp.square(x).sum(-1)
        return super().excludes(x) | (abs(lengths - 1) > slack(x, dtype)).any(-1)


@dataclasses.dataclass(frozen=True, eq=False)
class PositiveDefinite(Support):
    """Symmetric matrices, but for rounding, that have a Cholesky factor in their precision."""

    event_ndim: ClassVar[int] = 2

    def excludes(self, x: Array) -> Array:
        """An infinite entry, an asymmetric pair of them, or a negative direction."""
        if x.shape[-2] != x.shape[-1]:
            return jnp.ones(x.shape[:-2], bool)
        infinite, unknown = jnp.isinf(x).any((-2, -1)), jnp.isnan(x).any((-2, -1))
        sound = jnp.where((infinite | unknown)[..., None, None], self.interior(x), x)
        scale = jnp.sqrt(abs(diagonal(sound)))
        bound = slack(x, x.dtype) * scale[..., :, None] * scale[..., None, :]
        skew = (abs(sound - sound.mT) > bound).any((-2, -1))
        factor = jnp.linalg.cholesky(sound.astype(compute_dtype(x.dtype)))
        return infinite | (~unknown & (skew | jnp.isnan(factor).any((-2, -1))))

    def interior(self, x: Array) -> Array:
        """The identity."""
        return LowerCholesky().interior(x)

    def __str__(self) -> str:
        return "a symmetric positive definite matrix"


lower_cholesky = LowerCholesky()
correlation_cholesky = CorrelationCholesky()
positive_definite = PositiveDefinite()
