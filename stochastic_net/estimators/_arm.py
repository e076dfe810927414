"""Two coins of one uniform number, ARM."""

from stochastic_net._types import Array, Key, PyTree
from stochastic_net.estimators._coupled_coins import coupled, difference
from stochastic_net.estimators._estimator import Function, estimator
from stochastic_net.estimators._relaxed import coins
from stochastic_net.estimators._target import target


@estimator(independent=True)
def arm(f: Function, dist: PyTree, key: Key, *, num_samples: int = 2) -> Array:
    r"""Flip coins by u and by 1 - u, augment, reinforce, merge: unbiased.

    With z = [u < p] and z' = [1 - u < p], p = sigmoid(logits), a pair gives the gradient

      (f(z) - f(z')) (1/2 - u).

    `disarm` is its average given z and z', never worse. First derivatives in the logits.

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
      >>> coins = sn.distributions.Bernoulli(jnp.zeros(3))
      >>> value = lambda d, key: sn.estimators.arm(jnp.max, d, key)
      >>> print(jax.grad(value)(coins, jax.random.key(0)).logits.shape)
      (3,)

    Source: Yin & Zhou (2019, "ARM: augment-REINFORCE-merge gradient for stochastic binary
    networks", arXiv:1807.11143).
    """
    goal = target(f, dist, key, num_samples, multiple=2)
    laws = coins(goal, "arm")
    pair = coupled(goal, laws, key)
    return difference(goal, laws, pair, [0.5 - u for u in pair.uniform])
