"""Leave-one-out with first-order expansions of f as control variates."""

import jax
import jax.numpy as jnp

from stochastic_net._types import Array, ArrayLike, Key, PyTree
from stochastic_net.estimators._estimator import Function, estimator
from stochastic_net.estimators._expansions import (
    expansions,
    mean_of_others,
    scalar_values,
)
from stochastic_net.estimators._relaxed import fixed, hard_draws, relaxations
from stochastic_net.estimators._score_function import others
from stochastic_net.estimators._surrogate import slope
from stochastic_net.estimators._target import sum_of, target


@estimator(independent=True)
def double_control_variate(
    f: Function,
    dist: PyTree,
    key: Key,
    *,
    num_samples: int = 2,
    scale: ArrayLike = 1.0,
) -> Array:
    r"""Take first-order expansions of f away and give back their expectation: unbiased.

    With g_j = df/dz at the sample z_j, mu = E z and means over the other samples,

      c_k = scale mean_{j != k} g_j . (z_k - mu),    h_k = f(z_k) - c_k,

    the gradient is the mean over the samples of

      (h_k - mean_{j != k} h_j) dlog p(z_k)/dtheta + scale g_k . dmu/dtheta.

    c_k is linear in z_k with a slope that is independent of it, so that what it takes away has the
    expectation that the last term gives back; it makes the baseline better as well. For a linear f
    and scale = 1 no variance is left. First derivatives in the logits.

    Args:
      f: differentiable, scalar; it gets floats.
      dist: Bernoulli and OneHotCategorical variables.
      key: one typed key, consumed.
      num_samples: two or more; f is evaluated and differentiated once at each.
      scale: 0 is `leave_one_out`. A number, or an array trained by `second_moment`.

    Raises:
      TypeError: other distributions; second derivatives in the logits.
      ValueError: one sample; f is not scalar.

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> coins, w = sn.distributions.Bernoulli(jnp.zeros(2)), jnp.array([1.0, 2.0])
      >>> value = lambda d, k: sn.estimators.double_control_variate(lambda z: z @ w, d, k)
      >>> print(jax.grad(value)(coins, jax.random.key(0)).logits)
      [0.25 0.5 ]

    Source: Titsias & Shi (2022, "Double control variates for gradient estimation in discrete latent
    variable models", arXiv:2111.05300).
    """
    goal = target(f, dist, key, num_samples, least=2)
    laws = relaxations(goal, "double_control_variate")
    z = hard_draws(goal, laws, key)
    values, gradients = scalar_values(goal, z)
    still = fixed(laws)
    away = [
        each - jnp.broadcast_to(law.probs(), each.shape) for law, each in zip(still, z, strict=True)
    ]
    scale = jnp.asarray(scale, values.dtype)
    rest = values - scale * mean_of_others(expansions(gradients, away)).astype(values.dtype)
    residual = rest - others(rest)
    score = [law.score(each) for law, each in zip(still, z, strict=True)]

    def one(value: Array, residual: Array, score: list, gradient: list) -> Array:
        zero = sum_of(slope(s, law.logits) for s, law in zip(score, laws, strict=True))
        means = [law.probs() for law in laws]
        known = sum_of(
            slope(scale.astype(g.dtype) * g, p) for g, p in zip(gradient, means, strict=True)
        )
        return value + slope(residual, zero) + known.astype(value.dtype)

    return jax.vmap(one)(values, residual, score, gradients).mean(0)
