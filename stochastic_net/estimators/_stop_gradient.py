"""No gradient to the distribution, said aloud."""

from stochastic_net._types import Array, Key, PyTree
from stochastic_net.estimators._estimator import Bias, Function, estimator
from stochastic_net.estimators._target import target


@estimator(bias=Bias("1", 0))
def stop_gradient(f: Function, dist: PyTree, key: Key, *, num_samples: int = 1) -> Array:
    """Give the parameters of `dist` the gradient 0, as you ask: biased, O(1).

    The gradient to what f closes over is unbiased. For a decoder that is trained on draws of an
    encoder that is not.

    Args:
      f, dist, key, num_samples: as for `pathwise`.

    Example:
      >>> import jax, stochastic_net as sn
      >>> d = sn.distributions.Poisson(3.0)
      >>> f = lambda w: sn.estimators.stop_gradient(lambda z: w * z, d, jax.random.key(0))
      >>> print(jax.grad(f)(2.0) == d.sample(jax.random.key(0)))
      True
    """
    goal = target(f, dist, key, num_samples)
    return goal.values(goal.fixed_draw(key)).mean(0)
