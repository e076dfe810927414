"""Discrete draws as the hard end of continuous ones: z = hard(x), x = logits + noise."""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
from jax import lax

from stochastic_net._types import Array, ArrayLike, Key
from stochastic_net.distributions import Bernoulli, OneHotCategorical
from stochastic_net.distributions import _noise as noise
from stochastic_net.estimators._target import Target
from stochastic_net.random import checked, compute_dtype


class Coin(NamedTuple):
    """Bernoulli: x = logits + logistic noise, and z = 1 where x > 0."""

    logits: Array

    def perturbed(self, key: Key, samples: int) -> Array:
        """x: logistic noise around the logits, with which it moves."""
        wide = _repeat(self.logits, samples)
        return wide + noise.logistic(key, wide.shape, wide.dtype)

    def hard(self, x: Array) -> Array:
        """z, 1 or 0, as floats."""
        return (x > 0).astype(x.dtype)

    def soft(self, x: Array, temperature: Array | float) -> Array:
        """A sigmoid."""
        return jax.nn.sigmoid(x / temperature)

    def given(self, key: Key, z: Array) -> Array:
        """x given z, which moves with the logits: its odds, of those of one uniform number."""
        e = noise.logistic(key, z.shape, self.logits.dtype)
        wide = jnp.broadcast_to(self.logits, z.shape)
        sure = jnp.isinf(wide)
        wide = jnp.where(sure, 0.0, wide)
        up = jax.nn.softplus(e + jax.nn.softplus(wide))
        down = jax.nn.softplus(e + jax.nn.softplus(-wide))
        return jnp.where(sure, jnp.where(z > 0, jnp.inf, -jnp.inf), jnp.where(z > 0, up, -down))

    def probs(self) -> Array:
        """E z, the probability of 1."""
        return jax.nn.sigmoid(self.logits)

    def score(self, z: Array) -> Array:
        """dlog p(z)/dlogits."""
        return z - jnp.broadcast_to(self.probs(), z.shape)


class OneHot(NamedTuple):
    """OneHotCategorical: x = log-probabilities + Gumbel noise, and z = 1 where x is largest."""

    logits: Array

    def perturbed(self, key: Key, samples: int) -> Array:
        """x: Gumbel noise around the log-probabilities, with which it moves."""
        wide = _repeat(jax.nn.log_softmax(self.logits), samples)
        return wide + noise.gumbel(key, wide.shape, wide.dtype)

    def hard(self, x: Array) -> Array:
        """z, a one-hot vector."""
        return jax.nn.one_hot(jnp.argmax(x, -1), x.shape[-1], dtype=x.dtype)

    def soft(self, x: Array, temperature: Array | float) -> Array:
        """A softmax."""
        return jax.nn.softmax(x / temperature)

    def given(self, key: Key, z: Array) -> Array:
        """x given z, which moves: the largest is a Gumbel variate, the others are those below."""
        e = noise.exponential(key, z.shape, self.logits.dtype)
        log_p = jnp.broadcast_to(jax.nn.log_softmax(self.logits), z.shape)
        never = log_p == -jnp.inf
        rate = jnp.exp(-jnp.where(never, 0.0, log_p))
        first = jnp.where(z > 0, e, 0.0).sum(-1, keepdims=True)
        x = -jnp.log(jnp.where(z > 0, first, e * rate + first))
        return jnp.where(never, -jnp.inf, x)

    def probs(self) -> Array:
        """E z, the probabilities."""
        return jax.nn.softmax(self.logits)

    def score(self, z: Array) -> Array:
        """dlog p(z)/dlogits."""
        return z - jnp.broadcast_to(self.probs(), z.shape)


Relaxation: TypeAlias = Coin | OneHot  # arrays of draws have a leading axis of samples


def positive(name: str, value: ArrayLike) -> Array:
    """A temperature as an array.

    Raises:
      ValueError: it is not positive.
    """
    array = jnp.asarray(value)
    return checked(_is_positive, array, f"{name} must be positive.")


def _is_positive(x: Array) -> Array:
    return x > 0


def relaxations(goal: Target, name: str) -> list[Relaxation]:
    """The laws of `goal`, which are to be Bernoulli or OneHotCategorical."""
    return [_relaxation(law, name) for law in goal.laws]


def coins(goal: Target, name: str) -> list[Coin]:
    """The laws of `goal`, which are to be Bernoulli."""
    for law in goal.laws:
        if not isinstance(law, Bernoulli):
            raise TypeError(
                f"{name} is for Bernoulli variables, got {type(law).__name__}. For others: "
                "leave_one_out, enumerate_support, without_replacement."
            )
    return [Coin(_wide(law.logits)) for law in goal.laws]


Laws = TypeVar("Laws", bound=Sequence[Any])


def fixed(laws: Laws) -> Laws:
    """The same, without derivatives."""
    return lax.stop_gradient(laws)


def hard_draws(goal: Target, laws: Sequence[Relaxation], key: Key) -> list[Array]:
    """`num_samples` draws as floats, without derivatives: those of the laws themselves."""
    drawn = goal.fixed_draw(key)
    return [z.astype(law.logits.dtype) for law, z in zip(laws, drawn, strict=True)]


def _relaxation(law: Any, name: str) -> Relaxation:
    if isinstance(law, Bernoulli):
        return Coin(_wide(law.logits))
    if isinstance(law, OneHotCategorical):
        return OneHot(_wide(law.logits))
    raise TypeError(
        f"{name} is for Bernoulli and OneHotCategorical variables, got {type(law).__name__}. For "
        "others: leave_one_out, enumerate_support (a Categorical: take its OneHotCategorical)."
    )


def _wide(logits: Array) -> Array:
    """Noise is drawn, and f called, in float32 where the logits have 16 bits."""
    return logits.astype(compute_dtype(logits.dtype))


def _repeat(array: Array, samples: int) -> Array:
    return jnp.broadcast_to(array, (samples, *array.shape))
