r"""Densities with gamma functions, without the cancellation of large logarithms.

lgamma(a) = (a - 1/2) log a - a + log(2 pi)/2 + s(a) defines Stirling's error s(a), of size 1/(12a).
With the deviance D(x, m) = x log(x/m) + m - x >= 0, the log-densities of the gamma, beta and
t laws and of the Poisson, binomial and negative binomial ones are sums of D, s and logarithms whose
terms are no larger than the result (Loader 2000, "Fast and accurate computation of binomial
probabilities"). The plain forms lose all digits of float32 at parameters of 1e6.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from stochastic_net._types import Array

LOG_2PI = math.log(2 * math.pi)
EULER_GAMMA = 0.5772156649015329

# s(a) = sum_k c_k / a^(2k - 1) with c_k = B_2k / (2k (2k - 1)) (DLMF 5.11.1).
_SERIES = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400)
# The relative difference of two parameters below which a divergence is by Taylor's theorem: its
# fourth order is then as large as what rounding leaves of the formula that cancels.
_NEAR = {np.dtype(np.float32): 0.03, np.dtype(np.float64): 1e-4}
_SHIFT = {np.dtype(np.float32): (4, 5), np.dtype(np.float64): (10, 8)}  # steps up, terms kept
# (artanh(v) - v) / v^3 = 1/3 + v^2/5 + v^4/7 + ..., highest power first.
ARTANH_TAIL = tuple(1.0 / (2 * k + 3) for k in reversed(range(16)))


def stirling_error(a: Array) -> Array:
    """s(a) for a > 0: the recurrence carries a to where the asymptotic series has converged."""
    steps, terms = _SHIFT[jnp.dtype(a.dtype)]
    small = a < steps
    start = jnp.where(small, a, 1.0)
    up = sum(_step(start + k) for k in range(steps))
    z = jnp.where(small, a + steps, a)
    series = jnp.polyval(jnp.array(_SERIES[terms - 1 :: -1], a.dtype), 1 / (z * z), unroll=8) / z
    return series + jnp.where(small, up, 0.0)


def stirling_slope(a: Array) -> Array:
    """s'(a) = digamma(a) - log(a) + 1/(2a)."""
    return jax.jvp(stirling_error, (a,), (jnp.ones_like(a),))[1]


def digamma_less_log(a: Array) -> Array:
    """digamma(a) - log(a), which is -1/(2a) for large a."""
    return stirling_slope(a) - 0.5 / a


def lgamma_increment(h: Array) -> Array:
    """lgamma(h + 1/2) - lgamma(h) - log(h)/2, which is -1/(8h) for large h."""
    return (h * jnp.log1p(0.5 / h) - 0.5) + stirling_error(h + 0.5) - stirling_error(h)


def log_beta(a: Array, b: Array) -> Array:
    """log B(a, b)."""
    low, high = jnp.minimum(a, b), jnp.maximum(a, b)
    n = a + b
    error = stirling_error(low) + stirling_error(high) - stirling_error(n)
    shares = (low - 0.5) * log_ratio(low, n) - high * jnp.log1p(low / high)
    return error + shares - 0.5 * jnp.log(high) + 0.5 * LOG_2PI


@jax.custom_jvp
def deviance(x: Array, m: Array) -> Array:
    """D(x, m) = x log(x/m) + m - x for x >= 0 and m > 0: 0 at x = m, else positive."""
    v = (x - m) / (x + m)
    near = abs(v) < 1 / 3
    square = jnp.where(near, v * v, 0.0)
    tail = jnp.polyval(jnp.array(ARTANH_TAIL, x.dtype), square, unroll=16)
    close = (x - m) * v + 2 * x * v * square * tail
    far = jnp.where(x == 0, 0.0, x * log_ratio(jnp.where(x == 0, 1.0, x), m)) + (m - x)
    return jnp.where(near, close, far)


@deviance.defjvp
def _deviance_jvp(primals, tangents):
    x, m = primals
    zero = x == 0
    slope = jnp.where(zero, 0.0, log_ratio(jnp.where(zero, m, x), m))
    return deviance(x, m), slope * tangents[0] + ((m - x) / m) * tangents[1]


