"""The negative binomial distribution."""

import jax
import jax.numpy as jnp
from jax import lax

from stochastic_net._types import Array, ArrayLike, Key, Shape
from stochastic_net.distributions._bernoulli import count_divergence
from stochastic_net.distributions._family import Family, parameter
from stochastic_net.distributions._family_kl import family_kl_rule
from stochastic_net.distributions._masses import beta_masses
from stochastic_net.distributions._no_pathwise import refuse_gradient
from stochastic_net.distributions._poisson import poisson
from stochastic_net.distributions._stable import BEND, beyond_bend, logit, probabilities
from stochastic_net.distributions._support import counts, positive, real
from stochastic_net.random import gamma, require_if_concrete
from stochastic_net.random._stirling import log_binomial


class NegativeBinomial(Family):
    """Successes, of probability sigmoid(logits), before the failure number `total_count`.

    As a Poisson draw whose rate is Gamma(total_count) exp(logits), which is how it is drawn;
    `total_count` is any positive number. Draws are int32. A draw has no pathwise gradient:
    differentiating one raises, and names the estimators that would do.

    Args:
      total_count: positive floating array, or a number.
      logits: log-odds of success. Have probabilities?
        `NegativeBinomial.from_probs(total_count, probs)`.

    Raises:
      TypeError, ValueError: no floating arrays; shapes that do not broadcast; a bad value.

    Example:
      >>> import stochastic_net as sn
      >>> print(sn.distributions.NegativeBinomial(3.0, 0.0).mean)
      3.0
    """

    total_count: Array = parameter(positive)
    logits: Array = parameter(real)

    @property
    def support(self):
        """The integers from 0 on."""
        return counts

    @classmethod
    def from_probs(cls, total_count: ArrayLike, probs: ArrayLike) -> "NegativeBinomial":
        """The distribution with the probability of a success given."""
        return cls(jnp.asarray(total_count), logit(probabilities(probs)))

    @property
    def probs(self) -> Array:
        """The probability of a success."""
        return jax.nn.sigmoid(self.logits)

    def _sample(self, key: Key, shape: Shape) -> Array:
        count, logits = lax.stop_gradient((self.total_count, self.logits))
        for_rate, for_draw = jax.random.split(key)
        rate = gamma(for_rate, count, shape, self.dtype) * jnp.exp(logits)
        draw = poisson(for_draw, rate)
        parameters = {"total_count": self.total_count, "logits": self.logits}
        return refuse_gradient("NegativeBinomial", draw, parameters)

    def _log_prob(self, x: Array) -> Array:
        n, near = self.total_count, jnp.clip(self.logits, -BEND, BEND)
        p, q = jax.nn.sigmoid(near), jax.nn.sigmoid(-near)
        trials = n + x  # but the last one, which failed
        log_prob = log_binomial(n, trials, q, p) - jnp.log1p(x / n)
        return log_prob + beyond_bend(self.logits, x, n)

    def _cdf(self, x: Array) -> Array:
        p, q = jax.nn.sigmoid(self.logits), jax.nn.sigmoid(-self.logits)
        return beta_masses(self.total_count, x + 1, q, p)[0]

    def _mean(self) -> Array:
        return self.total_count * jnp.exp(self.logits)

    def _var(self) -> Array:
        return self._mean() * (1 + jnp.exp(self.logits))


@family_kl_rule(NegativeBinomial, NegativeBinomial)
def _(p: NegativeBinomial, q: NegativeBinomial) -> Array:
    message = (
        "kl of two NegativeBinomials is closed for equal total_count only; their differences must "
        "be 0."
    )
    require_if_concrete(lambda d: d == 0, p.total_count - q.total_count, message)
    return p.total_count * count_divergence(p.logits, q.logits)
