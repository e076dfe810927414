"""The Gumbel-softmax distribution: a relaxed one-hot vector."""

import math

import jax
import jax.numpy as jnp

from stochastic_net._types import Array, Key, Shape
from stochastic_net.distributions import _noise
from stochastic_net.distributions._family import Family, parameter
from stochastic_net.distributions._support import positive, real, simplex


class GumbelSoftmax(Family):
    """Vectors of K positive numbers with sum 1, z = softmax((logits + g) / temperature).

    g are independent standard Gumbel variates. As the temperature tends to 0 the draw tends to a
    one-hot vector of probabilities softmax(logits), and its gradient's variance grows. The
    gradients to both parameters are unbiased for this law; as a stand-in for the discrete draw it
    is biased. Entries that round to 0 or 1 are the next number inside.

    Args:
      temperature: positive.
      logits: real, shape (..., K) with K >= 2.

    Raises:
      TypeError, ValueError: no floating arrays; shapes that do not fit; a bad value.

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> z = sn.distributions.GumbelSoftmax(0.01, jnp.zeros(3)).sample(jax.random.key(0))
      >>> print(z.shape, bool(z.min() > 0), bool(z.max() < 1))
      (3,) True True

    Source: Maddison, Mnih & Teh (2017, arXiv:1611.00712, the concrete distribution); Jang, Gu &
    Poole (2017, arXiv:1611.01144).
    """

    temperature: Array = parameter(positive)
    logits: Array = parameter(real, event_ndim=1)

    @property
    def support(self):
        """Vectors of positive numbers with sum 1."""
        return simplex

    @property
    def event_shape(self) -> Shape:
        """(K,)."""
        return self.logits.shape[-1:]

    def _check(self, need) -> None:
        if self.event_shape[0] < 2:
            raise ValueError(
                "GumbelSoftmax needs logits of shape (..., K) with K >= 2, got shape "
                f"{self.logits.shape}."
            )

    def _sample(self, key: Key, shape: Shape) -> Array:
        g = _noise.gumbel(key, shape + self.event_shape, self.dtype)
        return jax.nn.softmax((self.logits + g) / self.temperature[..., None])

    def _log_prob(self, x: Array) -> Array:
        log_x, classes = jnp.log(x), self.event_shape[0]
        shares = jax.nn.log_softmax(self.logits - self.temperature[..., None] * log_x)
        size = math.lgamma(classes) + (classes - 1) * jnp.log(self.temperature)
        return (shares - log_x).sum(-1) + size
