"""Leave-one-out with a learned surrogate of f as control variate, coin by coin."""

from collections.abc import Callable

import jax.numpy as jnp

from stochastic_net._types import Array, Key, PyTree
from stochastic_net.estimators._estimator import Function, estimator
from stochastic_net.estimators._expansions import (
    expansions,
    mean_of_others,
    scalar_values,
)
from stochastic_net.estimators._relaxed import Coin, coins, fixed, hard_draws
from stochastic_net.estimators._score_function import others
from stochastic_net.estimators._surrogate import slope
from stochastic_net.estimators._target import sum_of, target

Surrogate = Callable[[Array, Array], Array]


@estimator(independent=True)
def rodeo(
    f: Function,
    dist: PyTree,
    key: Key,
    *,
    num_samples: int = 2,
    surrogate: Surrogate | None = None,
) -> Array:
    r"""Take away a surrogate of f and give back its expectation over each coin: unbiased.

    With g_j = df/dz at the sample z_j and mu = E z, the surrogate for the sample z_k is

      s_k(y) = mean_{j != k} H(f(z_j), g_j . (y - mu)).

    What it gains by coin i, d_ki = s_k(z_k, i -> 1) - s_k(z_k, i -> 0), needs no evaluation of f,
    and (z_ki - p_i) d_ki has the expectation 0. With h_k = f(z_k) - sum_i (z_ki - p_i) d_ki, which
    makes a better baseline, the gradient in the logit of coin i is the mean over the samples of

      (f(z_k) - mean_{j != k} h_j - s_k(z_k)) (z_ki - p_i) + p_i (1 - p_i) d_ki.

    Both are control variates by the Gibbs-Stein operator of the law. With H(v, t) = t it is
    `double_control_variate`; H may be any function, a network for instance, trained by the
    derivative of `second_moment`. First derivatives in the logits.

    Args:
      f: differentiable, scalar; it gets floats.
      dist: Bernoulli variables.
      key: one typed key, consumed.
      num_samples: two or more; f is evaluated and differentiated once at each.
      surrogate: H, elementwise on two arrays of one shape; None: t.

    Raises:
      TypeError: other distributions; second derivatives in the logits.
      ValueError: one sample; f is not scalar.

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> coins, f = sn.distributions.Bernoulli(jnp.zeros(5)), lambda z: jnp.exp(z.mean())
      >>> learned = lambda w: sn.estimators.rodeo(surrogate=lambda v, t: w[0] * t + w[1] * t**2)
      >>> squared = lambda w, key: sn.estimators.second_moment(learned(w), f, coins, key)
      >>> print(jax.grad(squared)(jnp.array([1.0, 0.5]), jax.random.key(0)).shape)
      (2,)

    Source: Shi, Zhou, Hwang, Titsias & Mackey (2022, "Gradient estimation with discrete Stein
    operators", arXiv:2202.09497); here with one H for both control variates.
    """
    goal = target(f, dist, key, num_samples, least=2)
    laws = coins(goal, "rodeo")
    z = hard_draws(goal, laws, key)
    values, gradients = scalar_values(goal, z)
    still = fixed(laws)
    away = [
        each - jnp.broadcast_to(law.probs(), each.shape) for law, each in zip(still, z, strict=True)
    ]
    steps = expansions(gradients, away)  # [k, j]: g_j . (z_k - mu)
    wide = values.astype(steps.dtype)
    h = surrogate or (lambda v, t: t)

    def foretold(steps: Array) -> Array:
        """s_k where the expansions are steps[k, j, ...]."""
        around = wide.reshape(1, -1, *(1,) * (steps.ndim - 2))
        return mean_of_others(h(jnp.broadcast_to(around, steps.shape), steps))

    def gain(z: Array, gradient: Array) -> Array:
        """d for every sample and coin."""
        shape = (num_samples, *gradient.shape)
        g = jnp.broadcast_to(gradient[None], shape)
        here = jnp.broadcast_to(steps.reshape(*steps.shape, *(1,) * (z.ndim - 1)), shape)
        coin = jnp.broadcast_to(z[:, None], shape)
        return foretold(here + g * (1 - coin)) - foretold(here - g * coin)

    gains = [gain(each, g) for each, g in zip(z, gradients, strict=True)]
    stein = sum_of(
        (a * d).reshape(num_samples, -1).sum(-1) for a, d in zip(away, gains, strict=True)
    )
    residual = wide - others(wide - stein) - foretold(steps)
    weights = [_weight(law, a, residual, d) for law, a, d in zip(still, away, gains, strict=True)]
    zero = sum_of(slope(w.mean(0), law.logits) for w, law in zip(weights, laws, strict=True))
    return values.mean(0) + zero.astype(values.dtype)


def _weight(law: Coin, away: Array, residual: Array, gain: Array) -> Array:
    variance = law.probs() * (1 - law.probs())
    wide = jnp.broadcast_to(residual.reshape(-1, *(1,) * (away.ndim - 1)), away.shape)
    return wide * away + jnp.broadcast_to(variance, away.shape) * gain
