"""The unordered set estimator: samples without replacement."""

import jax
import jax.numpy as jnp
from jax import lax

from stochastic_net._types import Array, Key, PyTree
from stochastic_net.distributions import _noise as noise
from stochastic_net.estimators._enumerate_support import joint_support
from stochastic_net.estimators._estimator import Function, estimator
from stochastic_net.estimators._surrogate import slope
from stochastic_net.estimators._target import over_samples, target
from stochastic_net.random import compute_dtype


@estimator(independent=True)
def without_replacement(
    f: Function, dist: PyTree, key: Key, *, num_samples: int = 2, max_values: int = 2**16
) -> Array:
    r"""Evaluate f at different values only, weighted so that no bias is left: unbiased.

    S are the values of the first `num_samples` draws without replacement, and R(S, s) the
    probability that s came first, given S, over p(s). Value and gradient are

      sum_{s in S} p(s) R(S, s) f(s),
      sum_{s in S} dp(s)/dtheta R(S, s) (f(s) - sum_{t in S} p(t) R_s(S, t) f(t)),

    where R_s is R after s has been drawn: a baseline without bias. With as many samples as there
    are values it is `enumerate_support`. All joint values of `dist` are listed, and their
    probabilities computed; f is evaluated at S only. First derivatives in the parameters.

    Args:
      f: as for `pathwise`.
      dist: distributions with a finite support.
      key: one typed key, consumed.
      num_samples: two or more; the time and memory beside f grow like 2^num_samples.
      max_values: how many joint values are too many.

    Raises:
      NotImplementedError: a support is not finite.
      ValueError: one sample, or more than 12; more than `max_values` joint values.

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> d = sn.distributions.Categorical(jnp.array([5.0, 0.0, 0.0]))
      >>> value = lambda d, key: sn.estimators.without_replacement(lambda z: z == 1, d, key)
      >>> print(jax.grad(value)(d, jax.random.key(0)).logits.shape)
      (3,)

    Source: Kool, van Hoof & Welling (2020, "Estimating gradients for discrete random variables by
    sampling without replacement", arXiv:2002.06043).
    """
    goal = target(f, dist, key, num_samples, least=2)
    if num_samples > 12:
        raise ValueError(f"num_samples must be 12 or less for this estimator, got {num_samples}.")
    support = joint_support(goal, max_values)
    log_prob = goal.log_prob(support)
    count = min(num_samples, log_prob.shape[0])
    fixed = lax.stop_gradient(log_prob).astype(compute_dtype(log_prob.dtype))
    _, chosen = lax.top_k(fixed + noise.gumbel(key, fixed.shape, fixed.dtype), count)

    values = goal.values([z[chosen] for z in support])
    p, rest = jnp.exp(fixed[chosen]), _rest(fixed, chosen)
    ratio, after = _ratios(p, rest)
    weight = over_samples(p * ratio, values)
    baseline = jnp.tensordot((after * p[None]).astype(values.dtype), values, 1, precision="highest")
    residual = weight * (values - jnp.broadcast_to(baseline, values.shape))
    return (weight * values).sum(0) + jax.vmap(slope)(residual, log_prob[chosen]).sum(0)


def _rest(log_prob: Array, chosen: Array) -> Array:
    """The probability of all that is not chosen, without 1 - p."""
    return jnp.exp(log_prob.at[chosen].set(-jnp.inf)).sum()


def _ratios(p: Array, rest: Array) -> tuple[Array, Array]:
    """R(S, s), and as an array [s, t] R_s(S, t), which is 1 at t = s.

    `ways[subset]` is the probability that these are drawn next, in any order, when the others of S
    have been drawn: a sum over which of them comes first, of positive terms only. Subsets are the
    bits of a number.
    """
    count = p.shape[0]
    everything = (1 << count) - 1
    ways = {0: jnp.ones_like(p[0])}
    for subset in range(1, everything + 1):
        members = [i for i in range(count) if subset >> i & 1]
        left = rest + sum(p[i] for i in members)
        ways[subset] = sum(p[i] * ways[subset & ~(1 << i)] for i in members) / left

    def after(s: int, t: int) -> Array:
        without = everything & ~(1 << s)
        return ways[without & ~(1 << t)] / ways[without]  # at t = s this is 1

    ratio = [ways[everything & ~(1 << s)] / ways[everything] for s in range(count)]
    rows = [jnp.stack([after(s, t) for t in range(count)]) for s in range(count)]
    return jnp.stack(ratio), jnp.stack(rows)
