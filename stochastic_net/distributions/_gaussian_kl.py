"""Divergences between normal laws of vectors: sums of squares and of positive terms."""

import jax
import jax.numpy as jnp

from stochastic_net._types import Array
from stochastic_net.distributions._family import _unchecked
from stochastic_net.distributions._family_kl import family_kl_rule
from stochastic_net.distributions._gaussian import Gaussian
from stochastic_net.distributions._kl import kl_rule
from stochastic_net.distributions._low_rank_gaussian import LowRankGaussian
from stochastic_net.distributions._multivariate_gaussian import MultivariateGaussian
from stochastic_net.distributions._triangular import (
    diagonal,
    excess,
    log_excess,
    on_diagonal,
    solve,
)
from stochastic_net.random import compute_dtype
from stochastic_net.random._stirling import ARTANH_TAIL

Joint = MultivariateGaussian | LowRankGaussian


@family_kl_rule(MultivariateGaussian, MultivariateGaussian)
@family_kl_rule(MultivariateGaussian, LowRankGaussian)
@family_kl_rule(LowRankGaussian, MultivariateGaussian)
@family_kl_rule(LowRankGaussian, LowRankGaussian)
def joint_divergence(p: Joint, q: Joint) -> Array:
    """KL through Cholesky factors P and Q, with N = Q^-1 (P - Q) and s = diag(Q^-1 P).

    2 KL = |N|^2 + 2 sum(s - 1 - log s) + |Q^-1 (p.loc - q.loc)|^2.

    Exact where p and q nearly agree. Takes O(D^3) also for a low rank.
    """
    p_root, q_root = _root(p), _root(q)
    shape = jnp.square(excess(p_root, q_root)).sum((-2, -1))
    size = log_excess(diagonal(p_root), diagonal(q_root)).sum(-1)
    return 0.5 * (shape + jnp.square(solve(q_root, p.loc - q.loc)).sum(-1)) + size


def _root(d: Joint) -> Array:
    if isinstance(d, MultivariateGaussian):
        return d.scale_tril
    # By QR: the covariance has the square of the condition number of what is decomposed.
    scales = on_diagonal(jnp.sqrt(d.cov_diag))
    upper = jnp.linalg.qr(jnp.concatenate([d.cov_factor.mT, scales], -2), mode="r")
    signs = jnp.where(diagonal(upper) < 0, -1.0, 1.0).astype(upper.dtype)
    return (signs[..., None] * upper).mT


@kl_rule(MultivariateGaussian, Gaussian)
@kl_rule(LowRankGaussian, Gaussian)
def _joint_from_pair(p: Joint, q: Gaussian) -> Array:
    """KL = sum over elements of KL(marginal of p || q), and p's total correlation."""
    q = _over_event(q, p)
    dtype = _dtype(p, q)
    wide = p._spread(jnp.broadcast_shapes(p.batch_shape, q.shape[:-1]))
    wide = wide._astype(compute_dtype(dtype))
    mean, var, point = _moments(q, wide.dtype, wide.shape)
    distance = (wide.loc - mean) / jnp.sqrt(var)
    marginal = 0.5 * distance * distance + 0.5 * log_excess(wide._var(), var)
    divergence = marginal.sum(-1) + _total_correlation(wide)
    return jnp.where(point.any(-1), jnp.inf, divergence).astype(dtype)


@kl_rule(Gaussian, MultivariateGaussian)
@kl_rule(Gaussian, LowRankGaussian)
def _pair_from_joint(p: Gaussian, q: Joint) -> Array:
    p = _over_event(p, q)
    dtype = _dtype(p, q)
    wide = q._spread(jnp.broadcast_shapes(q.batch_shape, p.shape[:-1]))
    wide = wide._astype(compute_dtype(dtype))
    mean, var, point = _moments(p, wide.dtype, wide.shape)
    fields = [("loc", mean), ("scale_tril", on_diagonal(jnp.sqrt(var)))]
    divergence = joint_divergence(_unchecked(MultivariateGaussian, fields), wide)
    return jnp.where(point.any(-1), jnp.inf, divergence).astype(dtype)


def _total_correlation(p: Joint) -> Array:
    """(sum of the logarithms of the variances - log det of the covariance) / 2."""
    if isinstance(p, MultivariateGaussian):
        own = diagonal(p.scale_tril)
        others = jnp.square(jnp.tril(p.scale_tril, -1)).sum(-1)
        return 0.5 * jnp.log1p(others / (own * own)).sum(-1)
    # log det(1 + A^T A), where A is small with its trace |A|^2 taken from both sides
    whitened = p._whitened()
    own, squares = abs(diagonal(whitened.root)), jnp.square(whitened.factor).sum(-1)
    joint = jnp.square(jnp.triu(whitened.root, 1)).sum((-2, -1))
    joint = joint + _log1p_deficit((own - 1) * (own + 1)).sum(-1)
    single = _log1p_deficit(squares).sum(-1)
    direct = 0.5 * jnp.log1p(squares).sum(-1) - jnp.log(own).sum(-1)
    return jnp.where(squares.sum(-1) < 1, 0.5 * (joint - single), direct)


def _log1p_deficit(x: Array) -> Array:
    """x - log(1 + x) >= 0 for x >= 0."""
    near = x < 1
    small = jnp.where(near, x, 0.0)
    s = small / (2 + small)  # log(1 + x) = 2 artanh(s), and x - 2 s = x s
    series = jnp.polyval(jnp.array(ARTANH_TAIL, x.dtype), s * s, unroll=16)
    return jnp.where(near, s * (small - 2 * s * s * series), x - jnp.log1p(x))


def _dtype(p: Joint | Gaussian, q: Joint | Gaussian) -> jnp.dtype:
    with jax.numpy_dtype_promotion("standard"):
        return jnp.result_type(p.dtype, q.dtype)


def _over_event(pair: Gaussian, joint: Joint) -> Gaussian:
    """The pair with the joint law's event as its last axis; a scalar pair is repeated over it."""
    if pair.shape == ():
        return Gaussian(*(jnp.broadcast_to(x, joint.event_shape) for x in (pair.mean, pair.var)))
    try:
        jnp.broadcast_shapes(pair.shape[:-1], joint.batch_shape)
        fits = pair.shape[-1:] == joint.event_shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"kl between a {type(joint).__name__} of shape {joint.shape} and a Gaussian of shape "
            f"{pair.shape}: the Gaussian's last axis must be the event {joint.event_shape} and its "
            "other axes must broadcast with the batch; or it is a scalar."
        )
    return pair


def _moments(pair: Gaussian, dtype, shape) -> tuple[Array, Array, Array]:
    """Mean, variance (1 where it is zero), and where it is."""
    arrays = pair.mean.astype(dtype), pair.var.astype(dtype), pair.is_point
    mean, var, point = (jnp.broadcast_to(array, shape) for array in arrays)
    return mean, jnp.where(point, 1.0, var), point
