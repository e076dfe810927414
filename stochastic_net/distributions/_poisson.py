"""The Poisson distribution."""

import jax
import jax.numpy as jnp
from jax import lax

from stochastic_net._types import Array, Key, Shape
from stochastic_net.distributions._family import Family, parameter
from stochastic_net.distributions._family_kl import family_kl_rule
from stochastic_net.distributions._masses import gamma_masses
from stochastic_net.distributions._no_pathwise import refuse_gradient
from stochastic_net.distributions._support import counts, positive
from stochastic_net.random._stirling import deviance, log_poisson


class Poisson(Family):
    """Counts with P(k) = rate^k exp(-rate) / k!.

    Draws are int32, by `jax.random.poisson`, which loops until the slowest element is accepted; a
    rate above 2^31 is drawn as the largest int32. A draw has no pathwise gradient: differentiating
    one raises, and names the estimators that would do.

    Args:
      rate: positive.

    Raises:
      TypeError, ValueError: no floating arrays; shapes that do not broadcast; a bad value.

    Example:
      >>> import stochastic_net as sn
      >>> print(sn.distributions.Poisson(3.0).var)
      3.0
    """

    rate: Array = parameter(positive)

    @property
    def support(self):
        """The integers from 0 on."""
        return counts

    def _sample(self, key: Key, shape: Shape) -> Array:
        draw = poisson(key, lax.stop_gradient(self.rate))
        return refuse_gradient("Poisson", draw, {"rate": self.rate})

    def _log_prob(self, x: Array) -> Array:
        return log_poisson(x, self.rate)

    def _cdf(self, x: Array) -> Array:
        return gamma_masses(x + 1, self.rate, jnp.log(self.rate))[1]

    def _mean(self) -> Array:
        return self.rate

    def _var(self) -> Array:
        return self.rate


@family_kl_rule(Poisson, Poisson)
def _(p: Poisson, q: Poisson) -> Array:
    return deviance(p.rate, q.rate)


def poisson(key: Key, rate: Array) -> Array:
    """int32 draws, with a key of any implementation: `jax.random.poisson` takes threefry's only."""
    words = jax.random.bits(key, (2,), jnp.uint32)
    own = jax.random.wrap_key_data(words, impl="threefry2x32")
    return jax.random.poisson(own, jnp.minimum(rate, 2.0e9), rate.shape, jnp.int32)
