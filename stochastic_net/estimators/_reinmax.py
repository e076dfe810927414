"""The second-order straight-through estimator."""

import jax
import jax.numpy as jnp

from stochastic_net._types import Array, Key, PyTree
from stochastic_net.estimators._estimator import Bias, Function, estimator
from stochastic_net.estimators._relaxed import Coin, Relaxation, hard_draws, relaxations
from stochastic_net.estimators._surrogate import moved
from stochastic_net.estimators._target import target


@estimator(bias=Bias("scale of f", 3))
def reinmax(f: Function, dist: PyTree, key: Key, *, num_samples: int = 1) -> Array:
    r"""Straight through by the trapezoid rule: biased, O(h^3) for f(z) = g(h z).

    With p = E z and q = (z + p)/2 the gradient is the mean of f'(z) (2 J(q) - J(p)/2), J(p) the
    derivative of a softmax (a sigmoid) where it is p: exact for a quadratic f of any number of
    variables.

    Args:
      f: differentiable, as for `pathwise`; it gets floats.
      dist: Bernoulli and OneHotCategorical variables.
      key, num_samples: as for `pathwise`.

    Raises:
      TypeError: other distributions.

    Example:
      >>> import jax, stochastic_net as sn
      >>> coin, keys = sn.distributions.Bernoulli(0.0), jax.random.split(jax.random.key(1), 4000)
      >>> value = lambda d, key: sn.estimators.reinmax(lambda z: (z - 0.2) ** 2, d, key)
      >>> grads = jax.vmap(jax.grad(value), (None, 0))(coin, keys)
      >>> print(f"{grads.logits.mean():.2f}")  # ((1 - 0.2)^2 - 0.2^2) / 4
      0.15

    Source: Liu, Dong, Liu, Yu & Gao (2023, "Bridging discrete and backpropagation: straight-through
    and beyond", arXiv:2304.08612, algorithm 2 at temperature 1).
    """
    goal = target(f, dist, key, num_samples)
    laws = relaxations(goal, "reinmax")
    draws = hard_draws(goal, laws, key)
    return goal.values(
        [moved(z, _towards(law, z)) for law, z in zip(laws, draws, strict=True)]
    ).mean(0)


def _towards(law: Relaxation, z: Array) -> Array:
    """What moves with the logits as the derivative says."""
    p = jnp.broadcast_to(law.probs(), z.shape)
    q = jax.lax.stop_gradient(0.5 * (z + p))
    theta = jnp.broadcast_to(law.logits, z.shape)
    still = jax.lax.stop_gradient(theta)
    theta = jnp.where(jnp.isinf(still), 0.0, theta - still)  # 0, and moves
    if isinstance(law, Coin):
        at_q = q * (1 - q) * theta
    else:
        at_q = q * (theta - (q * theta).sum(-1, keepdims=True))
    return 2 * at_q - 0.5 * p
