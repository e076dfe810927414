"""The samplers whose derivative is implicit: right law, right derivative, at every extreme.

Truth is quadrature in float64, itself held to mpmath at 40 digits, and scipy's distribution
functions.
"""

import functools

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.stats
from _implicit import INF, PI, SAMPLERS
from _truth import truth

import stochastic_net as sn

BOUNDS = [
    (-1.0, 1.0),
    (0.0, 1.0),
    (-2.0, 0.5),
    (-10.0, 10.0),
    (-INF, INF),
    (-INF, -3.0),
    (-INF, 4.0),
    (2.0, INF),
    (5.5, 20.0),
    (-8.0, -7.5),
    (9.0, 10.0),
    (30.0, 31.0),
    (3.0, 3.0001),
    (-0.001, 0.001),
]
KAPPAS = [0.0, 1e-3, 0.3, 0.77, 0.79, 1.0, 2.0, 5.0, 15.0, 40.0, 1e3, 1e4]
MEANS = [1e-4, 1e-2, 0.3, 1.0, 5.0, 100.0, 1e4]


LAWS = [
    *(("truncated_normal", bounds, scipy.stats.truncnorm(*bounds)) for bounds in BOUNDS),
    *(("von_mises", (kappa,), scipy.stats.vonmises(max(kappa, 1e-9))) for kappa in KAPPAS),
    *(("wald", (mean,), scipy.stats.invgauss(mean)) for mean in MEANS),
    *(("wald smooth", (mean,), scipy.stats.invgauss(mean)) for mean in MEANS),
]


@pytest.mark.parametrize(("name", "params", "law"), LAWS, ids=lambda v: str(v)[:40])
def test_the_law_is_right(name, params, law):
    # Kolmogorov-Smirnov at 1e-6: with 40 rows the whole table alarms falsely once in 25,000 runs.
    # A float32 is rounded: near 3 its cells are 1 / 400 of the interval (3, 3.0001).
    z = np.asarray(SAMPLERS[name](jax.random.key(11), *params, (200_000,), "float32"), np.float64)
    assert np.isfinite(z).all()
    assert scipy.stats.kstest(z, law.cdf).pvalue > 1e-6 or params == (3.0, 3.0001)
    fine = np.abs(z).min() > 10 * np.finfo(np.float32).eps * np.abs(z).max()
    low, high = law.support() if name != "von_mises" else (-PI, PI)
    assert low < z.min(), z.max() < high
    assert np.unique(z).size > (300 if fine else 100_000)


def _mills(x):
    return mpmath.quad(lambda t: mpmath.exp(-t * x - t * t / 2), [0, 1, 8, mpmath.inf])


def _mass(low, high):
    """The normal mass of an interval, from the tail where it does not cancel."""
    low, high = mpmath.mpf(low), mpmath.mpf(high)
    if low + high < 0:
        low, high = -high, -low
    return (mpmath.erfc(low / mpmath.sqrt(2)) - mpmath.erfc(high / mpmath.sqrt(2))) / 2


def _truncated_normal_truth(z, low, high):
    total = _mass(low, high)
    below, above = _mass(low, z), _mass(z, high)
    ratio_low, ratio_high = (
        mpmath.exp((mpmath.mpf(z) ** 2 - mpmath.mpf(b) ** 2) / 2) for b in (low, high)
    )
    return above / total * ratio_low, below / total * ratio_high


def _von_mises_truth(z, kappa):
    z, kappa = mpmath.mpf(z), mpmath.mpf(kappa)
    mean = mpmath.besseli(1, kappa) / mpmath.besseli(0, kappa)

    def integrand(t):
        return (mpmath.cos(t) - mean) * mpmath.exp(kappa * (mpmath.cos(t) - mpmath.cos(z)))

    if mpmath.cos(z) > mean:
        return (-mpmath.quad(integrand, mpmath.linspace(0, z, 3)),)
    sine = mpmath.sin(z / 2) ** 2 + 100 / (2 * kappa + mpmath.mpf(10) ** -9)
    end = 2 * mpmath.asin(mpmath.sqrt(min(mpmath.mpf(1), sine)))
    return (mpmath.quad(integrand, mpmath.linspace(z, end, 6)),)


def _wald_truth(x, mean):
    x, mean = mpmath.mpf(x), mpmath.mpf(mean)
    t = (x / mean + 1) / mpmath.sqrt(x)
    return (2 * x * mpmath.sqrt(x) / mean**2 * _mills(t),)


# The truth of the grids below is quadrature in float64; here it is held to 40 digits.
SUBGRIDS = {
    "truncated_normal": (
        lambda z, *bounds: truth.truncated_normal_slopes(*bounds, z),
        _truncated_normal_truth,
        [
            (0.3, -1, 1),
            (-0.9, -1, 1),
            (5.6, 5.5, 20),
            (-9.5, -10, 10),
            (30.01, 30, 31),
            (9, -1, 10),
        ],
    ),
    "von_mises": (
        lambda z, kappa: [truth.von_mises_slope(kappa, z)],
        _von_mises_truth,
        [(1.0, 0.0), (0.3, 0.77), (2.9, 5.0), (0.2, 15.0), (0.01, 1e3), (0.04, 1e4)],
    ),
    "wald": (
        lambda z, mean: [truth.wald_slope(mean, z)],
        _wald_truth,
        [(1e-4, 1e-4), (0.2, 0.3), (2.0, 1.0), (0.1, 1e4), (4e8, 1e4)],
    ),
}


