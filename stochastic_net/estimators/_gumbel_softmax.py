"""The relaxation of discrete draws, soft or hard."""

import jax.numpy as jnp

from stochastic_net._types import Array, ArrayLike, Key, PyTree
from stochastic_net.estimators._estimator import Bias, Function, Options, estimator
from stochastic_net.estimators._relaxed import positive, relaxations
from stochastic_net.estimators._surrogate import moved
from stochastic_net.estimators._target import target


def _bias(options: Options) -> Bias:
    return Bias("scale of f", 1) if options.get("hard", True) else Bias("temperature", 1)


@estimator(bias=_bias)
def gumbel_softmax(
    f: Function,
    dist: PyTree,
    key: Key,
    *,
    num_samples: int = 1,
    temperature: ArrayLike = 0.5,
    hard: bool = True,
) -> Array:
    r"""Differentiate a relaxed draw: biased; hard O(h) for f(z) = g(h z), soft O(temperature).

    The relaxed draw is softmax((logits + Gumbel noise)/temperature), or a sigmoid for Bernoulli.
    With `hard=False` f is evaluated at it: value and gradient are those of the relaxed law. With
    `hard=True` f is evaluated at the discrete draw of the same noise, so that the value is
    unbiased, and differentiated along the relaxed one, which is biased for a linear f too. A low
    temperature has little bias, if soft, and a variance that grows like 1/temperature.

    Args:
      f: differentiable, as for `pathwise`; it gets floats.
      dist: Bernoulli and OneHotCategorical variables.
      key, num_samples: as for `pathwise`.
      temperature: positive.
      hard: whether f sees discrete draws.

    Raises:
      TypeError: other distributions.

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> d = sn.distributions.OneHotCategorical(jnp.zeros(4))
      >>> soft = sn.estimators.gumbel_softmax(temperature=1.0, hard=False)
      >>> print(soft(lambda z: z.max() < 1, d, jax.random.key(0)))
      1.0

    Source: Jang, Gu & Poole (2017, arXiv:1611.01144); Maddison, Mnih & Teh (2017,
    arXiv:1611.00712).
    """
    goal = target(f, dist, key, num_samples)
    laws = relaxations(goal, "gumbel_softmax")
    temperature = positive("temperature", temperature)
    noisy = [law.perturbed(k, num_samples) for law, k in zip(laws, goal.keys(key), strict=True)]
    draws = []
    for law, x in zip(laws, noisy, strict=True):
        soft = law.soft(x, jnp.asarray(temperature, x.dtype))
        draws.append(moved(law.hard(x), soft) if hard else soft)
    return goal.values(draws).mean(0)
