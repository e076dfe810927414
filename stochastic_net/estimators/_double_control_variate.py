"""Leave-one-out with first-order expansions of f around the other samples."""

import jax

from stochastic_net._types import Array, ArrayLike, Key, PyTree
from stochastic_net.estimators._estimator import Function, estimator
from stochastic_net.estimators._expansions import expand, scalar_values
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
    r"""Weight the score by what the other samples' expansions of f do not foretell: unbiased.

    With g_j = df/dz at the sample z_j, mu = E z and the mean over the other samples,

      s_k = mean_{j != k} f(z_j) + scale g_j . (z_k - z_j),

    the gradient is the mean over k of

      (f(z_k) - s_k) dlog p(z_k)/dtheta + scale g_k . dmu/dtheta.

    s_k is linear in z_k and otherwise made of other samples, so that the expectation of what it
    takes away is known: the last term. For a linear f and scale = 1 no variance is left. First
    derivatives in the logits.

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
    variable models", arXiv:2111.05300); here the expansion for a sample never contains it.
    """
    goal = target(f, dist, key, num_samples, least=2)
    laws = relaxations(goal, "double_control_variate")
    z = hard_draws(goal, laws, key)
    values, gradients = scalar_values(goal, z)
    at = expand(gradients, z, z, scale)  # [k, j]: how far f moves from z_j to z_k
    foretold = others(values) + (at.sum(1) / (num_samples - 1))
    score = [law.score(each) for law, each in zip(fixed(laws), z, strict=True)]

    def one(value: Array, foretold: Array, score: list, gradient: list) -> Array:
        zero = sum_of(slope(s, law.logits) for s, law in zip(score, laws, strict=True))
        means = [law.probs() for law in laws]
        known = sum_of(slope(scale * g, p) for g, p in zip(gradient, means, strict=True))
        return value + slope(value - foretold, zero) + known

    return jax.vmap(one)(values, foretold, score, gradients).mean(0)
