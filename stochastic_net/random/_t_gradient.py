r"""How a Student t variate moves with its degrees of freedom.

For t > 0, with the score s(u) = d log p(u)/d df,

  dlog t/d df = -int_0^t s(u) p(u) du / (t p(t)) = +int_t^inf (the same),

whichever has an integrand of one sign: s is positive up to u^2 = 1 + sqrt(2) as df grows, negative
beyond. The answer is of order 1/df^2, so the score is written without its terms of lower order:
with q = u^2/df and X = q/(1 + q),

  2 s(u) = [digamma((df + 1)/2) - digamma(df/2) - 1/df] - [log(1 + q) - X] + X/df.

Below df = 2 the two sides have scales too far apart for few nodes; there X(t) ~ Beta(1/2, df/2)
gives 2 dlog t = dlog df + dlogit X, which loses nothing yet.
"""

import jax.numpy as jnp
import numpy as np
from jax import lax

from stochastic_net._types import Array
from stochastic_net.random._beta_gradient import logit_beta_derivative
from stochastic_net.random._digamma import half_step
from stochastic_net.random._implicit import finite
from stochastic_net.random._quadrature import sum_over_nodes

_CUT = {np.dtype(np.float32): 16.0, np.dtype(np.float64): 35.0}  # what is below e^-cut is left out
_TURN = 1 + 2**0.5  # t^2 where the score changes sign, for many degrees of freedom
_SPLIT = 2.0  # degrees of freedom below which the beta form is taken


def t_derivative(df: Array, t: Array) -> Array:
    """dt/d df at a draw t of Student's distribution; relative error below 1e-5 in float32."""
    few = df < _SPLIT
    ratio = finite(jnp.abs(t) * lax.rsqrt(df))
    direct = _direct(jnp.where(few, _SPLIT, df), jnp.where(few, 1.0, ratio))
    by_beta = _by_beta(jnp.where(few, df, 1.0), jnp.where(few, ratio, 1.0))
    return t * jnp.where(few, by_beta, direct)


def _by_beta(df: Array, ratio: Array) -> Array:
    """dlog t/d df through Beta(1/2, df/2); `ratio` is t / sqrt(df)."""
    small = ratio < 1
    inverse = jnp.where(small, ratio, 1 / ratio)
    least = jnp.finfo(df.dtype).tiny
    square = jnp.maximum(inverse * inverse, least)
    share = square / (1 + square)
    x, rest = jnp.where(small, share, 1 - share), jnp.where(small, 1 - share, share)
    dlogit = logit_beta_derivative(0.5 * df, jnp.full_like(df, 0.5), rest, x)
    # Far out 1 - X underflows, where dlogit is linear in its logarithm.
    underflow = ~small & (square == least)
    lost = jnp.where(underflow, 2 * jnp.log(ratio) + np.log(float(least)), 0.0)
    return 0.5 / df - 0.25 * (dlogit + 2 * lost / df)


def _direct(df: Array, ratio: Array) -> Array:
    """dlog t/d df as an integral over u = t v, v in [0, 1] or v = e^y in [1, inf)."""
    q = ratio * ratio
    inside = df * q < _TURN
    log_1q = jnp.log1p(q)
    shift = half_step(0.5 * df)
    length = lax.stop_gradient(_cut_at(df, jnp.where(inside, _TURN / df, q)))

    def terms(node: Array, weight: Array) -> tuple[Array]:
        v = jnp.where(inside, node, jnp.exp(length * node))
        q_v = q * v * v
        share, log_1qv = q_v / (1 + q_v), jnp.log1p(q_v)
        score = shift - _log_less_share(share, log_1qv) + share / df
        density = jnp.exp(0.5 * (df + 1) * (log_1q - log_1qv))
        return (weight * score * density * jnp.where(inside, -1.0, length * v),)

    (total,) = sum_over_nodes(terms, q, single=12, double=32)
    return 0.5 * total


def _log_less_share(share: Array, log_1q: Array) -> Array:
    """log(1 + q) - X for X = q/(1 + q), as -log(1 - X) - X = X^2/2 + X^3/3 + ... where small."""
    small = share < 0.25
    terms = 10 if share.dtype == np.float32 else 24
    near = jnp.where(small, share, 0.0)
    series = jnp.polyval(jnp.array(1 / np.arange(terms + 1, 1, -1), share.dtype), near, unroll=32)
    return jnp.where(small, near * near * series, log_1q - share)


def _cut_at(df: Array, q: Array) -> Array:
    """The y where the density of log u has fallen to e^-cut: its parabola, and one Newton step."""
    cut = _CUT[jnp.dtype(df.dtype)]
    share = q / (1 + q)
    slope, bend = (df + 1) * share - 1, 2 * (df + 1) * share * (1 - share)
    y = 2 * cut / (slope + jnp.sqrt(slope * slope + 2 * cut * bend))
    growth = share * jnp.expm1(2 * y)
    excess = 0.5 * (df + 1) * jnp.log1p(growth) - y - cut
    steepness = (df + 1) * (share + growth) / (1 + growth) - 1
    return y - excess / steepness
