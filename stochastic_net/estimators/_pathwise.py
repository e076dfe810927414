"""The pathwise estimator."""

from stochastic_net._types import Array, Key, PyTree
from stochastic_net.estimators._estimator import Function, estimator
from stochastic_net.estimators._target import target


@estimator()
def pathwise(f: Function, dist: PyTree, key: Key, *, num_samples: int = 1) -> Array:
    r"""Differentiate through the draw; unbiased.

    z(theta) is `dist.sample(key)`, which moves with the parameters theta (reparameterised or
    implicitly), so that the gradient is the mean over the samples of

      df/dz dz/dtheta.

    f must be differentiable almost everywhere and continuous. Derivatives of any order.

    Args:
      f: from a pytree like `dist`, with draws for distributions, to an array of any shape.
      dist: a distribution or a pytree of independent ones.
      key: one typed key, consumed.
      num_samples: f is evaluated at so many draws. One draw is `sn.sample(dist, key)`.

    Returns:
      The mean of f over the samples, in the shape of f.

    Raises:
      TypeError: when differentiated, a draw is discrete.

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> x = sn.Gaussian(jnp.ones(3), jnp.full(3, 0.01))
      >>> loss = lambda x, key: sn.estimators.pathwise(lambda z: (z**2).sum(), x, key)
      >>> grad = jax.grad(loss)(x, jax.random.key(0))
      >>> print(grad.mean.shape, grad.var.shape)
      (3,) (3,)

    Source: Kingma & Welling (2014, arXiv:1312.6114); Rezende, Mohamed & Wierstra (2014,
    arXiv:1401.4082); Figurnov, Mohamed & Mnih (2018, arXiv:1805.08498).
    """
    goal = target(f, dist, key, num_samples)
    return goal.values(goal.draw(key)).mean(0)
