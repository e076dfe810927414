"""The importance-weighted bound, doubly reparameterised."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from stochastic_net._types import Array, Key, PyTree
from stochastic_net.estimators._target import target
from stochastic_net.objectives._parts import Parts, no_derivative
from stochastic_net.objectives._weights import log_mean_exp, terms


def iwae(
    log_likelihood: Callable[[Any], Array],
    posterior: PyTree,
    prior: PyTree,
    key: Key,
    *,
    num_samples: int = 8,
    doubly_reparameterized: bool = True,
) -> Parts:
    r"""The tighter lower bound on log p(x) by K draws: maximise it. Its gradient is unbiased.

      E log 1/K sum_k w_k,    w_k = p(x | z_k) p(z_k) / q(z_k),    z_k ~ q.

    Doubly reparameterised, the posterior gets sum_k v_k^2 (dlog w_k/dz) dz_k/dtheta, with
    v_k = w_k / sum w, in place of the plain gradient, whose ratio of signal to noise falls with K:
    the same expectation, and at q = p(z | x) no noise. All else (decoder, prior) gets the plain
    one, sum_k v_k dlog w_k. First derivatives only; it is the plain one that has higher ones.

    Args:
      log_likelihood, prior, key: as for `elbo`.
      posterior: a distribution whose draws move, or a pytree of them. (Others: `vimco`.)
      num_samples: K.
      doubly_reparameterized: whether the posterior gets that gradient.

    Returns:
      `Parts`: the bound, and the plain means over the draws of log p(x | z) and of
      log q(z) - log p(z).

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> q, prior = sn.Gaussian(jnp.zeros(2), jnp.ones(2)), sn.Gaussian(0.0, 1.0)
      >>> likelihood = lambda z: sn.Gaussian(z, jnp.ones(2)).log_prob(jnp.ones(2)).sum()
      >>> parts = sn.objectives.iwae(likelihood, q, prior, jax.random.key(0), num_samples=64)
      >>> exact = sn.Gaussian(jnp.zeros(2), jnp.full(2, 2.0)).log_prob(jnp.ones(2)).sum()
      >>> print(bool(abs(parts.value - exact) < 0.3))
      True

    Source: Burda, Grosse & Salakhutdinov (2016, arXiv:1509.00519); Rainforth et al. (2018,
    arXiv:1802.04537, the ratio); Tucker, Lawson, Gu & Maddison (2019, arXiv:1810.04152).
    """
    goal = target(log_likelihood, posterior, key, num_samples)
    z = goal.draw(key)
    if not doubly_reparameterized:
        likelihood, ratio = terms(goal, log_likelihood, posterior, prior, z)
        return Parts(log_mean_exp(likelihood - ratio), likelihood.mean(), ratio.mean())
    still = no_derivative(posterior)
    fixed_likelihood, fixed_ratio = terms(goal, log_likelihood, still, prior, lax.stop_gradient(z))
    log_w = lax.stop_gradient(fixed_likelihood - fixed_ratio)
    share = jax.nn.softmax(log_w)
    slowed = [_times(each, share) for each in z]
    likelihood, ratio = terms(goal, log_likelihood, still, prior, slowed)
    weighted = (share * (likelihood - ratio)).sum()
    value = log_mean_exp(log_w) + weighted - lax.stop_gradient(weighted)
    return Parts(value, likelihood.mean(), ratio.mean())


def _times(z: Array, share: Array) -> Array:
    """Draws that move `share` times as far."""
    if not jnp.issubdtype(z.dtype, jnp.floating):
        return z
    wide = share.reshape(-1, *(1,) * (z.ndim - 1)).astype(z.dtype)
    return _slowed(z, jnp.broadcast_to(wide, z.shape))


@jax.custom_jvp
def _slowed(z: Array, share: Array) -> Array:
    del share
    return z


@_slowed.defjvp
def _(primals, tangents):
    return _slowed(*primals), primals[1] * tangents[0]
