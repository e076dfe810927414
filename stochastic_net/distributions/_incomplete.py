r"""Incomplete gamma and beta functions, and the tail of Student's t, at large parameters too.

`jax.scipy.special` in float32 is right for small parameters and then degrades (`gammaincc(1e6, x)`
returns -0.37 in the middle of its range). From 20 on (for t from 3) a tail is integrated here: with
the density written in a coordinate where it falls monotonically from x outwards,

  tail = density(x) * integral over s > 0 of exp(-slope s - curvature(s)),

both terms positive and free of cancellation, the integral one of a smooth function by
Gauss-Legendre nodes over as far as it matters.
"""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy import special

from stochastic_net._types import Array
from stochastic_net.distributions._stable import exp_less_linear, log1p_square
from stochastic_net.random._stirling import (
    ARTANH_TAIL,
    LOG_2PI,
    deviance,
    lgamma_increment,
    log_beta,
    log_gamma_kernel,
    stirling_error,
)

_LARGE = 20.0
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(40)


def gamma_tails(a: Array, x: Array) -> tuple[Array, Array]:
    """P(a, x) and Q(a, x), the masses of Gamma(a) below and above x > 0."""
    large = a > _LARGE
    a_small, a_large = jnp.where(large, 1.0, a), jnp.where(large, a, _LARGE)
    x_small, x_large = jnp.where(large, 1.0, x), jnp.where(large, x, _LARGE)
    left = x_large < a_large
    sign = jnp.where(left, -1.0, 1.0)  # outwards in the logarithm of x

    def fall(s: Array) -> Array:
        return abs(a_large - x_large) * s + x_large * exp_less_linear(sign * s)

    size = jnp.exp(log_gamma_kernel(a_large, x_large))
    tail = size * _integral(fall, abs(a_large - x_large), x_large)
    below = jnp.where(left, tail, 1 - tail)
    above = jnp.where(left, 1 - tail, tail)
    below = jnp.where(large, below, special.gammainc(a_small, x_small))
    return below, jnp.where(large, above, special.gammaincc(a_small, x_small))


def beta_below(a: Array, b: Array, x: Array, complement: Array) -> Array:
    """I_x(a, b), the mass of Beta(a, b) below x, with `complement` = 1 - x > 0."""
    large = jnp.minimum(a, b) > _LARGE
    a_, b_ = jnp.where(large, a, _LARGE), jnp.where(large, b, _LARGE)
    x_, y_ = jnp.where(large, x, 0.5), jnp.where(large, complement, 0.5)
    n = a_ + b_
    slope = a_ * y_ - b_ * x_  # of the log-density in the logit of x
    left = slope > 0
    # Mirrored so that the tail is the lower one.
    x_, y_ = jnp.where(left, x_, y_), jnp.where(left, y_, x_)
    a_, b_ = jnp.where(left, a_, b_), jnp.where(left, b_, a_)

    rare = jnp.minimum(x_, y_)
    sign = jnp.where(x_ < y_, -1.0, 1.0)

    def fall(s: Array) -> Array:
        # n times the cumulant generating function of a centred Bernoulli(x), by its rarer side
        w = rare * jnp.expm1(sign * s)
        return abs(slope) * s + n * (rare * exp_less_linear(sign * s) - _less_log1p(w))

    misfit = deviance(a_, n * x_) + deviance(b_, n * y_)
    error = stirling_error(n) - stirling_error(a_) - stirling_error(b_)
    size = jnp.exp(error - misfit - 0.5 * LOG_2PI) * jnp.sqrt(a_ * (b_ / n))
    tail = size * _integral(fall, abs(slope), n * x_ * y_)
    below = jnp.where(left, tail, 1 - tail)
    a, b, x = jnp.where(large, 1.0, a), jnp.where(large, 1.0, b), jnp.where(large, 0.5, x)
    return jnp.where(large, below, special.betainc(a, b, x))


def t_above(df: Array, t: Array) -> Array:
    """The mass of Student's t above t >= 0."""
    large = df > 3
    v = jnp.where(large, df, 3.0)
    sinh = jnp.where(large, t, 1.0) / jnp.sqrt(v)
    sharp = sinh / jnp.sqrt(1 + sinh * sinh)  # tanh of w, in which t = sqrt(v) sinh(w)

    def fall(s: Array) -> Array:
        # v log(cosh(w + s) / cosh(w)), by cosh(w + s) = cosh(w) (cosh(s) + tanh(w) sinh(s))
        return v * jnp.log1p(2 * jnp.square(jnp.sinh(0.5 * s)) + sharp * jnp.sinh(s))

    log_cosh = 0.5 * log1p_square(sinh)
    size = jnp.exp(lgamma_increment(0.5 * v) - 0.5 * LOG_2PI - v * log_cosh)
    tail = size * jnp.sqrt(v) * _integral(fall, v * sharp, v * (1 - sharp * sharp))
    small = jnp.where(large, 1.0, df)
    t = jnp.where(large, 1.0, t)
    half = jnp.full_like(small, 0.5)
    far = t > 1e6 * jnp.sqrt(small)  # there the tail is a power, and the square may overflow
    near_t = jnp.where(far, 1.0, t)
    share = small / (small + near_t * near_t)
    near = 0.5 * special.betainc(0.5 * small, half, share)
    log_far = -small * (jnp.log(jnp.where(far, t, 1.0)) - 0.5 * jnp.log(small))
    power = jnp.exp(log_far - jnp.log(small) - log_beta(0.5 * small, half))
    return jnp.where(large, tail, jnp.where(far, power, near))


def _integral(fall: Callable[[Array], Array], slope: Array, bend: Array) -> Array:
    """The integral of exp(-fall(s)) over s > 0, where fall(s) is about slope s + bend s^2 / 2."""
    depth = 25.0 if slope.dtype == jnp.float32 else 45.0
    reach = 2 * depth / (slope + jnp.sqrt(slope * slope + 2 * depth * bend))
    half = 0.75 * lax.stop_gradient(reach)  # beyond the reach, for the fall may bend back
    nodes = zip(_NODES.tolist(), _WEIGHTS.tolist(), strict=True)
    return half * sum(w * jnp.exp(-fall(half * (1 + x))) for x, w in nodes)


def _less_log1p(w: Array) -> Array:
    """w - log(1 + w) by the series of artanh(v), v = w / (2 + w), where w is small."""
    near = abs(w) < 0.5
    x = jnp.where(near, w, 0.0)
    v = x / (2 + x)
    square = v * v
    tail = jnp.polyval(jnp.array(ARTANH_TAIL, w.dtype), square, unroll=16)
    return jnp.where(near, v * (x - 2 * square * tail), w - jnp.log1p(w))
