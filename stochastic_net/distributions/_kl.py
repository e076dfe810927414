"""The Kullback-Leibler divergence: one open function, one rule for each pair of types."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from stochastic_net._types import Array, Distribution, Key, Shape
from stochastic_net.distributions._convert import own
from stochastic_net.distributions._gaussian import Gaussian
from stochastic_net.distributions._widened import widened
from stochastic_net.random import compute_dtype

Rule = Callable[..., Array]
_RULES: dict[tuple[type, type], Rule] = {}


def kl(p: Distribution, q: Distribution, *, key: Key | None = None, num_samples: int = 1) -> Array:
    r"""KL(p || q) = E_p log p(z)/q(z) in nats, of each event; sum it over the batch yourself.

    In closed form where a rule is registered for the two types, else an error; or, if a `key` is
    given, the mean of log p(z)/q(z) over `num_samples` draws z of p: unbiased, and so is its
    derivative if the draws of p have one (those of discrete families raise). An estimate may be
    negative. 16-bit floats are drawn and compared in float32, and rounded last.

    For Gaussians ((d - log(1 + d)) + (p.mean - q.mean)^2 / q.var) / 2 with
    d = (p.var - q.var) / q.var, computed without cancellation: exact to float32 where p and q
    nearly agree (the usual form loses all digits there). Infinite where exactly one of the two
    variances is zero, 0 where both are and the means agree. The other rules avoid cancellation in
    the same way.

    Args:
      p, q: distributions of one shape; either may be a scalar (a prior, say).
      key: one typed key, consumed by the estimate; ignored where a rule is registered.
      num_samples: how many draws the estimate averages.

    Raises:
      TypeError: no rule for the two types and no key; teach one with `sn.distributions.kl_rule`.
      ValueError: the shapes differ.

    Example:
      >>> import jax, stochastic_net as sn
      >>> print(sn.kl(sn.Gaussian(1.0, 1.0), sn.Gaussian(0.0, 1.0)))
      0.5
      >>> p, q = sn.distributions.Laplace(0.0, 1.0), sn.Gaussian(0.0, 2.0)
      >>> print(sn.kl(p, q, key=jax.random.key(0), num_samples=1000).shape)
      ()
    """
    p, q = own(p), own(q)
    rule = _RULES.get((type(p), type(q)))
    if rule is not None:
        return rule(p, q)
    if key is not None:
        return _estimate(p, q, key, num_samples)
    raise TypeError(
        f"no KL divergence is known from {type(p).__name__} to {type(q).__name__}. Teach one: "
        f"@sn.distributions.kl_rule({type(p).__name__}, {type(q).__name__}); or estimate it by "
        "draws: sn.kl(p, q, key=key, num_samples=100)."
    )


def kl_rule(p_type: type, q_type: type) -> Callable[[Rule], Rule]:
    """Register a function (p, q) -> Array as the divergence between two types.

    Example:
      >>> import jax.numpy as jnp, stochastic_net as sn
      >>> class Zero: pass
      >>> @sn.distributions.kl_rule(Zero, Zero)
      ... def _(p, q): return jnp.zeros(())
      >>> print(sn.kl(Zero(), Zero()))
      0.0
    """

    def register(rule: Rule) -> Rule:
        _RULES[p_type, q_type] = rule
        return rule

    return register


def _estimate(p: Distribution, q: Distribution, key: Key, num_samples: int) -> Array:
    copies = _copies(p, q)
    wide_p, wide_q = widened(p), widened(q)
    z = wide_p.sample(key, (num_samples, *copies))
    ratio = (wide_p.log_prob(z) - wide_q.log_prob(z)).mean(0)
    return ratio if wide_p is p and wide_q is q else ratio.astype(_dtype(p, q))


def _copies(p: Any, q: Any) -> Shape:
    """How many draws of p, as axes, one for each q: none but where p alone is a single law."""
    one, other = _shapes(p), _shapes(q)
    if one is None or other is None:
        return ()
    (p_batch, p_event), (q_batch, q_event) = one, other
    if p_event != q_event or (p_batch != q_batch and () not in (p_batch, q_batch)):
        raise ValueError(
            "kl(p, q) needs one shape, or a scalar p or q, and one event shape, got shapes "
            f"{p_batch + p_event} and {q_batch + q_event} with the events {p_event} and {q_event}."
        )
    return () if p_batch else q_batch


def _shapes(d: Any) -> tuple[Shape, Shape] | None:
    """The shapes of the batch and of the event, if that is known."""
    event = getattr(d, "event_shape", ())
    if hasattr(d, "batch_shape"):
        return d.batch_shape, event
    if not hasattr(d, "shape"):
        return None
    return d.shape[: len(d.shape) - len(event)], event


def _dtype(p: Any, q: Any) -> jnp.dtype:
    """That of the floating parameters of both."""
    dtypes = [jnp.result_type(leaf) for leaf in jax.tree.leaves((p, q))]
    with jax.numpy_dtype_promotion("standard"):
        return jnp.result_type(*(t for t in dtypes if jnp.issubdtype(t, jnp.floating)))


@kl_rule(Gaussian, Gaussian)
def _gaussian_gaussian(p: Gaussian, q: Gaussian) -> Array:
    if p.shape != q.shape and () not in (p.shape, q.shape):
        raise ValueError(
            f"kl(p, q) needs one shape, or a scalar p or q, got {p.shape} and {q.shape}."
        )
    dtype = jnp.result_type(p.dtype, q.dtype)
    p, q = (jax.tree.map(lambda x: x.astype(compute_dtype(dtype)), pair) for pair in (p, q))
    distance = (p.mean - q.mean) / jnp.where(q.is_point, 1.0, q.std)
    smooth = _minus_log1p(p.var, q.var, p.is_point | q.is_point) + distance * distance
    same_point = p.is_point & q.is_point & (p.mean == q.mean)
    singular = jnp.where(same_point, 0.0, jnp.inf)
    return jnp.where(p.is_point | q.is_point, singular, 0.5 * smooth).astype(dtype)


def _minus_log1p(p_var: Array, q_var: Array, skip: Array) -> Array:
    """d - log(1 + d) for 1 + d = p_var / q_var, which is d^2 / 2 near 0 where the two agree."""
    p_var, q_var = jnp.where(skip, 1.0, p_var), jnp.where(skip, 1.0, q_var)
    d = (p_var - q_var) / q_var
    near = (d > -0.5) & (d < 1.0)
    # With s = d / (2 + d): log(1 + d) = 2 artanh(s) and d - 2 s = d s. |s| <= 1/3 on this side, so
    # the last term of the series is below 1e-17.
    d_near = jnp.where(near, d, 0.0)
    s = d_near / (2.0 + d_near)
    series = jnp.polyval(jnp.array(_ARTANH_TAIL, s.dtype), s * s)
    close = s * (d_near - 2.0 * (s * s) * series)
    far = jnp.where(near, 1.0, d) - _log_ratio(p_var, q_var)
    return jnp.where(near, close, far)


def _log_ratio(p_var: Array, q_var: Array) -> Array:
    """log(p_var / q_var), also where the ratio is too large or too small for the dtype."""
    ratio = p_var / q_var
    fits = (ratio >= jnp.finfo(ratio.dtype).tiny) & jnp.isfinite(ratio)
    return jnp.where(fits, jnp.log(jnp.where(fits, ratio, 1.0)), jnp.log(p_var) - jnp.log(q_var))


# (artanh(s) - s) / s^3 = 1/3 + s^2/5 + s^4/7 + ..., highest power first.
_ARTANH_TAIL = tuple(1.0 / (2 * k + 3) for k in reversed(range(16)))
