"""The gradients of Bonnet and Price for Gaussians."""

import jax
import jax.numpy as jnp

from stochastic_net._types import Array, Key, PyTree
from stochastic_net.distributions import Gaussian
from stochastic_net.estimators._estimator import Function, estimator
from stochastic_net.estimators._surrogate import moved, slope
from stochastic_net.estimators._target import Draws, Target, at_least, sum_of, target


@estimator()
def bonnet_price(
    f: Function,
    dist: PyTree,
    key: Key,
    *,
    num_samples: int = 1,
    num_probes: int | None = None,
) -> Array:
    r"""Differentiate f once for the mean and twice for the variance: unbiased.

      dE f/dmean = E f'(z),        dE f/dvar = E f''(z) / 2,

    f'' being the diagonal of the Hessian. There is no 1/std in it: the gradient of the variance has
    the same noise at every deviation, and is exact at var = 0. First derivatives in the variance.

    Args:
      f: twice differentiable, with a continuous derivative (a relu has lost what is at its kink).
      dist: Gaussians.
      key, num_samples: as for `pathwise`.
      num_probes: None: the diagonal is exact, at one Hessian-vector product an element. A number:
        it is estimated by as many products with random signs, unbiased.

    Raises:
      TypeError: another distribution; second derivatives in the variance.

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> x = sn.Gaussian(jnp.zeros(2), jnp.array([0.0, 1.0]))
      >>> value = lambda x, key: sn.estimators.bonnet_price(lambda z: 3 * (z**2).sum(), x, key)
      >>> print(jax.grad(value)(x, jax.random.key(0)).var)
      [3. 3.]

    Source: Bonnet (1964); Price (1958, "A useful theorem for nonlinear devices having Gaussian
    inputs"); Rezende, Mohamed & Wierstra (2014, arXiv:1401.4082, equations 7 and 8).
    """
    goal = target(f, dist, key, num_samples)
    for law in goal.laws:
        if not isinstance(law, Gaussian):
            raise TypeError(f"bonnet_price is for Gaussians, got {type(law).__name__}: pathwise.")
    if num_probes is not None:
        num_probes = at_least(1, "num_probes", num_probes)
    draw_key, probe_key = jax.random.split(key)
    z = goal.fixed_draw(draw_key)
    means = [jnp.broadcast_to(law.mean, each.shape) for law, each in zip(goal.laws, z, strict=True)]
    values = goal.values([moved(each, m) for each, m in zip(z, means, strict=True)])

    def one(z: Draws, key: Key) -> Array:
        halves = _half_diagonal(goal, z, key, num_probes)
        return sum_of(slope(h, law.var) for h, law in zip(halves, goal.laws, strict=True))

    zero = jax.vmap(one)(z, jax.random.split(probe_key, num_samples))
    return (values + zero.astype(values.dtype)).mean(0)


def _half_diagonal(goal: Target, z: Draws, key: Key, num_probes: int | None) -> Draws:
    """Half the Hessian's diagonal at one sample, in shapes (*shape of f, *shape of the law)."""

    def product(r: Draws) -> Draws:
        return jax.jvp(jax.jacrev(goal.function), (z,), (r,))[1]

    def of_sign(key: Key) -> Draws:
        keys = jax.random.split(key, len(z))
        pairs = zip(keys, z, strict=True)
        r = [jax.random.rademacher(k, each.shape, each.dtype) for k, each in pairs]
        products = product(r)
        return [jnp.broadcast_to(s, h.shape) * h for s, h in zip(r, products, strict=True)]

    if num_probes is not None:
        many = jax.vmap(of_sign)(jax.random.split(key, num_probes))
        return [0.5 * h.mean(0) for h in many]

    def of_law(index: int) -> Array:
        size, shape = z[index].size, z[index].shape

        def entry(row: Array) -> Array:
            r = [jnp.zeros_like(each) for each in z]
            r[index] = row.reshape(shape)
            h = product(r)[index]
            return (h * jnp.broadcast_to(r[index], h.shape)).sum(range_of(shape))

        diagonal = jax.vmap(entry, out_axes=-1)(jnp.eye(size, dtype=z[index].dtype))
        return 0.5 * diagonal.reshape(*diagonal.shape[:-1], *shape)

    return [of_law(index) for index in range(len(z))]


def range_of(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The last axes, as many as `shape` has."""
    return tuple(range(-len(shape), 0))
