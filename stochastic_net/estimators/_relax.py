"""Score function with a relaxed draw as control variate, whatever function of it is taken."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from stochastic_net._types import Array, ArrayLike, Key, PyTree
from stochastic_net.estimators._estimator import Function, estimator
from stochastic_net.estimators._relaxed import Relaxation, fixed, positive, relaxations
from stochastic_net.estimators._surrogate import slope
from stochastic_net.estimators._target import Draws, Target, sum_of, target


@estimator()
def relax(
    f: Function,
    dist: PyTree,
    key: Key,
    *,
    num_samples: int = 1,
    control_variate: Callable[[Any], Array] | None = None,
    temperature: ArrayLike = 0.5,
    scale: ArrayLike = 1.0,
) -> Array:
    r"""Weight the score by f(z) - c(x'), and add the pathwise gradients of c: unbiased.

    x = logits + noise is the continuous draw that z = hard(x) comes from, x' another one given z,
    both of which move with the logits. The gradient is the mean of

      (f(z) - c(x')) dlog p(z)/dtheta + dc(x)/dtheta - dc(x')/dtheta,
      c(x) = scale f(soft(x)) + control_variate(x),

    soft(x) being a softmax (a sigmoid) of x/temperature. Unbiased for every c; the better c
    foretells f, the lower the variance. What c has of parameters is trained by the derivative of
    `second_moment`. First derivatives in the logits.

    Args:
      f: differentiable unless `scale` is the number 0; it gets floats.
      dist: Bernoulli and OneHotCategorical variables.
      key, num_samples: as for `pathwise`. f is evaluated at three points a sample.
      control_variate: from a pytree like `dist`, with x for distributions, to the shape of f.
      temperature, scale: of the relaxation; numbers, or arrays to be trained.

    Raises:
      TypeError: other distributions; second derivatives in the logits.

    Example:
      A control variate learned by the variance of the gradient:

      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> coins, f = sn.distributions.Bernoulli(jnp.zeros(2)), lambda z: (z.sum() - 0.5) ** 2
      >>> def squared(w, key):
      ...     learned = sn.estimators.relax(control_variate=lambda x: jnp.tanh(x) @ w)
      ...     return sn.estimators.second_moment(learned, f, coins, key)
      >>> print(jax.grad(squared)(jnp.zeros(2), jax.random.key(0)).shape)
      (2,)

    Source: Grathwohl, Choi, Wu, Roeder & Duvenaud (2018, "Backpropagation through the void",
    arXiv:1711.00123).
    """
    goal = target(f, dist, key, num_samples)
    laws = relaxations(goal, "relax")
    temperature = positive("temperature", temperature)

    def relaxed(x: Draws) -> Array:
        soft = [
            law.soft(each, _number(temperature, each)) for law, each in zip(laws, x, strict=True)
        ]
        return goal.function(soft)

    extra = None if control_variate is None else goal.over(control_variate)
    off = isinstance(scale, int | float) and scale == 0

    def c(x: Draws) -> Array:
        value = relaxed(x)
        learned = jnp.zeros_like(value) if extra is None else extra(x).astype(value.dtype)
        return learned if off else _number(scale, value) * value + learned

    return with_control(goal, laws, c, key)


def with_control(
    goal: Target, laws: list[Relaxation], c: Callable[[Draws], Array], key: Key
) -> Array:
    """The estimate whose gradient is the formula above."""
    still = fixed(laws)
    up_key, down_key = jax.random.split(key)
    x = [law.perturbed(k, goal.num_samples) for law, k in zip(laws, goal.keys(up_key), strict=True)]
    z = [law.hard(each) for law, each in zip(still, jax.lax.stop_gradient(x), strict=True)]
    other = [law.given(k, each) for law, k, each in zip(laws, goal.keys(down_key), z, strict=True)]
    values = goal.values(z)
    score = [law.score(each) for law, each in zip(still, z, strict=True)]

    def one(value: Array, score: Draws, x: Draws, other: Draws) -> Array:
        ahead, behind = jax.lax.stop_gradient((x, other))
        residual = value - c(behind)
        zero = sum_of(slope(s, law.logits) for s, law in zip(score, laws, strict=True))
        along = _path(c, ahead, x) - _path(c, behind, other)
        return value + slope(residual, zero) + along.astype(value.dtype)

    return jax.vmap(one)(values, score, x, other).mean(0)


def _path(c: Callable[[Draws], Array], at: Draws, x: Draws) -> Array:
    """0, with the derivative of c at x; what c closes over has none."""
    return sum_of(slope(g, each) for g, each in zip(jax.jacrev(c)(at), x, strict=True))


def _number(value: ArrayLike, like: Array) -> Array:
    return jnp.asarray(value, like.dtype)
