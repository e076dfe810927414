"""The importance-weighted bound for draws that do not move."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from stochastic_net._types import Array, Key, PyTree
from stochastic_net.estimators._surrogate import slope
from stochastic_net.estimators._target import target
from stochastic_net.objectives._parts import Parts
from stochastic_net.objectives._weights import log_mean_exp, terms


def vimco(
    log_likelihood: Callable[[Any], Array],
    posterior: PyTree,
    prior: PyTree,
    key: Key,
    *,
    num_samples: int = 8,
) -> Parts:
    r"""The bound of `iwae` for any posterior, discrete ones too: maximise it. Unbiased gradient.

      L = log 1/K sum_k w_k,    w_k = p(x | z_k) p(z_k) / q(z_k),    z_k ~ q.

    The score of each draw is weighted by what the bound gains by it, L - L_k, where L_k has the
    geometric mean of the other weights in the place of w_k. First derivatives in the posterior.

    Args:
      log_likelihood, prior, key: as for `elbo`.
      posterior: a distribution or a pytree of them.
      num_samples: K, two or more.

    Returns:
      `Parts`: the bound, and the plain means over the draws of log p(x | z) and of
      log q(z) - log p(z).

    Raises:
      ValueError: one sample.
      TypeError: second derivatives in the posterior.

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> q, prior = sn.distributions.Bernoulli(jnp.zeros(4)), sn.distributions.Bernoulli(0.0)
      >>> bound = lambda q, key: sn.objectives.vimco(
      ...     lambda z: -((z.sum() - 2.0) ** 2), q, prior, key).value
      >>> print(jax.grad(bound)(q, jax.random.key(0)).logits.shape)
      (4,)

    Source: Mnih & Rezende (2016, "Variational inference for Monte Carlo objectives",
    arXiv:1602.06725).
    """
    goal = target(log_likelihood, posterior, key, num_samples, least=2)
    z = goal.fixed_draw(key)
    likelihood, ratio = terms(goal, log_likelihood, posterior, prior, z)
    log_w = likelihood - ratio
    bound = log_mean_exp(log_w)
    value = bound + slope(bound - _without(log_w), goal.log_prob(z))
    return Parts(value, likelihood.mean(), ratio.mean())


def _without(log_w: Array) -> Array:
    """The bounds with one weight each replaced by the geometric mean of the others."""
    count = log_w.shape[0]
    mean = (log_w.sum() - log_w) / (count - 1)
    rows = jnp.broadcast_to(log_w, (count, count))
    means = jnp.broadcast_to(mean[:, None], rows.shape)
    replaced = jnp.where(jnp.eye(count, dtype=bool), means, rows)
    return jax.vmap(log_mean_exp)(replaced)
