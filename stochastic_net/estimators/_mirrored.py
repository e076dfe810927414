"""Draws in pairs that mirror each other: each has the law, and together they have little noise."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from stochastic_net._types import Array, ArrayLike, Key, Shape
from stochastic_net.distributions import (
    Bernoulli,
    Cauchy,
    Gaussian,
    Laplace,
    Logistic,
    StudentT,
    Uniform,
)
from stochastic_net.distributions import _noise as noise
from stochastic_net.distributions._no_pathwise import refuse_gradient
from stochastic_net.estimators._coupled import Coupled
from stochastic_net.estimators._target import shape_of
from stochastic_net.random import compute_dtype

Pair = Callable[[Any, Key, Shape], tuple[Array, Array]]
_PAIRS: dict[type, Pair] = {}


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Mirrored(Coupled):
    """`law`, whose draws with a leading axis are the first half and its mirror image."""

    @property
    def shape(self) -> Shape:
        """That of the law."""
        return shape_of(self.law)

    def sample(self, key: Key, shape: Shape = ()) -> Array:
        """Half of `shape` and half mirrored, along the leading axis."""
        if not shape or shape[0] % 2:
            raise ValueError(
                f"num_samples of an antithetic estimator must be even, got {shape or 1}."
            )
        half = (shape[0] // 2, *shape[1:])
        return jnp.concatenate(_PAIRS[type(self.law)](self.law, key, half))

    def log_prob(self, value: ArrayLike) -> Array:
        """That of the law."""
        return self.law.log_prob(value)


def mirrored(law: Any) -> Mirrored:
    """`law`, drawn in mirrored pairs.

    Raises:
      TypeError: its mirror image is not known.
    """
    if type(law) not in _PAIRS:
        known = ", ".join(sorted(kind.__name__ for kind in _PAIRS))
        raise TypeError(
            f"antithetic does not know the mirror image of a {type(law).__name__}: it knows those "
            f"of {known}. Teach it with sn.estimators.mirror_rule."
        )
    return Mirrored(law)


def mirror_rule(kind: type) -> Callable[[Pair], Pair]:
    """Register `(law, key, shape) -> (draws, mirrored draws)` for a type of distribution.

    Both have the law and move with its parameters; each element is the mirror image of the other's.

    Example:
      >>> import jax, stochastic_net as sn
      >>> @sn.estimators.mirror_rule(sn.distributions.Exponential)
      ... def _(law, key, shape):
      ...     u = jax.random.uniform(key, (*shape, *law.shape), law.dtype)
      ...     return law.icdf(u), law.icdf(1 - u)
    """

    def register(pair: Pair) -> Pair:
        _PAIRS[kind] = pair
        return pair

    return register


def _around(centre: Callable[[Any], Array]) -> Pair:
    def pair(law: Any, key: Key, shape: Shape) -> tuple[Array, Array]:
        z = law.sample(key, shape)
        twice = jnp.broadcast_to(centre(law), z.shape)
        return z, twice - z

    return pair


mirror_rule(Gaussian)(_around(lambda law: 2 * law.mean))
mirror_rule(Uniform)(_around(lambda law: law.low + law.high))
for _kind in (Laplace, Logistic, Cauchy, StudentT):
    mirror_rule(_kind)(_around(lambda law: 2 * law.loc))


@mirror_rule(Bernoulli)
def _(law: Bernoulli, key: Key, shape: Shape) -> tuple[Array, Array]:
    logits = lax.stop_gradient(law.logits).astype(compute_dtype(law.dtype))
    wide = jnp.broadcast_to(logits, (*shape, *law.shape))
    e = noise.logistic(key, wide.shape, wide.dtype)
    draws = (wide > e).astype(jnp.int32), (wide > -e).astype(jnp.int32)
    moving = {"logits": law.logits}
    return tuple(refuse_gradient("Bernoulli", z, moving) for z in draws)
