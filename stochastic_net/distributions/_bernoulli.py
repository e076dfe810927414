"""The Bernoulli distribution."""

import math

import jax
import jax.numpy as jnp
from jax import lax

from stochastic_net._types import Array, ArrayLike, Key, Shape
from stochastic_net.distributions import _noise
from stochastic_net.distributions._family import Family, parameter
from stochastic_net.distributions._family_kl import family_kl_rule
from stochastic_net.distributions._no_pathwise import refuse_gradient
from stochastic_net.distributions._stable import exp_less_linear, log_deviance, logit, probabilities
from stochastic_net.distributions._support import boolean, not_nan


class Bernoulli(Family):
    """Elements that are 1 with probability sigmoid(logits), else 0.

    Draws are int32. A draw has no pathwise gradient: differentiating
    one raises, and names the estimators that would do.

    Args:
      logits: log-odds of 1; may be infinite. Have probabilities? `Bernoulli.from_probs(probs)`.

    Raises:
      TypeError, ValueError: no floating arrays; shapes that do not broadcast; a bad value.

    Example:
      >>> import stochastic_net as sn
      >>> print(sn.distributions.Bernoulli.from_probs(0.25).mean)
      0.25
    """

    logits: Array = parameter(not_nan)

    @property
    def support(self):
        """0 and 1."""
        return boolean

    @classmethod
    def from_probs(cls, probs: ArrayLike) -> "Bernoulli":
        """The distribution with the probabilities of 1 given, from 0 to 1.

        Their gradient at 0 and 1 is NaN: the logit is infinite there.
        """
        return cls(logit(probabilities(probs)))

    @property
    def probs(self) -> Array:
        """The probability of 1."""
        return self.mean

    def _sample(self, key: Key, shape: Shape) -> Array:
        e = _noise.logistic(key, shape, self.dtype)
        draw = (lax.stop_gradient(self.logits) > e).astype(jnp.int32)
        return refuse_gradient("Bernoulli", draw, {"logits": self.logits})

    def _log_prob(self, x: Array) -> Array:
        return -jax.nn.softplus(jnp.where(x == 1, -self.logits, self.logits))

    def _cdf(self, x: Array) -> Array:
        return jax.nn.sigmoid(-self.logits)  # at 0; the base knows the rest

    def _mean(self) -> Array:
        return jax.nn.sigmoid(self.logits)

    def _var(self) -> Array:
        return jax.nn.sigmoid(self.logits) * jax.nn.sigmoid(-self.logits)

    def _entropy(self) -> Array:
        return trial_entropy(self.logits)

    def _enumerate(self) -> Array:
        return jnp.arange(2, dtype=jnp.int32)


@family_kl_rule(Bernoulli, Bernoulli)
def _(p: Bernoulli, q: Bernoulli) -> Array:
    return trial_divergence(p.logits, q.logits)


def trial_divergence(p: Array, q: Array) -> Array:
    """KL between Bernoulli laws, of their logits; exact where they nearly agree."""
    log_p = (-jax.nn.softplus(-p), -jax.nn.softplus(p))
    log_q = (-jax.nn.softplus(-q), -jax.nn.softplus(q))
    return log_deviance(log_p[0], log_q[0]) + log_deviance(log_p[1], log_q[1])


def count_divergence(p: Array, q: Array) -> Array:
    """KL between the counts of successes before a failure, of the logits of a success.

    1 / P(failure) times that of one trial, which underflows where the quotient is finite.
    """
    failure = exp_less_linear(jax.nn.softplus(p) - jax.nn.softplus(q))
    most = math.log(float(jnp.finfo(p.dtype).max)) - 1  # where the failures outweigh by far
    success = log_deviance(-jax.nn.softplus(-p), -jax.nn.softplus(-q))
    return failure + (1 + jnp.exp(jnp.minimum(p, most))) * success


def trial_entropy(logits: Array) -> Array:
    """Entropy of a Bernoulli law: 0 at infinite logits."""
    size = abs(logits)
    spread = jnp.where(jnp.isinf(size), 0.0, size)
    rare = jnp.where(jnp.isinf(size), 0.0, jax.nn.sigmoid(-size))
    return jax.nn.softplus(-size) + rare * spread
