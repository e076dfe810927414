"""How the outputs of a function go together."""

from collections.abc import Callable
from functools import partial, wraps

import jax

from stochastic_net._types import PyTree
from stochastic_net.moments._covariances.full import blocks
from stochastic_net.moments._propagate import run_on, trace, weighted


def covariance(f: Callable[..., PyTree]) -> Callable[..., PyTree]:
    r"""The function that gives the covariance of all elements of f's values.

    Every value on the way is linear in deviations D that no operand explains (inputs, and by
    Stein's lemma what an operation that is not linear adds), so that

      Cov(y, z) = sum (dy/dD) Cov(D, D) (dz/dD)^T.

    Linear functions are exact. Means and variances of relu, maxima, products and all compositions
    are those of Gaussians of the right correlation; two relus of correlated values share what their
    curvature gives them. Its diagonal is the variance of `propagate(f, "full")`.

    Args:
      f: as for `propagate`. Map it over examples, `jax.vmap(covariance(f))`: elements of two
        examples count as elements like any others.

    Returns:
      A function of the same arguments that returns f's pytree twice over, as `jax.hessian` does:
      for the outputs y and z an array of shape (*y.shape, *z.shape), None where one is not random.

    Raises:
      NoRule: as `propagate` does.

    Example:
      >>> import jax.numpy as jnp, stochastic_net as sn
      >>> x = sn.Gaussian(jnp.zeros(2), jnp.array([1.0, 3.0]))
      >>> print(sn.moments.covariance(lambda x: jnp.stack([x.sum(), x[0] - x[1]]))(x))
      [[ 4. -2.]
       [-2.  4.]]

    Source: as for `propagate`; the second order by Mehler's series.
    """

    @wraps(f)
    def covariance_of_f(*args: PyTree, **kwargs: PyTree) -> PyTree:
        program, leaves, shape = trace(*weighted(f, args), kwargs)
        rows = blocks(partial(run_on, program, leaves))
        return jax.tree.unflatten(shape, [jax.tree.unflatten(shape, row) for row in rows])

    return covariance_of_f
