"""The straight-through estimator."""

import jax.numpy as jnp

from stochastic_net._types import Array, Key, PyTree
from stochastic_net.estimators._estimator import Bias, Function, estimator
from stochastic_net.estimators._relaxed import hard_draws, relaxations
from stochastic_net.estimators._surrogate import moved
from stochastic_net.estimators._target import target


@estimator(bias=Bias("scale of f", 2))
def straight_through(f: Function, dist: PyTree, key: Key, *, num_samples: int = 1) -> Array:
    r"""Differentiate as if the draw were its mean: biased, O(h^2) for f(z) = g(h z).

    The value is that at hard draws z. The gradient is the mean of f'(z) dp/dtheta with p = E z,
    exact for an f that is linear.

    Args:
      f: differentiable, as for `pathwise`; it gets floats.
      dist: Bernoulli and OneHotCategorical variables.
      key, num_samples: as for `pathwise`.

    Raises:
      TypeError: other distributions.

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> coins, w = sn.distributions.Bernoulli(jnp.zeros(2)), jnp.array([1.0, 2.0])
      >>> value = lambda d: sn.estimators.straight_through(lambda z: z @ w, d, jax.random.key(0))
      >>> print(jax.grad(value)(coins).logits)
      [0.25 0.5 ]

    Source: Bengio, Léonard & Courville (2013, arXiv:1308.3432).
    """
    goal = target(f, dist, key, num_samples)
    laws = relaxations(goal, "straight_through")
    draws = hard_draws(goal, laws, key)
    return goal.values(
        [
            moved(z, jnp.broadcast_to(law.probs(), z.shape))
            for law, z in zip(laws, draws, strict=True)
        ]
    ).mean(0)