@pytest.mark.parametrize("name", SUBGRIDS)
def test_the_truth_is_that_of_40_digits(name):
    quadrature, exact, points = SUBGRIDS[name]
    with mpmath.workdps(40):
        expected = [[float(slope) for slope in exact(*point)] for point in points]
    got = np.transpose(quadrature(*np.array(points, float).T))
    np.testing.assert_allclose(got, expected, rtol=1e-11)


TAILS = np.array([1e-6, 1e-3, 0.03, 0.2, 0.4])
ENDS = [-INF, -10, -6, -3, -1, -0.1, 0, 0.1, 1, 3, 6, 10, INF]


def _at_quantiles(law, columns):
    """Draws at the quantiles of laws, and the laws' parameters, of float32 numbers."""
    z = np.concatenate([q(t) for t in TAILS for q in (law.ppf, law.isf)])
    return [
        np.float32(c).astype(float) for c in (z, *(np.tile(c, 2 * TAILS.size) for c in columns))
    ]


@functools.cache
def _grid(name):
    """Draws, their parameters, and the derivatives at these draws."""
    if name == "von_mises":
        kappa = np.float32([0.0, *np.logspace(-3, 4, 29), *KAPPAS]).astype(float)
        # By the law's own width: scipy has no exact quantile of a narrow one.
        width = np.minimum(np.pi, 5 / np.sqrt(kappa + 1e-9))
        z = np.float32(np.outer([1e-6, 0.1, 0.3, 0.5, 0.8, 0.999], width)).astype(float).ravel()
        kappa = np.tile(kappa, 6)
        return z, (kappa,), [truth.von_mises_slope(kappa, z)]
    mean = np.float32([*np.logspace(-4, 4, 17), *MEANS]).astype(float)
    z, mean = _at_quantiles(scipy.stats.invgauss(mean), (mean,))
    return z, (mean,), [truth.wald_slope(mean, z)]


def test_a_truncated_normal_holds_few_arrays():
    """One pass makes the draw: more arrays of a million elements are new memory at every call."""

    def both(lower, upper):
        return sn.random.truncated_normal(jax.random.key(0), lower, upper).sum()

    rows = jnp.full(100_000, -1.0), jnp.full(100_000, 2.0)
    compiled = jax.jit(jax.value_and_grad(both, (0, 1))).lower(*rows).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 6 * rows[0].nbytes


def test_the_derivative_of_a_truncated_normal_is_exact(dtype):
    """At 50 draws from every interval between ends up to 10 deviations out, and some others."""
    bounds = [(a, b) for i, a in enumerate(ENDS) for b in ENDS[i + 1 :]]
    low, high = np.float32([*bounds, *BOUNDS]).T

    @jax.jit
    def slopes(low, high):
        draw = functools.partial(sn.random.truncated_normal, jax.random.key(14))
        z, pull = jax.vjp(draw, *(jnp.broadcast_to(end, (50, end.size)) for end in (low, high)))
        return z, pull(jnp.ones_like(z))

    z, got = slopes(jnp.asarray(low, dtype), jnp.asarray(high, dtype))
    around = [np.nextafter(z, np.asarray(end, z.dtype)) for end in (-INF, INF)]
    at, *around = (np.clip(np.asarray(x, float), low, high) for x in (z, *around))
    truths = [truth.truncated_normal_slopes(low, high, x) for x in (at, *around)]
    for slope, expected, below, above in zip(got, *truths, strict=True):
        big = np.abs(expected) > 1e-30  # what is left underflows in float32
        miss = np.abs(np.asarray(slope, np.float64) - expected) - np.abs(above - below)
        # Next to the far bound the derivative falls to 0 and the draw is exact to 4e-6 alone:
        # errors are relative to a hundredth of what is typical of the interval there.
        typical = 1e-2 * np.median(np.abs(expected), axis=0) * np.ones_like(expected)
        error = (miss / np.maximum(np.abs(expected), typical + 1e-37))[big]
        assert error.max() <= (1e-4 if dtype == "float32" else 1e-9)
        assert np.quantile(error, 0.99) <= (1e-5 if dtype == "float32" else 1e-9)
        assert np.abs(np.asarray(slope))[~big].max(initial=0) <= 1e-28


@pytest.mark.parametrize("name", ["von_mises", "wald"])
def test_the_derivative_is_exact(name, dtype):
    z, params, slopes = _grid(name)
    module = __import__(f"stochastic_net.random._{name}", fromlist=["_move"])
    arrays = [jnp.asarray(c, dtype) for c in (z, *params)]

    @jax.jit
    def derivatives(z, *params):
        move = functools.partial(module._move, z)
        ones = [jnp.ones_like(z)] * len(params)
        zeros = [jnp.zeros_like(z)] * len(params)
        return [
            jax.jvp(move, params, (*zeros[:i], ones[i], *zeros[i + 1 :]))[1]
            for i in range(len(params))
        ]

    for slope, expected in zip(derivatives(*arrays), slopes, strict=True):
        big = np.abs(expected) > 1e-30  # what is left underflows in float32
        error = np.abs(np.asarray(slope, np.float64) - expected)[big] / np.abs(expected)[big]
        assert error.max() <= (1e-4 if dtype == "float32" else 1e-9)
        assert np.quantile(error, 0.99) <= (1e-5 if dtype == "float32" else 1e-9)
        assert np.abs(np.asarray(slope))[~big].max(initial=0) <= 1e-30
