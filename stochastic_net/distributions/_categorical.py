"""The categorical distribution, as an index and as a one-hot vector."""

import jax
import jax.numpy as jnp
from jax import lax

from stochastic_net._types import Array, ArrayLike, Key, Shape
from stochastic_net.distributions import _noise
from stochastic_net.distributions._family import Family, parameter
from stochastic_net.distributions._family_kl import family_kl_rule
from stochastic_net.distributions._no_pathwise import refuse_gradient
from stochastic_net.distributions._stable import log_deviance, probabilities
from stochastic_net.distributions._support import Integers, not_nan, one_hot


class Categorical(Family):
    """A class from 0 to K - 1, with probability softmax(logits).

    Draws are int32. A draw has no pathwise gradient: differentiating
    one raises, and names the estimators that would do.

    Args:
      logits: shape (..., K), the logarithms of weights, of which -inf means never. Have
        probabilities? `Categorical.from_probs(probs)`.

    Raises:
      TypeError, ValueError: no floating arrays; shapes that do not broadcast; a bad value.

    Example:
      >>> import stochastic_net as sn
      >>> import jax.numpy as jnp
      >>> d = sn.distributions.Categorical.from_probs(jnp.array([0.5, 0.25, 0.25]))
      >>> print(d.shape, f"{jnp.exp(d.log_prob(0)):.2f}")
      () 0.50
    """

    logits: Array = parameter(not_nan, event_ndim=1)

    @property
    def support(self):
        """The classes, 0 to K - 1."""
        return Integers(0, self.logits.shape[-1] - 1)

    @classmethod
    def from_probs(cls, probs: ArrayLike) -> "Categorical":
        """The distribution with the probabilities given, shape (..., K).

        The gradient in a probability of exactly 0 is NaN: its logarithm is infinite.
        """
        return cls(jnp.log(probabilities(probs)))

    @property
    def probs(self) -> Array:
        """The probability of each class, shape (..., K)."""
        return jax.nn.softmax(self.logits)

    def _check(self, need) -> None:
        _require_weight(self.logits, need)

    def _sample(self, key: Key, shape: Shape) -> Array:
        draw = _gumbel_max(key, self.logits).astype(jnp.int32)
        return refuse_gradient("Categorical", draw, {"logits": self.logits})

    def _log_prob(self, x: Array) -> Array:
        log_probs = jax.nn.log_softmax(self.logits)
        return jnp.take_along_axis(log_probs, x.astype(jnp.int32)[..., None], -1)[..., 0]

    def _cdf(self, x: Array) -> Array:
        below = _classes(self.logits) <= x[..., None]
        return jnp.where(below, jax.nn.softmax(self.logits), 0.0).sum(-1)

    def _mean(self) -> Array:
        return (self.probs * _classes(self.logits)).sum(-1)

    def _var(self) -> Array:
        distance = _classes(self.logits) - self._mean()[..., None]
        return (self.probs * jnp.square(distance)).sum(-1)

    def _entropy(self) -> Array:
        return _entropy(self.logits)

    def _enumerate(self) -> Array:
        return jnp.arange(self.logits.shape[-1], dtype=jnp.int32)


class OneHotCategorical(Family):
    """A class as a vector of K numbers, one of them 1 and the others 0.

    Draws have the dtype of the logits. A draw has no pathwise gradient: differentiating one
    raises, and names the estimators that would do.

    Args:
      logits: shape (..., K), as for `Categorical`. Have probabilities?
        `OneHotCategorical.from_probs(probs)`.

    Raises:
      TypeError, ValueError: no floating array; no axis of classes; a bad value.

    Example:
      >>> import jax.numpy as jnp, stochastic_net as sn
      >>> d = sn.distributions.OneHotCategorical.from_probs(jnp.array([0.5, 0.25, 0.25]))
      >>> print(d.batch_shape, d.event_shape, d.mean)
      () (3,) [0.5  0.25 0.25]
    """

    logits: Array = parameter(not_nan, event_ndim=1)

    @property
    def support(self):
        """Vectors with a single 1 among zeros."""
        return one_hot

    @property
    def event_shape(self) -> Shape:
        """(K,)."""
        return self.logits.shape[-1:]

    @classmethod
    def from_probs(cls, probs: ArrayLike) -> "OneHotCategorical":
        """The distribution with the probabilities given, shape (..., K).

        The gradient in a probability of exactly 0 is NaN: its logarithm is infinite.
        """
        return cls(jnp.log(probabilities(probs)))

    @property
    def probs(self) -> Array:
        """The probability of each class, shape (..., K)."""
        return jax.nn.softmax(self.logits)

    def _check(self, need) -> None:
        _require_weight(self.logits, need)

    def _sample(self, key: Key, shape: Shape) -> Array:
        chosen = _gumbel_max(key, self.logits)
        draw = jax.nn.one_hot(chosen, self.logits.shape[-1], dtype=self.dtype)
        return refuse_gradient("OneHotCategorical", draw, {"logits": self.logits})

    def _log_prob(self, x: Array) -> Array:
        return jnp.where(x == 1, jax.nn.log_softmax(self.logits), 0.0).sum(-1)

    def _mean(self) -> Array:
        return self.probs

    def _var(self) -> Array:
        return self.probs * (1 - self.probs)

    def _entropy(self) -> Array:
        return _entropy(self.logits)

    def _enumerate(self) -> Array:
        return jnp.eye(self.logits.shape[-1], dtype=self.logits.dtype)


@family_kl_rule(Categorical, Categorical)
@family_kl_rule(OneHotCategorical, OneHotCategorical)
def _(p: Categorical | OneHotCategorical, q: Categorical | OneHotCategorical) -> Array:
    if p.logits.shape[-1] != q.logits.shape[-1]:
        raise ValueError(
            f"kl(p, q) needs the same classes, got {p.logits.shape[-1]} and {q.logits.shape[-1]}."
        )
    return log_deviance(jax.nn.log_softmax(p.logits), jax.nn.log_softmax(q.logits)).sum(-1)


def _gumbel_max(key: Key, logits: Array) -> Array:
    noise = _noise.gumbel(key, logits.shape, logits.dtype)
    return jnp.argmax(lax.stop_gradient(logits) + noise, -1)


def _entropy(logits: Array) -> Array:
    log_probs = jax.nn.log_softmax(logits)
    absent = log_probs == -jnp.inf
    return -(jnp.exp(log_probs) * jnp.where(absent, 0.0, log_probs)).sum(-1)


def _classes(logits: Array) -> Array:
    """0 to K - 1 along the last axis, in the dtype and at the shape of the logits."""
    return lax.broadcasted_iota(logits.dtype, logits.shape, logits.ndim - 1)


def _require_weight(logits: Array, need) -> None:
    if logits.shape[-1:] in ((), (0,)):
        raise ValueError(f"logits need one class or more, got shape {logits.shape}.")
    need(jnp.isfinite, logits.max(-1), "the largest of the logits must be finite.")
