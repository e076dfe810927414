"""Measure-valued (weak) derivatives."""

from typing import Any

import jax
import jax.numpy as jnp

from stochastic_net._types import Array, Key, PyTree
from stochastic_net.estimators._estimator import Function, estimator
from stochastic_net.estimators._surrogate import slope
from stochastic_net.estimators._target import Draws, Target, sum_of, target
from stochastic_net.estimators._weak_derivatives import RULES, Difference
from stochastic_net.random import compute_dtype


@estimator()
def measure_valued(f: Function, dist: PyTree, key: Key, *, num_samples: int = 1) -> Array:
    r"""Compare f at coupled draws from the two parts of dp/dtheta: unbiased.

    Where dp/dtheta = w (p_plus - p_minus), element by element and parameter by parameter,

      dE f/dtheta_i = w_i E [f(z, z_i ~ p_plus) - f(z, z_i ~ p_minus)].

    f need not be continuous, and draws need not move; the noise of both parts is shared. It costs
    two evaluations of f for each element of each parameter (only for those that are
    differentiated, under `jit`), all at the same time. First derivatives in the parameters.

    Args:
      f, key, num_samples: as for `pathwise`.
      dist: Gaussian, Gamma, Beta, Exponential, Poisson, Geometric, Bernoulli, and what
        `weak_derivative` taught.

    Raises:
      TypeError: another distribution; second derivatives in its parameters.

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> d = sn.distributions.Poisson(jnp.array([1.0, 2.0]))
      >>> value = lambda d, key: sn.estimators.measure_valued(lambda n: 5 * n.sum(), d, key)
      >>> print(jax.grad(value)(d, jax.random.key(0)).rate)  # no variance for a linear f
      [5. 5.]

    Source: Pflug (1989, "Sampling derivatives of probabilities"); Mohamed, Rosca, Figurnov & Mnih
    (2020, arXiv:1906.10652, section 6). The pairs in the shapes of Gamma and Beta are derived at
    their rule.
    """
    goal = target(f, dist, key, num_samples)
    for law in goal.laws:
        if type(law) not in RULES:
            known = ", ".join(sorted(kind.__name__ for kind in RULES))
            raise TypeError(
                f"measure_valued has no weak derivative of a {type(law).__name__}: it has those of "
                f"{known}. Teach it with sn.estimators.weak_derivative, or use score_function."
            )
    draw_key, pair_key = jax.random.split(key)
    z = goal.fixed_draw(draw_key)
    terms = [
        _slopes(goal, z, index, name, difference)
        for index, k in enumerate(goal.keys(pair_key))
        for name, difference in _differences(goal.laws[index], k, z[index]).items()
    ]
    values = goal.values(z)
    return values.mean(0) + sum_of(terms).astype(values.dtype)


def _differences(law: Any, key: Key, z: Array) -> dict[str, Difference]:
    def wide(leaf: Array) -> Array:
        floating = jnp.issubdtype(leaf.dtype, jnp.floating)
        leaf = leaf.astype(compute_dtype(leaf.dtype)) if floating else leaf
        return jnp.broadcast_to(jax.lax.stop_gradient(leaf), z.shape)

    return RULES[type(law)](jax.tree.map(wide, law), key, wide(z))


def _slopes(goal: Target, z: Draws, index: int, name: str, difference: Difference) -> Array:
    """0, with the derivative to one parameter of one law."""
    theta = jnp.broadcast_to(getattr(goal.laws[index], name), z[index].shape[1:])

    if theta.size == 0:
        return jnp.zeros(())

    def one(z: Draws, weight: Array, plus: Array, minus: Array) -> Array:
        flat = z[index].ravel()

        def at(i: Array, value: Array) -> Array:
            changed = flat.at[i].set(value.astype(flat.dtype)).reshape(z[index].shape)
            out = goal.function([*z[:index], changed, *z[index + 1 :]])
            return jnp.asarray(out).astype(weight.dtype)

        def lift(i: Array, plus: Array, minus: Array) -> Array:
            return at(i, plus) - at(i, minus)

        over = jax.vmap(lift, out_axes=-1)(jnp.arange(flat.size), plus.ravel(), minus.ravel())
        over = over * jnp.broadcast_to(weight.ravel(), over.shape)
        return over.reshape(*over.shape[:-1], *weight.shape)

    return slope(jax.vmap(one)(z, *difference).mean(0), theta)
