"""The Dirichlet distribution: gamma variates over their sum."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike, DTypeLike

from stochastic_net._types import Array, Key, Shape
from stochastic_net.random._arguments import arguments, inside, positive
from stochastic_net.random._beta import beta
from stochastic_net.random._beta_gradient import logit_beta_derivative
from stochastic_net.random._fence import once
from stochastic_net.random._gamma import gamma_parts, scaled
from stochastic_net.random._inverse import Coupling, check_coupling
from stochastic_net.random._keys import check_key


def dirichlet(
    key: Key,
    alpha: ArrayLike,
    shape: Shape | None = None,
    dtype: DTypeLike | None = None,
    *,
    coupling: Coupling = "fast",
) -> Array:
    """Draw x ~ Dirichlet(alpha), non-negative with sum 1 over the last axis; unbiased gradient.

    A change of alpha_i moves x_i as the quantile of its marginal Beta(alpha_i, sum of the others),
    and the others along, in proportion to their size: with D_i = dlogit x_i/dalpha_i

      dx_j/dalpha_i = (delta_ij - x_j) x_i D_i.

    For two entries this is the beta distribution's implicit gradient.

    Args:
      key: one typed key; it is consumed.
      alpha: concentrations, above 0, of shape (..., K) with K >= 1.
      shape: the shape before the last axis, that of `alpha` when None.
      dtype: float16, bfloat16 (both drawn in float32), float32 or float64; JAX's default when None.
      coupling: "fast", or "smooth" in `alpha` for a fixed key (see `gamma`): sticks are broken at
        beta quantiles, and each moves with its own, another derivative with the same mean.

    Returns:
      An array of shape `shape + (K,)`, each entry above 0 and, for K > 1, below 1.

    Raises:
      TypeError: `key` is not a typed key, `alpha` is not real, or `dtype` is not a float.
      ValueError: a concentration is not positive, there is none, or the shapes do not broadcast.

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> x = sn.random.dirichlet(jax.random.key(0), jnp.array([0.5, 1.0, 2.0]), (4,))
      >>> print(x.shape, bool(jnp.allclose(x.sum(-1), 1.0)))
      (4, 3) True

    Source: Jankowiak & Obermeyer (2018, arXiv:1806.01851), section 6.1: the derivative solves the
    transport equation exactly.
    """
    check_key(key)
    positive(alpha=alpha)
    if jnp.ndim(alpha) < 1 or jnp.shape(alpha)[-1] < 1:
        raise ValueError(
            f"alpha must have shape (..., K) with K >= 1 concentrations on its last axis, got "
            f"shape {jnp.shape(alpha)}."
        )
    entries = jnp.shape(alpha)[-1:]
    draw, alpha = arguments(None if shape is None else (*shape, *entries), dtype, alpha=alpha)
    # Entries first and the batch flat, for XLA on CPU does not vectorise over a short last axis.
    alpha = alpha.reshape(-1, *entries).T
    x = (_sticks if check_coupling(coupling) else _dirichlet)(key, alpha)
    return draw.finish(x.T.reshape(draw.shape), low=0, high=1 if entries > (1,) else np.inf)


@jax.jit
def _dirichlet(key: Key, alpha: Array) -> Array:
    info = jnp.finfo(alpha.dtype)
    body, log_boost = gamma_parts(key, lax.stop_gradient(alpha), smooth=False)
    # The largest weight is 1, near enough: the sum neither underflows nor overflows, and a weight
    # underflows only where its entry does.
    largest = (jnp.log(body) + log_boost).max(0, keepdims=True)
    weight = scaled(body, log_boost - largest)
    x = weight / _total(weight)
    if alpha.shape[0] == 1:
        return jnp.ones_like(alpha)
    return _move(once(jnp.clip(x, info.tiny, 1 - info.epsneg)), alpha)


@jax.jit
def _sticks(key: Key, alpha: Array) -> Array:
    """Break sticks, each share a quantile of its beta law: another coupling, of the same law."""
    rest = jnp.flip(jnp.cumsum(jnp.flip(alpha, 0), 0), 0)[1:]
    share = beta(key, alpha[:-1], rest, dtype=alpha.dtype, coupling="smooth")
    left = jnp.cumprod(1 - share, 0)
    one = jnp.ones_like(alpha[:1])
    x = jnp.concatenate([share, one]) * jnp.concatenate([one, left])
    return inside(x, 0, 1 if len(x) > 1 else np.inf)


@jax.custom_jvp
def _move(x: Array, alpha: Array) -> Array:
    return lax.stop_gradient(x)


@_move.defjvp
def _move_rule(primals, tangents):
    x, alpha = primals
    x = _move(x, alpha)
    slope = once(logit_beta_derivative(alpha, _others(alpha), x, _others(x)))
    own = x * slope * tangents[1]
    return x, own - x * _total(own)


def _others(x: Array) -> Array:
    """The sum of the other entries, which for the largest is not a difference of large numbers."""
    most = x.max(0, keepdims=True)
    largest = x == most
    smaller = _total(jnp.where(largest, 0, x))
    ties = _total(largest.astype(x.dtype)) - 1
    return jnp.where(largest, smaller + ties * most, _total(x) - x)


def _total(x: Array) -> Array:
    """The sum over the entries, for each of them.

    By products and not sums, its transpose too: a sum that is multiplied by the entries again is
    wrong on XLA's CPU (jaxlib 0.10) where `vmap` puts an axis in front.
    """
    row, column = jnp.ones((1, x.shape[0]), x.dtype), jnp.ones((x.shape[0], 1), x.dtype)
    exact = lax.Precision.HIGHEST
    return jnp.matmul(column, jnp.matmul(row, x, precision=exact), precision=exact)
