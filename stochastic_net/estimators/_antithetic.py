"""Samples in mirrored pairs."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from stochastic_net._types import Array, Estimator, Key, PyTree
from stochastic_net.distributions import Gaussian
from stochastic_net.estimators._coupled import couple
from stochastic_net.estimators._estimator import Configurable, Function
from stochastic_net.estimators._mirrored import mirrored
from stochastic_net.estimators._pathwise import pathwise
from stochastic_net.estimators._surrogate import slope
from stochastic_net.estimators._target import Draws, Target, sum_of, target
from stochastic_net.estimators._wrapper import require_no_independence, wrapper


def antithetic(estimator: Estimator) -> Configurable:
    r"""The estimator on pairs of samples that mirror each other: the bias of what it wraps.

    Half of the samples z and their mirror images, which have the same law: 2 mean - z for a
    Gaussian. What is odd in z around the centre cancels. For the pair (mean, var) of a Gaussian
    this cures the noise of the variance's gradient, which by plain `pathwise` is f'(z) eps/(2 std)
    and grows like 1/std: here, for one element, or where all variances are small,

      (f'(mean + std eps) - f'(mean - std eps)) eps / (4 std)  ->  f''(mean) eps^2 / 2.

    `antithetic(pathwise)` has the limit f''/2 itself where the draw equals its mean in floating
    point (at var = 0 in particular): a Hessian-vector product there takes the place of the
    difference. (Of many elements it is an unbiased estimate of half the Hessian's diagonal.)

    Args:
      estimator: `pathwise`, `score_function`, `stop_gradient`, or one of yours that draws by
        `dist.sample`. It draws an even number of samples, two by default.

    Raises:
      ValueError: an estimator whose samples must be independent; an odd number of samples.
      TypeError: a distribution whose mirror image is not known: `mirror_rule`.

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> x = sn.Gaussian(jnp.array(0.3), jnp.array(0.0))
      >>> value = lambda x: sn.estimators.antithetic(sn.estimators.pathwise)(
      ...     jnp.sin, x, jax.random.key(0))
      >>> print(f"{jax.grad(value)(x).var:.4f} {-jnp.sin(0.3) / 2:.4f}")
      -0.1478 -0.1478

    Source: Hammersley & Morton (1956, "A new Monte Carlo technique: antithetic variates"); the
    limit is Price's theorem (1958).
    """
    require_no_independence(estimator, "antithetic")

    def apply(
        f: Function, dist: PyTree, key: Key, *, num_samples: int = 2, **options: Any
    ) -> Array:
        goal = target(f, dist, key, num_samples, multiple=2)
        points = [_stuck(law) for law in goal.laws if isinstance(law, Gaussian)]
        if estimator is not pathwise or not points:
            pairs = couple(dist, mirrored)
            return estimator(f, pairs, key, num_samples=num_samples, **options)
        key, limit_key = jax.random.split(key)
        pairs = couple(dist, lambda law: mirrored(_held(law)))
        value = estimator(f, pairs, key, num_samples=num_samples, **options)
        anywhere = jnp.stack([p.any() for p in points]).any()
        return value + lax.cond(
            anywhere,
            lambda: _limit(goal, limit_key, value),
            lambda: jnp.zeros_like(value),
        )

    return wrapper(apply, estimator, f"antithetic({getattr(estimator, '__name__', 'estimator')})")


def _stuck(law: Gaussian) -> Array:
    """Where the variance is zero, or one deviation does not take the mean to another number."""
    return lax.stop_gradient(law.is_point | (law.mean + law.std == law.mean))


def _held(law: Any) -> Any:
    """The same law; a Gaussian's draws do not move with the variances that are stuck."""
    if not isinstance(law, Gaussian):
        return law
    var = jnp.where(_stuck(law), lax.stop_gradient(law.var), law.var)
    return jax.tree.unflatten(jax.tree.structure(law), (law.mean, var))


def _limit(goal: Target, key: Key, like: Array) -> Array:
    """0, with the derivative r (H r)/2 to the variances that are stuck, r random signs there."""
    draw_key, sign_key = jax.random.split(key)
    keys = goal.keys(sign_key)
    z = [each[0] for each in goal.fixed_draw(draw_key)]

    def signs(law: Any, k: Key, z: Array) -> Array:
        if not isinstance(law, Gaussian):
            return jnp.zeros_like(z)
        return jnp.where(_stuck(law), jax.random.rademacher(k, z.shape, z.dtype), 0.0)

    r = [signs(law, k, each) for law, k, each in zip(goal.laws, keys, z, strict=True)]

    def gradient(z: Draws) -> Draws:
        return jax.jacrev(goal.function)(z)

    curved = jax.jvp(gradient, (z,), (r,))[1]
    zero = sum_of(
        slope(0.5 * jnp.broadcast_to(sign, h.shape) * h, law.var)
        for law, sign, h in zip(goal.laws, r, curved, strict=True)
        if isinstance(law, Gaussian)
    )
    return zero.astype(like.dtype)
