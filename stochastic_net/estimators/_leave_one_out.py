"""The score function with the other samples as baseline."""

from stochastic_net._types import Array, Key, PyTree
from stochastic_net.estimators._estimator import Function, estimator
from stochastic_net.estimators._score_function import score_function


@estimator(independent=True)
def leave_one_out(f: Function, dist: PyTree, key: Key, *, num_samples: int = 2) -> Array:
    r"""Weight the score by how much better a sample is than the others: unbiased.

    Of K samples the gradient is

      1/(K - 1) sum_k (f(z_k) - mean f) dlog p(z_k)/dtheta,

    the score function whose baseline for a sample is the mean of f at the other ones. A good
    default for draws that do not move, of any distribution. Derivatives of any order.

    Args:
      f, dist, key: as for `pathwise`.
      num_samples: two or more.

    Raises:
      ValueError: one sample; a log-density that is not finite.

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> counts = sn.distributions.Poisson(jnp.array([1.0, 5.0]))
      >>> value = lambda d, key: sn.estimators.leave_one_out(jnp.max, d, key, num_samples=4)
      >>> print(jax.grad(value)(counts, jax.random.key(0)).rate.shape)
      (2,)

    Source: Salimans & Knowles (2014, arXiv:1401.1022); Kool, van Hoof & Welling (2019, "Buy 4
    REINFORCE samples, get a baseline for free!").
    """
    return score_function(f, dist, key, num_samples=num_samples, control_variate="leave_one_out")
