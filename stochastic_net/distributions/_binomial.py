"""The binomial distribution."""

import jax
import jax.numpy as jnp
from jax import lax

from stochastic_net._types import Array, ArrayLike, Key, Shape
from stochastic_net.distributions._bernoulli import trial_divergence
from stochastic_net.distributions._family import Family, parameter
from stochastic_net.distributions._family_kl import family_kl_rule
from stochastic_net.distributions._masses import beta_masses
from stochastic_net.distributions._no_pathwise import refuse_gradient
from stochastic_net.distributions._stable import BEND, beyond_bend, logit, probabilities
from stochastic_net.distributions._support import Integers, counts, real
from stochastic_net.random import require_if_concrete
from stochastic_net.random._stirling import log_binomial


class Binomial(Family):
    """The number of successes in `total_count` trials, each with probability sigmoid(logits).

    Draws are int32, by `jax.random.binomial`, which loops until the slowest element is accepted;
    counts above 2^24 are rounded as float32 is. A draw has no pathwise gradient: differentiating
    one raises, and names the estimators that would do.

    Args:
      total_count: how many trials; integers, not negative. A leaf that is not differentiated.
      logits: log-odds of success. Have probabilities? `Binomial.from_probs(total_count, probs)`.

    Raises:
      TypeError, ValueError: no floating arrays; shapes that do not broadcast; a bad value.

    Example:
      >>> import stochastic_net as sn
      >>> print(sn.distributions.Binomial.from_probs(10, 0.25).mean)
      2.5
    """

    total_count: Array = parameter(counts)
    logits: Array = parameter(real)

    @property
    def support(self):
        """0 to `total_count`."""
        return Integers(0, self._count())

    @classmethod
    def from_probs(cls, total_count: ArrayLike, probs: ArrayLike) -> "Binomial":
        """The distribution with the probability of a success given."""
        return cls(total_count, logit(probabilities(probs)))  # pyrefly: ignore

    @property
    def probs(self) -> Array:
        """The probability of a success."""
        return jax.nn.sigmoid(self.logits)

    def _sample(self, key: Key, shape: Shape) -> Array:
        logits, n = lax.stop_gradient(self.logits), self._count()
        rare = jax.random.binomial(key, n, jax.nn.sigmoid(-abs(logits)), shape, self.dtype)
        draw = jnp.where(logits > 0, n - rare, rare).astype(jnp.int32)
        return refuse_gradient("Binomial", draw, {"logits": self.logits})

    def _log_prob(self, x: Array) -> Array:
        n, near = self._count(), jnp.clip(self.logits, -BEND, BEND)
        log_prob = log_binomial(x, n, jax.nn.sigmoid(near), jax.nn.sigmoid(-near))
        return log_prob + beyond_bend(self.logits, x, n - x)

    def _cdf(self, x: Array) -> Array:
        n = jnp.maximum(self._count(), 1.0)
        p, q = jax.nn.sigmoid(self.logits), jax.nn.sigmoid(-self.logits)
        return beta_masses(jnp.maximum(n - x, 1.0), x + 1, q, p)[0]

    def _mean(self) -> Array:
        return self._count() * jax.nn.sigmoid(self.logits)

    def _var(self) -> Array:
        return self._mean() * jax.nn.sigmoid(-self.logits)

    def _enumerate(self) -> Array:
        if isinstance(self.total_count, jax.core.Tracer):
            raise TypeError(
                "enumerate_support needs a total_count that is known when the function is traced: "
                "close over it, or pass it as a static argument of jax.jit."
            )
        with jax.ensure_compile_time_eval():  # it may be closed over by a traced function
            most = int(self.total_count.max(initial=0))
        return jnp.arange(most + 1, dtype=jnp.int32)

    def _count(self) -> Array:
        return self.total_count.astype(self.dtype)


@family_kl_rule(Binomial, Binomial)
def _(p: Binomial, q: Binomial) -> Array:
    message = (
        "kl of two Binomials is closed for equal total_count only; their differences must be 0."
    )
    require_if_concrete(lambda d: d == 0, p.total_count - q.total_count, message)
    return p._count() * trial_divergence(p.logits, q.logits)
