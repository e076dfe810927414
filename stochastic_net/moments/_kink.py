r"""Mean and variance of a Gaussian bent at 0: relu and abs; and of the larger of two.

For X ~ N(m, v), s = sqrt(v), t = |m| / s and the tail moments T_n = E max(Z - t, 0)^n,

  m < 0:   E relu = s T_1,       Var relu = v (T_2 - T_1^2),
  m >= 0:  E relu = m + s T_1,   Var relu = v (1 - T_2 - 2 t T_1 - T_1^2),

sums without cancellation (of at most two bits, near m = 0). The derivatives are

  dE/dm = P(X > 0),   dE/dv = phi(t) / (2 s),
  dVar/dm = 2 E relu P(X < 0),   dVar/dv = P(X > 0) - E relu phi(t) / s.

Where v = 0 the function itself is applied; the derivatives by v are then those for v -> 0 where
they have a limit, and 0 at the kink.

Source: Frey & Hinton (1999, Neural Computation 11, 193-213) for relu, Clark (1961, Operations
Research 9, 145-162) for the maximum; the forms that do not cancel are ours.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from stochastic_net._types import Array
from stochastic_net.moments._flat import flatly
from stochastic_net.moments._precision import rounded, wide
from stochastic_net.moments._tail import standard
from stochastic_net.moments._tape import Moments, covariance, node
from stochastic_net.random._fence import both, once


@flatly
def relu(mean: Array, var: Array) -> Moments:
    """E and Var of max(X, 0)."""
    return _relu(mean, var)


@jax.custom_jvp
@jax.jit  # traced once
def _relu(mean: Array, var: Array) -> Moments:
    x, below = standard(mean, var), mean < 0
    out_mean = jnp.where(below, 0.0, mean) + x.scale * x.first
    less = x.second + x.first * (2 * x.t + x.first)
    inner = jnp.where(below, x.second - x.first * x.first, 1 - less)
    return both(out_mean, jnp.where(x.point, jnp.where(mean > 0, var, 0.0), var * inner))


def _slopes(mean: Array, var: Array, out_mean: Array) -> tuple[Moments, Moments]:
    """The derivatives of E and Var by the mean, and by the variance."""
    x = standard(mean, var)
    above, under = positive_part(mean, var), positive_part(-mean, var)
    var_by_var = above - x.density * (x.first + jnp.where(mean < 0, 0.0, x.t))
    return (above, 2 * out_mean * under), (0.5 * x.density * x.inverse, var_by_var)


@_relu.defjvp  # pyrefly: ignore[bad-argument-type]
def _relu_jvp(primals, tangents):
    mean, var = primals
    out_mean, out_var = _relu(mean, var)
    by_mean, by_var = _slopes(mean, var, out_mean)
    return (out_mean, out_var), _moved(by_mean, by_var, tangents)


@jax.custom_jvp
def _packed_relu(mean: Array, var: Array) -> Moments:
    """The same for where its derivatives go into many passes: each is made once."""
    return _relu(mean, var)


@_packed_relu.defjvp
def _packed_relu_jvp(primals, tangents):
    mean, var = primals
    out_mean, out_var = _relu(mean, var)
    by_mean, by_var = (both(*x) for x in _slopes(mean, var, out_mean))
    return (out_mean, out_var), _moved(by_mean, by_var, tangents)


def _moved(by_mean: Moments, by_var: Moments, tangents: tuple[Array, Array]) -> Moments:
    first, second = (
        a * tangents[0] + b * tangents[1] for a, b in zip(by_mean, by_var, strict=True)
    )
    return first, second


@jax.custom_jvp
def positive_part(mean: Array, var: Array) -> Array:
    """P(X > 0), with half the mass of a point at 0."""
    x = standard(mean, var)
    near = jnp.where(x.point & (mean == 0), 0.5, x.beyond)
    return jnp.where(mean < 0, near, 1 - near)


@positive_part.defjvp
def _positive_part_jvp(primals, tangents):
    mean, var = primals
    dm, dv = tangents
    x = standard(mean, var)
    a = jnp.where(mean < 0, -x.t, x.t)
    peak = x.density * x.inverse
    by_mean, by_var = both(peak, -0.5 * a * peak * x.inverse)
    return positive_part(mean, var), by_mean * dm + by_var * dv


def absolute(mean: Array, var: Array) -> Moments:
    """E and Var of |X|: at |m| / s = t, |m| + 2 s T_1 and v (1 - 4 t T_1 - 4 T_1^2)."""
    up_mean, up_var = relu(mean, var)
    down_mean, down_var = relu(-mean, var)
    return up_mean + down_mean, up_var + down_var - 2 * up_mean * down_mean


def larger(x: Moments, y: Moments) -> Moments:
    """E and the variance of max(X, Y), for independent X and Y where no covariance is kept.

    With `high` the one of the larger mean, max = high + relu(low - high), and for D = low - high,
    Cov(high, relu(D)) = Cov(high, D) P(D > 0) (Stein's lemma).
    """
    like, both_vary = x[0], covariance(x[0], y[0])
    x, y = wide(x), wide(y)
    swap = y[0] > x[0]
    high = tuple(jnp.where(swap, b, a) for a, b in zip(x, y, strict=True))
    low = tuple(jnp.where(swap, a, b) for a, b in zip(x, y, strict=True))
    gap, spread = low[0] - high[0], jnp.maximum(low[1] + high[1] - 2 * both_vary, 0)
    more, more_var = _packed_relu(gap, spread)
    share = once(positive_part(gap, spread))
    var = jnp.maximum(high[1] + more_var - 2 * (high[1] - both_vary) * share, 0)
    kept = jnp.square(1 - share) * high[1] + jnp.square(share) * low[1]
    kept = kept + 2 * share * (1 - share) * both_vary
    out_mean, out_var = rounded(both(high[0] + more, var), like)

    def shared(matrix: Callable) -> Array:
        bend = jax.jvp(lambda v: relu(gap, v)[0], (spread,), (jnp.ones_like(spread),))[1]
        bend = bend.reshape(-1)
        return 2 * bend[:, None] * bend[None] * jnp.square(matrix(gap, gap))

    return node(out_mean, out_var, lambda: (var - kept).astype(like.dtype), shared)
