"""Draws by inversion of scrambled Sobol points."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from stochastic_net._types import Array, ArrayLike, Key, Shape
from stochastic_net.distributions import Bernoulli, Gaussian
from stochastic_net.distributions._no_pathwise import refuse_gradient
from stochastic_net.estimators._coupled import Coupled
from stochastic_net.estimators._target import shape_of
from stochastic_net.random import compute_dtype, reparameterize

_BITS = 32


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["law"], meta_fields=["start", "dimension"]
)
@dataclasses.dataclass(frozen=True, eq=False)
class Spread(Coupled):
    """`law`, drawn from the coordinates `start` on of Sobol points in `dimension` dimensions."""

    start: int
    dimension: int

    @property
    def shape(self) -> Shape:
        """That of the law."""
        return shape_of(self.law)

    def sample(self, key: Key, shape: Shape = ()) -> Array:
        """`shape` draws of the law, even together."""
        num_samples, size = (shape or (1,))[0], int(np.prod(self.shape))
        points = sobol_points(num_samples, self.dimension)[:, self.start : self.start + size]
        u = uniform(scramble(key, points), self.law.dtype).reshape(num_samples, *self.shape)
        return invert(self.law, u.reshape(*shape, *self.shape))

    def log_prob(self, value: ArrayLike) -> Array:
        """That of the law."""
        return self.law.log_prob(value)


def sobol_points(num_samples: int, dimension: int) -> np.ndarray:
    """The first points as 32 binary digits, shape (num_samples, dimension), uint32."""
    from scipy.stats import qmc

    least = max(num_samples - 1, 0).bit_length()
    sequence = qmc.Sobol(dimension, scramble=False, bits=_BITS)
    points = sequence.random_base2(least)[:num_samples]
    return np.round(points * 2.0**_BITS).astype(np.uint32)


def scramble(key: Key, points: np.ndarray) -> Array:
    """Each coordinate times a random lower triangular matrix of bits, and shifted, modulo 2.

    A digit of the product depends on its own and the more significant ones, so that intervals of
    binary fractions are permuted and the points stay as even as they were.
    """
    matrix_key, shift_key = jax.random.split(key)
    dimension = points.shape[1]
    rows = jax.random.bits(matrix_key, (_BITS, dimension), jnp.uint32)
    place = jnp.arange(_BITS, dtype=jnp.uint32)[:, None]  # of the digit, the most significant first
    own = jnp.uint32(1 << (_BITS - 1)) >> place
    above = ~(own | (own - jnp.uint32(1)))
    rows = (rows & jnp.broadcast_to(above, rows.shape)) | jnp.broadcast_to(own, rows.shape)
    x = jnp.asarray(points)

    def digit(carry: Array, row_place: tuple[Array, Array]) -> tuple[Array, None]:
        row, shift = row_place
        parity = lax.population_count(x & jnp.broadcast_to(row, x.shape)) & jnp.uint32(1)
        return carry | (parity << shift), None

    shifts = jnp.uint32(_BITS - 1) - place[:, 0]
    product, _ = lax.scan(digit, jnp.zeros_like(x), (rows, shifts))
    shift = jax.random.bits(shift_key, (dimension,), jnp.uint32)
    return product ^ jnp.broadcast_to(shift, x.shape)


def uniform(bits: Array, dtype: Any) -> Array:
    """A number in the open interval (0, 1); in float32 the nearest of 2^24 midpoints."""
    wide = compute_dtype(dtype)
    keep = 23 if wide == jnp.float32 else _BITS
    return ((bits >> jnp.uint32(_BITS - keep)).astype(wide) + 0.5) * 2.0**-keep


def invert(law: Any, u: Array) -> Array:
    """The quantiles u, which move with the parameters of the law."""
    if isinstance(law, Bernoulli):
        p = jnp.broadcast_to(lax.stop_gradient(law.probs), u.shape)
        return refuse_gradient("Bernoulli", (u < p).astype(jnp.int32), {"logits": law.logits})
    if isinstance(law, Gaussian):
        return law.icdf(u)

    def quantile(_: Array, law: Any) -> Array:
        return law.icdf(u)

    def cdf(z: Array, law: Any) -> Array:
        return law.cdf(z)

    return reparameterize(quantile, cdf)(u, law)
