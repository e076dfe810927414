"""ARM without the noise that its two coins do not show, DisARM."""

import jax
import jax.numpy as jnp

from stochastic_net._types import Array, Key, PyTree
from stochastic_net.estimators._coupled_coins import coupled, difference
from stochastic_net.estimators._estimator import Function, estimator
from stochastic_net.estimators._relaxed import coins
from stochastic_net.estimators._target import target


@estimator(independent=True)
def disarm(f: Function, dist: PyTree, key: Key, *, num_samples: int = 2) -> Array:
    r"""Flip coins by u and by 1 - u, and average over u given the two: unbiased.

    With z = [u < p] and z' = [1 - u < p], p = sigmoid(logits), a pair gives the gradient

      (f(z) - f(z')) (z - z') max(p, 1 - p) / 2,

    which is that of `arm` averaged over u given z and z'. The same estimator is known as U2G.
    First derivatives in the logits.

    Args:
      f: as for `pathwise`.
      dist: Bernoulli variables.
      key: one typed key, consumed.
      num_samples: even, for f is evaluated at pairs of draws.

    Raises:
      TypeError: other distributions; second derivatives in the logits.
      ValueError: an odd number of samples.

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> coin = sn.distributions.Bernoulli(jnp.zeros(()))
      >>> value = lambda d, key: sn.estimators.disarm(lambda z: 3.0 * z, d, key)
      >>> print(jax.grad(value)(coin, jax.random.key(0)).logits)  # p = 1/2: no variance
      0.75

    Source: Dong, Mnih & Tucker (2020, "DisARM: an antithetic gradient estimator for binary latent
    variables", arXiv:2006.10680); Yin, Ho, Yan, Qian & Zhou (2020, arXiv:2002.12508).
    """
    goal = target(f, dist, key, num_samples, multiple=2)
    laws = coins(goal, "disarm")
    pair = coupled(goal, laws, key)
    weights = [
        0.5 * (z - mirrored) * jax.nn.sigmoid(jnp.broadcast_to(abs(law.logits), z.shape))
        for law, z, mirrored in zip(laws, *pair.draws, strict=True)
    ]
    return difference(goal, laws, pair, weights)
