"""Leave-one-out with a learned surrogate of f, freed of noise coin by coin."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from stochastic_net._types import Array, Key, PyTree
from stochastic_net.estimators._estimator import Function, estimator
from stochastic_net.estimators._expansions import expand, scalar_values
from stochastic_net.estimators._relaxed import Coin, coins, fixed, hard_draws
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

    With g_j = df/dz at the sample z_j the surrogate for the sample z_k is

      s_k(y) = mean_{j != k} H(f(z_j), g_j . (y - z_j)).

    Over one coin alone its expectation is a sum of two terms without an evaluation of f, so that
    for coin i with p = sigmoid(logit) the gradient is the mean over k of

      (f(z_k) - s_k(z_k)) (z_ki - p_i) + p_i (1 - p_i) (s_k(z_k, i -> 1) - s_k(z_k, i -> 0)),

    a control variate from the Gibbs-Stein operator of the law. With H(v, t) = v + t it is
    `double_control_variate`; H may be any function, a network for instance, trained by the
    derivative of `second_moment`. First derivatives in the logits.

    Args:
      f: differentiable, scalar; it gets floats.
      dist: Bernoulli variables.
      key: one typed key, consumed.
      num_samples: two or more; f is evaluated and differentiated once at each.
      surrogate: H, elementwise on two arrays of one shape; None: v + t.

    Raises:
      TypeError: other distributions; second derivatives in the logits.
      ValueError: one sample; f is not scalar.

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> coins, f = sn.distributions.Bernoulli(jnp.zeros(5)), lambda z: jnp.exp(z.mean())
      >>> learned = lambda w: sn.estimators.rodeo(surrogate=lambda v, t: v + w[0] * t + w[1] * t**2)
      >>> squared = lambda w, key: sn.estimators.second_moment(learned(w), f, coins, key)
      >>> print(jax.grad(squared)(jnp.array([1.0, 0.5]), jax.random.key(0)).shape)
      (2,)

    Source: Shi, Zhou, Hwang, Titsias & Mackey (2022, "Gradient estimation with discrete Stein
    operators", arXiv:2202.09497); here with one H, and with the Gibbs operator coin by coin.
    """
    goal = target(f, dist, key, num_samples, least=2)
    laws = coins(goal, "rodeo")
    z = hard_draws(goal, laws, key)
    values, gradients = scalar_values(goal, z)
    steps = expand(gradients, z, z, 1.0)  # [k, j]
    h = surrogate or (lambda v, t: v + t)

    def foretold(steps: Array) -> Array:
        """The surrogate for each sample k where the expansions around z_j say steps[k, j, ...]."""
        around = jnp.broadcast_to(values.reshape(1, -1, *(1,) * (steps.ndim - 2)), steps.shape)
        own = jnp.eye(num_samples, dtype=bool).reshape(
            num_samples, num_samples, *(1,) * (steps.ndim - 2)
        )
        kept = jnp.where(jnp.broadcast_to(own, steps.shape), 0.0, h(around, steps))
        return kept.sum(1) / (num_samples - 1)

    def lift(law: Coin, z: Array, gradient: Array) -> Array:
        """s_k with a coin at 1, less that with the coin at 0, for every k and coin."""
        wide = (num_samples, *gradient.shape)
        g = jnp.broadcast_to(gradient[None], wide)
        here = jnp.broadcast_to(steps.reshape(*steps.shape, *(1,) * law.logits.ndim), wide)
        coin = jnp.broadcast_to(z[:, None], wide)
        return foretold(here + g * (1 - coin)) - foretold(here - g * coin)

    residual = values - foretold(steps)
    weights = [
        _weight(law, each, residual, lift(law, each, g))
        for law, each, g in zip(fixed(laws), z, gradients, strict=True)
    ]
    zero = sum_of(slope(w.mean(0), law.logits) for w, law in zip(weights, laws, strict=True))
    return values.mean(0) + zero


def _weight(law: Coin, z: Array, residual: Array, lift: Array) -> Array:
    p = jnp.broadcast_to(jax.nn.sigmoid(law.logits), z.shape)
    wide = residual.reshape(-1, *(1,) * (z.ndim - 1))
    return jnp.broadcast_to(wide, z.shape) * (z - p) + p * (1 - p) * lift
