"""The geometric distribution."""

import jax
import jax.numpy as jnp
from jax import lax

from stochastic_net._types import Array, ArrayLike, Key, Shape
from stochastic_net.distributions import _noise
from stochastic_net.distributions._bernoulli import count_divergence
from stochastic_net.distributions._family import Family, parameter
from stochastic_net.distributions._family_kl import family_kl_rule
from stochastic_net.distributions._no_pathwise import refuse_gradient
from stochastic_net.distributions._stable import logit, probabilities, softplus_ratio, to_int32
from stochastic_net.distributions._support import counts, real


class Geometric(Family):
    """The number of failures before the first success, of probability sigmoid(logits).

    Draws are int32, by inverse cdf from 64 random bits; a count above 2^31 - 1 is drawn as that. A
    draw has no pathwise gradient: differentiating one raises, and names the estimators that would
    do.

    Args:
      logits: log-odds of success. Have probabilities? `Geometric.from_probs(probs)`.

    Raises:
      TypeError, ValueError: no floating arrays; shapes that do not broadcast; a bad value.

    Example:
      >>> import stochastic_net as sn
      >>> print(sn.distributions.Geometric.from_probs(0.25).mean)
      3.0
    """

    logits: Array = parameter(real)

    @property
    def support(self):
        """The integers from 0 on."""
        return counts

    @classmethod
    def from_probs(cls, probs: ArrayLike) -> "Geometric":
        """The distribution with the probability of a success given."""
        return cls(logit(probabilities(probs)))

    @property
    def probs(self) -> Array:
        """The probability of a success."""
        return jax.nn.sigmoid(self.logits)

    def _sample(self, key: Key, shape: Shape) -> Array:
        e = _noise.exponential(key, shape, self.dtype)
        count = jnp.floor(e / jax.nn.softplus(lax.stop_gradient(self.logits)))
        return refuse_gradient("Geometric", to_int32(count), {"logits": self.logits})

    def _log_prob(self, x: Array) -> Array:
        return -x * jax.nn.softplus(self.logits) - jax.nn.softplus(-self.logits)

    def _cdf(self, x: Array) -> Array:
        return -jnp.expm1(-(x + 1) * jax.nn.softplus(self.logits))

    def _mean(self) -> Array:
        return jnp.exp(-self.logits)

    def _var(self) -> Array:
        return jnp.exp(-self.logits) * (1 + jnp.exp(-self.logits))

    def _entropy(self) -> Array:
        return jax.nn.softplus(-self.logits) + softplus_ratio(self.logits)


@family_kl_rule(Geometric, Geometric)
def _(p: Geometric, q: Geometric) -> Array:
    return count_divergence(-p.logits, -q.logits)
