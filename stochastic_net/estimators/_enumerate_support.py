"""The exact expectation over a finite support."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from stochastic_net._types import Array, Key, PyTree
from stochastic_net.distributions._widened import widened
from stochastic_net.estimators._estimator import Function, estimator
from stochastic_net.estimators._target import Draws, Target, over_samples, shape_of, target


@estimator()
def enumerate_support(
    f: Function, dist: PyTree, key: Key, *, num_samples: int = 1, max_values: int = 2**16
) -> Array:
    r"""Sum p(z) f(z) over every z: exact, value and derivatives of any order.

    f is evaluated once for each of the joint values, all at the same time: 2^D for D coins.

    Args:
      f, dist: as for `pathwise`; every distribution has a finite support.
      key: one typed key. Nothing is drawn with it.
      num_samples: no meaning here.
      max_values: how many joint values are too many.

    Raises:
      NotImplementedError: a support is not finite.
      ValueError: more than `max_values` joint values.

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> coins = sn.distributions.Bernoulli(jnp.zeros(3))
      >>> exact = lambda d: sn.estimators.enumerate_support(jnp.max, d, jax.random.key(0))
      >>> value, grad = jax.value_and_grad(exact)(coins)
      >>> print(value, grad.logits)
      0.875 [0.0625 0.0625 0.0625]
    """
    goal = target(f, dist, key, num_samples)
    draws = joint_support(goal, max_values)
    values = goal.values(draws)
    wide = widened(values)  # 16 bits are rounded once, at the end
    weight = over_samples(jnp.exp(goal.log_prob(draws)), wide)
    total = jnp.where(weight == 0, 0.0, weight * jnp.where(weight == 0, 0.0, wide)).sum(0)
    return total.astype(values.dtype)


def joint_support(goal: Target, max_values: int) -> Draws:
    """Every joint value of the laws, along a leading axis."""
    for law in goal.laws:
        if not hasattr(law, "enumerate_support"):
            raise NotImplementedError(f"the support of {type(law).__name__} cannot be enumerated.")
    supports = [law.enumerate_support() for law in goal.laws]
    elements = [math.prod(_batch(law)) for law in goal.laws]
    bases = [len(support) for support, n in zip(supports, elements, strict=True) for _ in range(n)]
    total = math.prod(bases)
    if total > max_values:
        raise ValueError(
            f"there are {total} joint values, more than {max_values}. Draw instead (leave_one_out, "
            "disarm), or raise max_values."
        )
    digits = np.stack(np.unravel_index(np.arange(total), bases), -1) if bases else np.zeros((1, 0))
    digits = digits.astype(np.int32)
    draws, start = [], 0
    for law, support, n in zip(goal.laws, supports, elements, strict=True):
        event = shape_of(law)[len(_batch(law)) :]
        table = support.reshape(len(support), n, *event)
        picked = table[digits[:, start : start + n], np.arange(n)]
        draws.append(picked.reshape(total, *shape_of(law)))
        start += n
    return draws


def _batch(law: Any) -> tuple[int, ...]:
    shape = shape_of(law)
    return shape[: len(shape) - len(getattr(law, "event_shape", ()))]
