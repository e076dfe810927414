"""The path of the proposal, corrected for its acceptance."""

from typing import Any

import jax.numpy as jnp
from jax import lax

from stochastic_net._types import Array, Key, PyTree
from stochastic_net.estimators._estimator import Function, estimator
from stochastic_net.estimators._proposals import PROPOSALS
from stochastic_net.estimators._score_function import others
from stochastic_net.estimators._surrogate import box
from stochastic_net.estimators._target import over_samples, sum_of, target


@estimator(independent=True)
def rejection(f: Function, dist: PyTree, key: Key, *, num_samples: int = 1) -> Array:
    r"""Differentiate the accepted proposal and add how its acceptance changes: unbiased.

    A rejection sampler returns z = h(eps, theta) with the noise eps that was accepted, whose law
    pi(eps; theta) = p(h(eps, theta); theta) |dh/deps| depends on theta. The gradient is the mean of

      df(h(eps, theta))/dtheta + (f(z) - b) dlog pi(eps; theta)/dtheta,

    b the mean of f at the other samples, if there are any. The first term alone is a common fault:
    for von Mises-Fisher directions in five dimensions it is 13 % short. eps is recovered from a
    draw of any sampler of the law. f must be differentiable. (`pathwise` is better where both
    apply; this is for laws whose implicit derivative is not known.)

    Args:
      f, key, num_samples: as for `pathwise`.
      dist: VonMisesFisher; Gamma with a concentration above 1; what `proposal_rule` taught.

    Raises:
      TypeError: another distribution.

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> d = sn.distributions.VonMisesFisher(jnp.eye(5)[0], 2.0)
      >>> value = lambda d, key: sn.estimators.rejection(lambda x: x[0], d, key)
      >>> print(jax.grad(value)(d, jax.random.key(0)).concentration.shape)
      ()

    Source: Naesseth, Ruiz, Linderman & Blei (2017, "Reparameterization gradients through
    acceptance-rejection sampling algorithms", arXiv:1610.05683).
    """
    goal = target(f, dist, key, num_samples)
    for law in goal.laws:
        if type(law) not in PROPOSALS:
            known = ", ".join(sorted(kind.__name__ for kind in PROPOSALS))
            raise TypeError(
                f"rejection has no proposal for a {type(law).__name__}: it has those of {known}. "
                "Teach it with sn.estimators.proposal_rule, or use pathwise or score_function."
            )
    shape = () if num_samples == 1 else (num_samples,)
    accepted = [
        PROPOSALS[type(law)](law, k, shape)
        for law, k in zip(goal.laws, goal.keys(key), strict=True)
    ]
    draws = [a.draw if shape else a.draw[None] for a in accepted]
    values = goal.values(draws)
    log_density = sum_of(_total(a.log_density, num_samples) for a in accepted)
    ratio = over_samples(box(log_density), values)
    b = lax.stop_gradient(others(values) if num_samples > 1 else jnp.zeros_like(values))
    return (values * ratio + b * (1 - ratio)).mean(0)


def _total(log_density: Any, num_samples: int) -> Array:
    return log_density.reshape(num_samples, -1).sum(-1)
