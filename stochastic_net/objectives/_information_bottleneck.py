"""The variational information bottleneck."""

from collections.abc import Callable
from typing import Any, Literal

from stochastic_net._types import Array, ArrayLike, Estimator, Key, PyTree
from stochastic_net.estimators import pathwise
from stochastic_net.objectives._elbo import elbo
from stochastic_net.objectives._parts import Parts


def information_bottleneck(
    log_likelihood: Callable[[Any], Array],
    encoding: PyTree,
    marginal: PyTree,
    key: Key,
    *,
    beta: ArrayLike,
    estimator: Estimator = pathwise,
    num_samples: int | None = None,
    kl: Literal["analytic", "sampled"] = "analytic",
) -> Parts:
    r"""A loss for one labelled example: minimise it. Of the bias of its estimator.

      -E log q(y | z) + beta KL(p(z | x) || r(z)).

    On average over the data the divergence is at least the information I(z; x) that the encoding
    keeps, and H(y) + E log q(y | z) is at most the information I(z; y) that it has of the label.

    Args:
      log_likelihood: log q(y | z) as a function of a draw from `encoding`, a number.
      encoding: p(z | x), a distribution or a pytree of them.
      marginal: r(z), of the same structure, or one distribution for all.
      beta: nats of the label that a nat of the input has to be worth.
      key, estimator, num_samples, kl: as for `elbo`.

    Returns:
      `Parts`: the loss, the log-likelihood and the divergence (without beta).

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> encoding = sn.Gaussian(jnp.zeros(2), jnp.ones(2))
      >>> parts = sn.objectives.information_bottleneck(
      ...     lambda z: jax.nn.log_softmax(z)[0], encoding, sn.Gaussian(0.0, 1.0),
      ...     jax.random.key(0), beta=0.01)
      >>> print(parts.kl, bool(parts.value == -parts.log_likelihood))
      0.0 True

    Source: Alemi, Fischer, Dillon & Murphy (2017, arXiv:1612.00410).
    """
    parts = elbo(
        log_likelihood,
        encoding,
        marginal,
        key,
        estimator=estimator,
        num_samples=num_samples,
        kl=kl,
        beta=beta,
    )
    return parts._replace(value=-parts.value)
