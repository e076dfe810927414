r"""How a Student t variate moves with its degrees of freedom: one integral of one sign.

For t > 0, in y = log(1 + u^2/df) with the share X = 1 - e^{-y} = u^2 / (df + u^2), the score
d log p(u)/d df = s/2 and the implicit derivative are

  s(y) = digamma((df + 1)/2) - digamma(df/2) - 1/df - (y - X) + X/df,
  dlog t/d df = 1/4 int_{y > y_t} s e^{-df (y - y_t)/2} / sqrt(X_t X) dy,
              = -1/4 int_{y < y_t} (the same) dy,

whichever has an integrand of one sign: s is positive up to u^2 = 1 + sqrt(2) as df grows, negative
beyond. The terms of s that are of lower order than the answer, 1/df^2, have been cancelled by hand.
In y = y_t + L v^2, or y_t v^2, no scale but the one of the exponential is left to the nodes v.

Below df = 2 the outer integrand has two scales, 2/df and that on which X reaches 1. There its limit
X = 1 is taken out, the integral of which is closed,

  (2/df) (1 - y_t - 1/(df + 1) - h(df/2 + 1/2)),    h(z) = digamma(z + 1/2) - digamma(z) - 1/(2 z).
"""

import jax.numpy as jnp
from jax import lax

from stochastic_net._types import Array
from stochastic_net.random._digamma import half_step
from stochastic_net.random._elementary import exp, exp_less_line, expm1
from stochastic_net.random._quadrature import Rule, sum_over_nodes
from stochastic_net.random._tail_rules import STUDENT_T

_TURN = 1 + 2**0.5  # u^2 where the score changes sign, for many degrees of freedom
_FEW = 2.0  # degrees of freedom below which the limit is taken out


def t_derivative(df: Array, t: Array) -> Array:
    """dt/d df at a draw t of Student's distribution; relative error below 1e-5 in float32."""
    return derivative_by(STUDENT_T.of(t.dtype), df, t)


def derivative_by(rule: Rule, df: Array, t: Array) -> Array:
    """dt/d df by that rule."""
    half, few = 0.5 * df, df < _FEW
    y_t, inside = _place(df, jnp.abs(t))
    reach = rule.cut / lax.stop_gradient(half + jnp.where(few, 1, 0))
    start, length = jnp.where(inside, 0.0, y_t), jnp.where(inside, y_t, reach)
    shift, two_scales = half_step(half), few & ~inside

    def terms(node: Array, weight: Array) -> tuple[Array]:
        y = start + length * (node * node)
        share = -expm1(-y)
        root = lax.rsqrt(share)
        score = shift - exp_less_line(-y) + share / df
        limit = shift + (1 + 1 / df) - y
        score = jnp.where(two_scales, root * score - limit, root * score)
        return ((2 * node * weight) * exp(half * (y_t - y)) * score,)

    (total,) = sum_over_nodes(terms, df, rule)
    total = length * jnp.where(inside, -total, total)
    middle = half + 0.5
    closed = (1 - y_t - 0.5 / middle - half_step(middle)) / half
    total += jnp.where(two_scales, closed, 0.0)
    return t * total * (0.25 * lax.rsqrt(-expm1(-y_t)))


def _place(df: Array, size: Array) -> tuple[Array, Array]:
    """y_t for a draw of that size, and whether the integral from 0 to t is the one to take."""
    ratio = size * lax.rsqrt(df)
    far = ratio > 1e8  # the square, and the ratio itself, may overflow
    q = jnp.square(jnp.where(far, 1.0, ratio))
    log_q = 2 * jnp.log(jnp.where(far, size, 1.0)) - jnp.log(df)
    y_t = jnp.where(far, log_q, jnp.log1p(q))
    # The derivative of log t is flat where t is small.
    return jnp.maximum(y_t, 1e-20), ~far & (q < jnp.minimum(_TURN / df, _TURN / _FEW))
