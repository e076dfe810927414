"""The LKJ distribution of correlations, as their Cholesky factor."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from stochastic_net._types import Array, Key, Shape
from stochastic_net.distributions._direction import direction
from stochastic_net.distributions._dirichlet import dirichlet_divergence
from stochastic_net.distributions._family import parameter
from stochastic_net.distributions._family_kl import family_kl_rule
from stochastic_net.distributions._matrix_support import correlation_cholesky
from stochastic_net.distributions._static_family import StaticFamily
from stochastic_net.distributions._support import positive
from stochastic_net.distributions._triangular import diagonal, on_diagonal
from stochastic_net.random import beta, normal
from stochastic_net.random._inverse import Coupling
from stochastic_net.random._stirling import digamma_less_log, lgamma_increment, log_beta


class LKJCholesky(StaticFamily):
    """Cholesky factors L of D x D correlations with density proportional to det(L L^T)^(c - 1).

    c = concentration; 1 is the uniform law on correlations L L^T, each of which has the marginal
    (1 + r) / 2 ~ Beta(c + D/2 - 1, c + D/2 - 1). Drawn by the onion method: row i (from 0) is a
    direction times the root of a Beta(i/2, c + (D - 1 - i)/2) variate, whose implicit derivative
    makes the gradient in the concentration unbiased. `log_prob` is the density of the entries below
    the diagonal.

    Args:
      dimension: D, an int of 2 or more; it is static, a part of the pytree's structure.
      concentration: positive.

    Raises:
      TypeError, ValueError: no floating array; a bad dimension; a bad value.

    Example:
      >>> import jax.numpy as jnp, stochastic_net as sn
      >>> d = sn.distributions.LKJCholesky(2, concentration=1.0)
      >>> print(f"{jnp.exp(d.log_prob(jnp.eye(2))):.4f}")  # a correlation uniform on (-1, 1)
      0.5000

    Source: Lewandowski, Kurowicka & Joe (2009, "Generating random correlation matrices based on
    vines and extended onion method").
    """

    dimension: int
    concentration: Array = parameter(positive, 1.0)

    @property
    def support(self):
        """Lower triangular matrices with a positive diagonal and rows of length 1."""
        return correlation_cholesky

    @property
    def event_shape(self) -> Shape:
        """(D, D)."""
        return (self.dimension, self.dimension)

    def _check(self, need) -> None:
        if not isinstance(self.dimension, int) or self.dimension < 2:
            raise ValueError(
                f"dimension of LKJCholesky must be an int of 2 or more, got {self.dimension!r}."
            )

    def _sample(self, key: Key, shape: Shape, coupling: Coupling = "fast") -> Array:
        direction_key, size_key = jax.random.split(key)
        noise = normal(direction_key, shape + self.event_shape, self.dtype)
        inside, rest = self._lengths(size_key, coupling)
        below = direction(jnp.tril(noise, -1)[..., 1:, :]) * jnp.sqrt(inside)[..., None]
        own = jnp.concatenate([jnp.ones_like(rest[..., :1]), jnp.sqrt(rest)], -1)
        return jnp.concatenate([jnp.zeros_like(below[..., :1, :]), below], -2) + on_diagonal(own)

    _smooth_sample = functools.partialmethod(_sample, coupling="smooth")

    def _lengths(self, key: Key, coupling: Coupling) -> tuple[Array, Array]:
        """The squared lengths of the rows off the diagonal, and 1 less them, of D - 1 rows.

        The one with the smaller expectation is drawn, for it may be near 0.
        """
        a, b = self._shapes()
        swap = b < a
        shapes = jnp.where(swap, b, a), jnp.where(swap, a, b)
        x = beta(key, *shapes, a.shape, self.dtype, coupling=coupling)
        return jnp.where(swap, 1 - x, x), jnp.where(swap, x, 1 - x)

    def _log_prob(self, x: Array) -> Array:
        a, b = self._shapes()
        log_own = jnp.log(diagonal(x)[..., 1:])
        return (2 * (b - 1) * log_own - log_beta(a, b)).sum(-1) + self._log_spheres()

    def _mean(self) -> Array:
        a, b = self._shapes()
        own = jnp.sqrt(b / (a + b)) * jnp.exp(self._root_deficit())
        return on_diagonal(jnp.concatenate([jnp.ones_like(own[..., :1]), own], -1))

    def _var(self) -> Array:
        a, b = self._shapes()
        own = -jnp.expm1(2 * self._root_deficit()) * b / (a + b)
        each = jnp.concatenate([jnp.zeros_like(own[..., :1]), 0.5 / (a + b)], -1)
        below = jnp.tril(jnp.broadcast_to(each[..., None], (*each.shape, self.dimension)), -1)
        return below + on_diagonal(jnp.concatenate([jnp.zeros_like(own[..., :1]), own], -1))

    def _entropy(self) -> Array:
        a, b = self._shapes()
        log_rest = digamma_less_log(b) - digamma_less_log(a + b) - jnp.log1p(a / b)
        return (log_beta(a, b) - (b - 1) * log_rest).sum(-1) - self._log_spheres()

    def _shapes(self) -> tuple[Array, Array]:
        """i/2 and c + (D - 1 - i)/2 for i = 1 to D - 1, along a new last axis."""
        half = 0.5 * np.arange(1, self.dimension, dtype=self.dtype)
        a = jnp.broadcast_to(half, (*self.concentration.shape, self.dimension - 1))
        return a, self.concentration[..., None] + jnp.broadcast_to(half[::-1] - 0.5, a.shape)

    def _root_deficit(self) -> Array:
        """log E L_ii - log(E L_ii^2) / 2."""
        a, b = self._shapes()
        return lgamma_increment(b) - lgamma_increment(a + b)

    def _log_spheres(self) -> float:
        """-log of half the area of the spheres that the directions of the rows lie on."""
        halves = [0.5 * i for i in range(1, self.dimension)]
        return sum(math.lgamma(half) - half * math.log(math.pi) for half in halves)


@family_kl_rule(LKJCholesky, LKJCholesky)
def _(p: LKJCholesky, q: LKJCholesky) -> Array:
    p_shapes, q_shapes = (jnp.stack(d._shapes(), -1) for d in (p, q))
    return dirichlet_divergence(p_shapes, q_shapes).sum(-1)
