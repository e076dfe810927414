"""Score function with the relaxed f as control variate, REBAR."""

from stochastic_net._types import Array, ArrayLike, Key, PyTree
from stochastic_net.estimators._estimator import Function, estimator
from stochastic_net.estimators._relax import relax


@estimator()
def rebar(
    f: Function,
    dist: PyTree,
    key: Key,
    *,
    num_samples: int = 1,
    temperature: ArrayLike = 0.5,
    scale: ArrayLike = 1.0,
) -> Array:
    r"""Take the relaxed f as control variate of the score, and correct for it: unbiased.

    `relax` with c(x) = scale f(soft(x)). Unbiased at every temperature and scale, both of which may
    be trained by the derivative of `second_moment`. First derivatives in the logits.

    Args:
      f: differentiable; it gets floats.
      dist: Bernoulli and OneHotCategorical variables.
      key, num_samples: as for `pathwise`. f is evaluated at three points a sample.
      temperature, scale: numbers, or arrays to be trained.

    Raises:
      TypeError: other distributions; second derivatives in the logits.

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> d = sn.distributions.OneHotCategorical(jnp.zeros(3))
      >>> value = lambda d, key: sn.estimators.rebar(lambda z: (z[0] - 0.4) ** 2, d, key)
      >>> print(jax.grad(value)(d, jax.random.key(0)).logits.shape)
      (3,)

    Source: Tucker, Mnih, Maddison, Lawson & Sohl-Dickstein (2017, "REBAR", arXiv:1703.07370).
    """
    return relax(f, dist, key, num_samples=num_samples, temperature=temperature, scale=scale)