def deviance_of_share(a: Array, n: Array, share: Array) -> Array:
    """D(a, n share): a share may be a normal number where n share, of a small n, is none."""
    unit = jnp.minimum(n, 1)  # D(c x, c m) = c D(x, m)
    return unit * deviance(a / unit, n / unit * share)


def log_ratio(x: Array, m: Array) -> Array:
    """log(x / m) for positive x and m, exact where they nearly agree."""
    ratio = x / m
    near = (ratio > 0.5) & (ratio < 2)
    fits = (ratio >= jnp.finfo(x.dtype).tiny) & jnp.isfinite(ratio)
    far = jnp.where(fits, jnp.log(jnp.where(fits, ratio, 1.0)), jnp.log(x) - jnp.log(m))
    return jnp.where(near, jnp.log1p(jnp.where(near, (x - m) / m, 0.0)), far)


def log_poisson(k: Array, rate: Array) -> Array:
    """k log(rate) - rate - lgamma(k + 1) for real k >= 0 and rate > 0."""
    zero = k == 0
    some = jnp.where(zero, 1.0, k)
    log_p = -deviance(some, rate) - stirling_error(some) - 0.5 * (jnp.log(some) + LOG_2PI)
    return jnp.where(zero, -rate, log_p)


def log_gamma_kernel(a: Array, y: Array, log_y: Array | None = None) -> Array:
    """a log(y) - y - lgamma(a): the log-density of log Gamma(a) at log(y).

    `log_y`, where it is given, may be that of a y which has underflowed.
    """
    info = jnp.finfo(y.dtype)
    tiny, most = float(info.tiny), 0.1 * float(info.max)  # finite, and so is the derivative
    kernel = log_poisson(a, jnp.clip(y, tiny, most)) + jnp.log(a)
    if log_y is None:
        return kernel
    return kernel + a * jnp.where(y < tiny, log_y - math.log(tiny), 0.0)


def log_binomial(k: Array, n: Array, p: Array, q: Array) -> Array:
    """log of n! / (k! (n-k)!) p^k q^(n-k) for real 0 <= k <= n, and q = 1 - p given apart."""
    none, all_ = k == 0, k == n
    inside = ~(none | all_)
    n_, k_ = jnp.where(inside, n, 2.0), jnp.where(inside, k, 1.0)
    rest = n_ - k_
    p_, q_ = jnp.where(inside, p, 0.5), jnp.where(inside, q, 0.5)
    middle = stirling_error(n_) - stirling_error(k_) - stirling_error(rest)
    middle = middle - deviance(k_, n_ * p_) - deviance(rest, n_ * q_)
    middle = middle - 0.5 * (LOG_2PI + jnp.log(k_) + log_ratio(rest, n_))
    return jnp.where(inside, middle, jnp.where(none, n * _log_of(q, p), n * _log_of(p, q)))


def bregman_lgamma_less_deviance(q: Array, p: Array) -> Array:
    """lgamma(q) - lgamma(p) - (q - p) digamma(p) - D(q, p), which is >= 0 and of order 1."""
    direct = stirling_error(q) - stirling_error(p) - (q - p) * stirling_slope(p)
    return 0.5 * deviance(jnp.ones_like(q), q / p) + bend(stirling_slope, q, p, p, direct)


def bend(slope: Callable[[Array], Array], q: Array, p: Array, scale: Array, direct: Array) -> Array:
    """f(q) - f(p) - (q - p) f'(p) for the slope f': `direct`, or by Taylor where that cancels.

    It does where q and p are close on the `scale` on which f changes.
    """
    near = abs(q - p) < _NEAR[np.dtype(p.dtype)] * scale
    step = jnp.where(near, q - p, 0.0)

    def moved(x: Array) -> Array:
        return jax.jvp(slope, (x,), (step,))[1]

    first, second = jax.jvp(moved, (p,), (step,))
    return jnp.where(near, step * (first / 2 + second / 6), direct)


def _step(a: Array) -> Array:
    """s(a) - s(a + 1)."""
    return (a + 0.5) * jnp.log1p(1 / a) - 1


def _log_of(p: Array, q: Array) -> Array:
    """log(p), by the smaller of p and q = 1 - p."""
    rare = p < 0.5
    return jnp.where(rare, jnp.log(jnp.where(rare, p, 1.0)), jnp.log1p(-jnp.where(rare, 0.0, q)))
