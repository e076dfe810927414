"""The evidence lower bound."""

from collections.abc import Callable
from typing import Any, Literal

import jax.numpy as jnp

from stochastic_net._types import Array, ArrayLike, Estimator, Key, PyTree
from stochastic_net.estimators import pathwise
from stochastic_net.objectives._parts import (
    Parts,
    divergences,
    log_prob,
    no_derivative,
    total,
)


def elbo(
    log_likelihood: Callable[[Any], Array],
    posterior: PyTree,
    prior: PyTree,
    key: Key,
    *,
    estimator: Estimator = pathwise,
    num_samples: int | None = None,
    kl: Literal["analytic", "sampled"] = "analytic",
    beta: ArrayLike = 1.0,
    free_bits: ArrayLike = 0.0,
) -> Parts:
    r"""The lower bound on log p(x) of one example: maximise it. Of the bias of its estimator.

      E_q log p(x | z) - beta KL(q(z) || p(z)).

    Args:
      log_likelihood: log p(x | z) as a function of a draw from `posterior`, a number; it closes
        over x and the decoder.
      posterior: q, a distribution or a pytree of them.
      prior: p, of the same structure, or one distribution for all; it may be a scalar.
      key: one typed key, consumed.
      estimator: of the expectation; its gradient is what `posterior` gets.
      num_samples: of the estimator; None: its own default.
      kl: "analytic" by `sn.kl`, "sampled" at the draws, where log q(z) does not move with its own
        parameters (sticking the landing: what is left out is 0 on average, and at q = p(z | x) with
        `pathwise` no noise is left).
      beta: weight of the divergence.
      free_bits: nats that each event's divergence may have for free: max(KL_i, free_bits) counts.

    Returns:
      `Parts`: the value, the log-likelihood and the divergence, without beta and free bits.

    Raises:
      TypeError: no closed form of the divergence is known: `kl="sampled"`.
      ValueError: free bits of a sampled divergence; the prior has another structure.

    Example:
      One call is for one example; map it over a batch, with a key each:

      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> x = jnp.ones((5, 3))
      >>> q = sn.Gaussian(0.9 * x, jnp.full(x.shape, 0.1))
      >>> def bound(x, q, key):
      ...     likelihood = lambda z: sn.Gaussian(z, jnp.ones(3)).log_prob(x).sum()
      ...     return sn.objectives.elbo(likelihood, q, sn.Gaussian(0.0, 1.0), key)
      >>> parts = jax.vmap(bound)(x, q, jax.random.split(jax.random.key(0), 5))
      >>> print(parts.value.shape, bool((parts.kl > 0).all()))
      (5,) True

    Source: Kingma & Welling (2014, arXiv:1312.6114); Higgins et al. (2017, beta-VAE); Kingma et al.
    (2016, arXiv:1606.04934, free bits); Roeder, Wu & Duvenaud (2017, arXiv:1703.09194, sticking the
    landing).
    """
    options = {} if num_samples is None else {"num_samples": num_samples}
    if kl == "sampled":
        if not isinstance(free_bits, int | float) or free_bits != 0:
            raise ValueError('free bits are counted on the divergence itself: kl="analytic".')
        likelihood, divergence = _sampled(log_likelihood, posterior, prior, key, estimator, options)
        counted = divergence
    elif kl == "analytic":
        likelihood = estimator(log_likelihood, posterior, key, **options)
        each = divergences(posterior, prior)
        divergence = total(each)
        counted = total([jnp.maximum(d, _number(free_bits, d)) for d in each])
    else:
        raise ValueError(f"kl must be 'analytic' or 'sampled', got {kl!r}.")
    divergence, counted = (x.astype(likelihood.dtype) for x in (divergence, counted))
    return Parts(likelihood - _number(beta, likelihood) * counted, likelihood, divergence)


def _sampled(
    log_likelihood: Callable, posterior: PyTree, prior: PyTree, key: Key, estimator, options
) -> tuple[Array, Array]:
    """Both expectations at the same draws."""
    still = no_derivative(posterior)

    def both(z: PyTree) -> Array:
        likelihood = jnp.asarray(log_likelihood(z))
        ratio = log_prob(still, z) - log_prob(prior, z, like=posterior)
        return jnp.stack([likelihood, ratio.astype(likelihood.dtype)])

    found = estimator(both, posterior, key, **options)
    return found[0], found[1]


def _number(value: ArrayLike, like: Array) -> Array:
    return jnp.asarray(value, like.dtype)
