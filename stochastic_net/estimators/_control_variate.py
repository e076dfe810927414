"""A function with a known expectation as control variate of any estimator."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from stochastic_net._types import Array, ArrayLike, Estimator, Key, PyTree
from stochastic_net.estimators._coupled import uncoupled
from stochastic_net.estimators._enumerate_support import enumerate_support
from stochastic_net.estimators._estimator import Configurable, Function
from stochastic_net.estimators._wrapper import wrapper


def control_variate(
    estimator: Estimator,
    h: Callable[[Any], Array],
    expectation: Callable[[PyTree], Array] | None = None,
    *,
    scale: ArrayLike = 1.0,
) -> Configurable:
    r"""The estimator, applied to f - scale h, and scale E h added: the bias of what it wraps.

      E f(z) = E [f(z) - scale h(z)] + scale E h(z),

    whose last term is exact, value and derivatives. The better h foretells f, the lower the
    variance of both. What h closes over has its derivatives too (they are 0 on average).

    Args:
      estimator: any one; for discrete distributions and for continuous ones.
      h: from a draw, or a pytree of them, to the shape of f.
      expectation: from `dist` to E h(z), differentiable. None: by `enumerate_support`.
      scale: a number, or an array, trained by `second_moment` perhaps.

    Raises:
      NotImplementedError: no `expectation`, and the support is not finite.

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> square = lambda x: (x.mean**2 + x.var).sum()
      >>> better = sn.estimators.control_variate(
      ...     sn.estimators.score_function, lambda z: (z**2).sum(), square)
      >>> f = lambda z: (z**2).sum() + 0.01 * jnp.cos(z).sum()
      >>> x = sn.Gaussian(jnp.ones(3), jnp.ones(3))
      >>> grad = jax.grad(lambda x: better(f, x, jax.random.key(0)))(x)
      >>> print(bool(jnp.abs(grad.mean - 2.0).max() < 0.1))
      True

    Source: Paisley, Blei & Jordan (2012, arXiv:1206.6430).
    """

    def apply(f: Function, dist: PyTree, key: Key, **options: Any) -> Array:
        def rest(z: PyTree) -> Array:
            value = jnp.asarray(f(z))
            return value - _number(scale, value) * jnp.asarray(h(z), value.dtype)

        plain = uncoupled(dist)
        known = jnp.asarray(expectation(plain) if expectation else _enumerated(h, plain, key))
        residual = estimator(rest, dist, key, **options)
        return residual + _number(scale, residual) * known.astype(residual.dtype)

    return wrapper(apply, estimator, f"control_variate({_name(estimator)}, {_name(h)})")


def _enumerated(h: Callable[[Any], Array], dist: PyTree, key: Key) -> Array:
    """E h; nothing is drawn with the key."""
    try:
        return enumerate_support(h, dist, key)
    except NotImplementedError as error:
        raise NotImplementedError(
            f"E h is not known: {error} Or pass control_variate(estimator, h, expectation) with "
            "the function from dist to E h."
        ) from None


def _number(value: ArrayLike, like: Array) -> Array:
    return jnp.asarray(value, like.dtype)


def _name(function: Any) -> str:
    return getattr(function, "__name__", type(function).__name__)
