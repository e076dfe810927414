"""How draws move with their shape parameters, in float64: dz/dtheta = -(dF/dtheta) / p(z).

-dF/dtheta is the integral of the score d log p / dtheta times the density over the tail above the
draw, or less that over the tail below: of the two the one in which terms do not cancel. Nothing
here is code of the library. The arguments are arrays of float64 that broadcast.
"""

import functools

import mpmath
import numpy as np
from scipy import special


def half_line(integrand, scale, step=0.01):
    """The integral over s > 0 of `integrand`, which decays on about the given scale.

    The double-exponential rule: trapezoids in tau with s = scale * exp(pi/2 sinh(tau)).
    """
    tau = np.arange(-4.2, 4.2, step)
    s = np.asarray(scale)[..., None] * np.exp(np.pi / 2 * np.sinh(tau))
    with np.errstate(all="ignore"):
        values = integrand(s) * s
    return step * np.pi / 2 * (np.nan_to_num(values, posinf=0) * np.cosh(tau)).sum(-1)


def interval(integrand, low, high, panels=12, order=48):
    """The integral from `low` to `high`, by Gauss and Legendre's rule on equal panels."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    edges = (np.arange(panels)[:, None] + (nodes + 1) / 2).ravel() / panels
    width = np.asarray(high - low)[..., None]
    values = integrand(np.asarray(low)[..., None] + width * edges)
    return (values * np.tile(weights, panels)).sum(-1) * width[..., 0] / (2 * panels)


def _columns(*arrays):
    return (np.asarray(x, np.float64)[..., None] for x in np.broadcast_arrays(*arrays))


def log_gamma_slope(a, y):
    """d log z / da of z = exp(y) ~ Gamma(a)."""
    a, y = np.broadcast_arrays(np.asarray(a, np.float64), y)
    with np.errstate(over="ignore"):
        scale = 1 / (a + np.abs(np.exp(y) - a) + np.sqrt(a))
    a_, y_ = _columns(a, y)
    z, gap = np.exp(y_), y_ - special.digamma(a_)
    above = half_line(lambda s: (gap + s) * np.exp(a_ * s - z * np.expm1(s)), scale)
    below = half_line(lambda s: (gap - s) * np.exp(-a_ * s - z * np.expm1(-s)), scale)
    return np.where(np.exp(y) > a, above, -below)


@functools.partial(np.vectorize, otypes=[float])
@functools.cache
def _digamma_rise(a, b):
    """digamma(a + b) - digamma(a), which cancels for a small b."""
    with mpmath.workdps(40):
        return float(mpmath.digamma(mpmath.mpf(float(a)) + float(b)) - mpmath.digamma(float(a)))


def logit_beta_slope(a, b, y):
    """d logit(x) / da of x = expit(y) ~ Beta(a, b)."""
    a, b, y = np.broadcast_arrays(np.asarray(a, np.float64), b, y)
    x, rest = special.expit(y), special.expit(-y)
    rate = a * b / (a + b) + np.sqrt(a * b / (a + b)) + np.abs(a * rest - b * x)
    a_, b_, x_, rest_ = _columns(a, b, x, rest)
    gap = -np.log1p(rest_ / x_) + _digamma_rise(a, b)[..., None]

    def above(s):
        by_x = -np.log1p(rest_ * np.expm1(-s))
        return (gap + by_x) * np.exp(a_ * by_x + b_ * (by_x - s))

    def below(s):
        by_rest = -np.log1p(x_ * np.expm1(-s))
        return (gap + by_rest - s) * np.exp(a_ * (by_rest - s) + b_ * by_rest)

    return np.where(x * (a + b) > a, half_line(above, 1 / rate), -half_line(below, 1 / rate))


@functools.partial(np.vectorize, otypes=[float])
@functools.cache
def _t_constant(df):
    """(digamma((df + 1) / 2) - digamma(df / 2) - 1 / df) / 2, which cancels."""
    with mpmath.workdps(40):
        df = mpmath.mpf(float(df))
        return float((mpmath.digamma((df + 1) / 2) - mpmath.digamma(df / 2) - 1 / df) / 2)


def t_slope(df, t):
    """dt/d(df) of a Student t draw."""
    df, t = np.broadcast_arrays(np.asarray(df, np.float64), t)
    df_, size = _columns(df, np.abs(t))
    constant = _t_constant(df)[..., None]

    def score(u):
        w = u * u / df_
        return constant + (w / (1 + w) - np.log1p(w) + w / (1 + w) / df_) / 2

    def ratio(u):
        return np.exp(-(df_ + 1) / 2 * np.log1p((u - size) * (u + size) / (df_ + size * size)))

    # In log u, so that the powers of a heavy tail become exponentials.
    def above(s):
        u = size * np.exp(s)
        return score(u) * ratio(u) * u

    up = half_line(above, 1 / (df + 1 + t * t * (df + 1) / (df + t * t)))
    down = interval(lambda u: score(u) * ratio(u), np.zeros_like(t), np.abs(t))
    return np.sign(t) * np.where(np.abs(t) > 1, up, -down)


def von_mises_slope(kappa, angle):
    """dz/d(kappa) of an angle in [-pi, pi] about 0."""
    kappa, angle = np.broadcast_arrays(np.asarray(kappa, np.float64), angle)
    z = np.abs(angle)
    gap = 1 - special.ive(1, kappa) / special.ive(0, kappa)
    with np.errstate(divide="ignore", invalid="ignore"):
        series = 1 / (2 * kappa) + 1 / (8 * kappa**2) + 1 / (8 * kappa**3) + 25 / (128 * kappa**4)
    gap = np.where(kappa > 1e3, series, gap)  # DLMF 10.40.1
    kappa_, z_, gap_ = _columns(kappa, z, gap)

    def integrand(t):
        fall = 2 * kappa_ * np.sin((t - z_) / 2) * np.sin((t + z_) / 2)
        return (gap_ - 2 * np.sin(t / 2) ** 2) * np.exp(-fall)

    far = np.sqrt(np.minimum(1, np.sin(z / 2) ** 2 + 45 / (2 * kappa + 1e-9)))
    up = interval(integrand, z, 2 * np.arcsin(far))
    down = interval(integrand, np.zeros_like(z), z)
    return np.sign(angle) * np.where(2 * np.sin(z / 2) ** 2 < gap, -down, up)


def wald_slope(mean, x):
    """dx/d(mean) of a Wald draw of concentration 1."""
    t = (x / mean + 1) / np.sqrt(x)
    return 2 * x * np.sqrt(x) / mean**2 * np.sqrt(np.pi / 2) * special.erfcx(t / np.sqrt(2))


def truncated_normal_slopes(low, high, z):
    """dz/d(low) and dz/d(high) of a standard normal draw between the two."""
    low, high, z = np.broadcast_arrays(*(np.asarray(x, np.float64) for x in (low, high, z)))
    far = np.abs(z) + 40
    low_, high_ = np.clip(low, -far, far), np.clip(high, -far, far)

    def mass(start, stop):
        """Of the normal density over its height at z."""

        def density(t):
            return np.exp(-(t - z[..., None]) * (t + z[..., None]) / 2)

        near = np.clip(stop, None, np.sqrt(np.maximum(start, 0) ** 2 + 90))  # the rest is 0
        back = np.clip(start, -np.sqrt(np.minimum(stop, 0) ** 2 + 90), None)
        return interval(density, back, near, panels=24)

    below, above = mass(low_, z), mass(z, high_)
    at_low, at_high = (np.exp(-(end - z) * (end + z) / 2) for end in (low_, high_))
    return at_low * above / (below + above), at_high * below / (below + above)
