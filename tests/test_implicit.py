"""The samplers whose derivative is implicit: right law, right derivative, at every extreme.

Truth is quadrature in float64, itself held to mpmath at 40 digits, and scipy's distribution
functions.
"""

import functools
import math
import runpy
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.stats
from jax.scipy.special import betainc, gammainc, ndtr

import stochastic_net as sn

# How draws move, by quadrature in float64 (what the benchmarks take for the truth too).
truth = SimpleNamespace(
    **runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "_truth.py"))
)
INF = math.inf
PI = math.pi
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
SAMPLERS = {
    "truncated_normal": sn.random.truncated_normal,
    "von_mises": sn.random.von_mises,
    "wald": sn.random.wald,
    "wald smooth": functools.partial(sn.random.wald, coupling="smooth"),
}
LAWS = [
    *(("truncated_normal", bounds, scipy.stats.truncnorm(*bounds)) for bounds in BOUNDS),
    *(("von_mises", (kappa,), scipy.stats.vonmises(max(kappa, 1e-9))) for kappa in KAPPAS),
    *(("wald", (mean,), scipy.stats.invgauss(mean)) for mean in MEANS),
    *(("wald smooth", (mean,), scipy.stats.invgauss(mean)) for mean in MEANS),
]


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    """Each precision, with x64 on for float64."""
    with jax.enable_x64(request.param == "float64" or jax.config.jax_enable_x64):
        yield request.param


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


# Mixtures: weights, and components of which each is a row of parameters.
GAUSSIANS = [
    ([0.0, 0.0], [-1.0, 1.5], [1.0, 0.5]),
    ([0.3, -0.5, 0.1], [-2.0, 0.5, 3.0], [0.5, 1.0, 2.0]),
    ([4.0, -4.0, 0.0], [0.0, 0.0, 1.0], [0.01, 9.0, 1.0]),
]
GAMMAS = [
    ([0.0, 0.0], [0.5, 3.0], [1.0, 2.0]),
    ([0.3, -0.5, 0.1], [0.7, 4.0, 30.0], [0.5, 1.0, 10.0]),
    ([2.0, -2.0, 0.0], [1.0, 1.0, 2.0], [1.0, 0.1, 5.0]),
]


def _mixture_truth(logits, laws, z, moves):
    """-dF / p by the weights, and w_k p_k / p times each component's own derivatives."""
    weights = scipy.special.softmax(logits)
    cdf, tail, density = (
        np.stack([getattr(law, f)(z) for law in laws]) for f in ("cdf", "sf", "pdf")
    )
    below, above, total = (weights @ x for x in (cdf, tail, density))
    change = np.where(below < 0.5, cdf - below, above - tail)  # the one that does not cancel
    by_logits = -weights[:, None] * change / total
    share = weights[:, None] * density / total
    return by_logits, *(share * move for move in moves)


def _gaussian_mixture(logits, mean, var):
    def expected(z):
        laws = [scipy.stats.norm(m, math.sqrt(v)) for m, v in zip(mean, var, strict=True)]
        by_var = np.stack([(z - m) / (2 * v) for m, v in zip(mean, var, strict=True)])
        return _mixture_truth(logits, laws, z, (np.ones_like(by_var), by_var))

    return expected


def _gamma_mixture(logits, shape, rate):
    def expected(z):
        laws = [scipy.stats.gamma(a, scale=1 / r) for a, r in zip(shape, rate, strict=True)]
        by_shape = np.stack(
            [z * truth.log_gamma_slope(a, np.log(r * z)) for a, r in zip(shape, rate, strict=True)]
        )
        return _mixture_truth(logits, laws, z, (by_shape, np.stack([-z / r for r in rate])))

    return expected


@functools.cache
def _mixture_gradients(family):
    """500 draws, and how each moves with its own copy of the parameters."""
    components = {"gaussian": sn.Gaussian, "gamma": sn.distributions.Gamma}[family]

    def draw(logits, *params):
        return sn.distributions.Mixture(logits, components(*params)).sample(jax.random.key(13))

    @jax.jit
    def gradients(*params):
        z, pull = jax.vjp(draw, *(jnp.broadcast_to(p, (500, p.size)) for p in params))
        return z, pull(jnp.ones_like(z))

    return gradients


@pytest.mark.parametrize("setting", range(3))
@pytest.mark.parametrize("family", ["gaussian", "gamma"])
def test_the_derivative_of_a_mixture_is_exact(family, setting, dtype):
    """At 500 draws, in the weights and in the components' parameters."""
    make, rows = {
        "gaussian": (_gaussian_mixture, GAUSSIANS),
        "gamma": (_gamma_mixture, GAMMAS),
    }[family]
    params = [np.float32(row).astype(float) for row in rows[setting]]
    expected = make(*params)

    z, gradients = _mixture_gradients(family)(*(jnp.asarray(p, dtype) for p in params))
    for got, slopes in zip(gradients, expected(np.asarray(z, np.float64)), strict=True):
        # A weight's derivative passes through 0: errors are relative to what is typical there.
        typical = np.median(np.abs(slopes), axis=1, keepdims=True)
        away = np.abs(np.asarray(got, np.float64).T - slopes)
        error = away / np.maximum(np.abs(slopes), typical)
        assert error.max() <= (1e-5 if dtype == "float32" else 1e-9)
        near_0 = away / np.maximum(np.abs(slopes), 1e-2 * typical)
        assert near_0.max() <= (1e-3 if dtype == "float32" else 1e-9)
        assert np.quantile(near_0, 0.99) <= (1e-4 if dtype == "float32" else 1e-9)


FUNCTIONS = [jnp.sin, jnp.cos, lambda z: jnp.sin(2 * z) * jnp.exp(jnp.sin(z))]
REFERENCES = [np.sin, np.cos, lambda z: np.sin(2 * z) * np.exp(np.sin(z))]


def _density(name, z, *params):
    if name == "truncated_normal":
        return scipy.stats.truncnorm(*params).pdf(z)
    return (scipy.stats.vonmises if name == "von_mises" else scipy.stats.invgauss)(*params).pdf(z)


UNBIASED = [
    ("truncated_normal", (-0.7, 1.3)),
    ("truncated_normal", (5.5, 20.0)),
    ("von_mises", (0.5,)),
    ("von_mises", (4.0,)),
    ("wald", (1.0,)),
    ("wald", (3.0,)),
    ("wald smooth", (1.0,)),
]


def _expectation(name, f, params):
    """E f by Gauss-Legendre nodes over the support, in log x for the Wald law."""
    x, w = np.polynomial.legendre.leggauss(600)
    if name == "truncated_normal":
        low, high = max(params[0], -12), min(params[1], max(params[0], -12) + 12)
    else:
        low, high = (-PI, PI) if name == "von_mises" else (-6, 6)
    t = low + (high - low) * (x + 1) / 2
    z, jacobian = (np.exp(t), np.exp(t)) if name.startswith("wald") else (t, 1.0)
    return (w * (high - low) / 2) @ (f(z) * _density(name, z, *params) * jacobian)


@functools.cache
def _gradients_over(name):
    """Of the three functions by each parameter, one draw a key; compiled once a sampler."""

    def one(key, params):
        return jnp.stack(jax.jacfwd(lambda p: jnp.stack(_values(name, key, p)))(params), -1)

    return jax.jit(jax.vmap(one, (0, None)))


def _values(name, key, params):
    z = SAMPLERS[name](key, *params)
    return [f(z) for f in FUNCTIONS]


@pytest.mark.parametrize(("name", "params"), UNBIASED, ids=str)
def test_the_gradient_is_unbiased(name, params):
    # 3 functions x 9 parameters at 5 standard errors: a false alarm in 60,000 runs.
    keys = jax.random.split(jax.random.key(21), 20_000)
    sample = np.asarray(_gradients_over(name)(keys, params), np.float64)
    for index in range(len(params)):
        h = 1e-4 * abs(params[index])
        ends = [[p + s * h if j == index else p for j, p in enumerate(params)] for s in (1, -1)]
        for slope, f in zip(sample[..., index].T, REFERENCES, strict=True):
            up, down = (_expectation(name, f, p) for p in ends)
            expected = (up - down) / (2 * h)
            error = slope.std() / math.sqrt(slope.size)
            assert abs(slope.mean() - expected) <= 5 * error + 1e-5 * abs(expected)


def test_the_gradient_of_jaxs_own_wald_would_fail_that_test():
    slopes = {}

    def f(x, module=np):
        return module.sin(x) + 0.3 * x + 0.3 * module.cos(1.3 * x)

    for name, wald in (("jax", jax.random.wald), ("ours", sn.random.wald)):
        slope = jax.grad(lambda mean, key, wald=wald: f(wald(key, mean), jnp))
        keys = jax.random.split(jax.random.key(22), 200_000)
        slopes[name] = np.asarray(jax.jit(jax.vmap(slope, (None, 0)))(1.0, keys), np.float64)
    h = 1e-4
    truth = (_expectation("wald", f, (1 + h,)) - _expectation("wald", f, (1 - h,))) / (2 * h)
    z = {k: abs(v.mean() - truth) / (v.std() / math.sqrt(v.size)) for k, v in slopes.items()}
    assert z["ours"] < 5
    assert z["jax"] > 5


PARAMS = {
    "truncated_normal": ([-1.0, 5.0, -INF], [2.0, INF, -4.0]),
    "von_mises": ([0.0, 2.0, 1e4],),
    "wald": ([0.1, 1.0, 100.0],),
    "wald smooth": ([0.1, 1.0, 100.0],),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_same_draw_and_gradient_everywhere(name):
    params = [jnp.array(p) for p in PARAMS[name]]

    def both(seed):
        def draw(*p):
            return SAMPLERS[name](jax.random.key(seed), *p, shape=(5, 3))

        gradient = jax.grad(lambda *p: draw(*p).sum(), range(len(params)))
        return draw(*params), gradient(*params)

    seeds = jnp.arange(2)
    eager = [both(seed) for seed in seeds]
    mapped, jitted = jax.vmap(both)(seeds), jax.jit(jax.vmap(both))(seeds)
    for i, one in enumerate(eager):
        for a, b, c in zip(*map(jax.tree.leaves, (one, mapped, jitted)), strict=True):
            np.testing.assert_allclose(a, b[i], rtol=2e-5)
            np.testing.assert_allclose(a, c[i], rtol=2e-5)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("half", ["float16", "bfloat16"])
def test_half_draws_are_float32_draws_rounded(name, half):
    params = [jnp.array(p) for p in PARAMS[name]]
    low = SAMPLERS[name](jax.random.key(42), *params, dtype=half)
    full = SAMPLERS[name](jax.random.key(42), *params, dtype="float32")
    assert low.dtype == half
    np.testing.assert_array_equal(low, full.astype(half))


@pytest.mark.parametrize("name", SAMPLERS)
def test_shapes_broadcast_and_may_be_empty(name, dtype):
    params = [jnp.array(p) for p in PARAMS[name]]
    for shape in [None, (3,), (2, 3), (0, 3), (2, 4, 3), (2, 0, 2, 3)]:
        z = SAMPLERS[name](jax.random.key(43), *params, shape, dtype)
        assert (z.shape, z.dtype) == (shape or (3,), dtype)
        assert bool(jnp.isfinite(z).all())
    scalar = SAMPLERS[name](jax.random.key(43), *(p[0] for p in params))
    assert scalar.shape == ()


@pytest.mark.parametrize("name", SAMPLERS)
def test_what_is_refused(name, key):
    params = [jnp.array(p) for p in PARAMS[name]]
    with pytest.raises(ValueError, match=r"shape \(4,\) must be one that .* of shape \(3,\)"):
        SAMPLERS[name](key, *params, (4,))
    with pytest.raises(TypeError, match="key must be a typed JAX key"):
        SAMPLERS[name](0, *params)
    with pytest.raises(TypeError, match="expected a dtype of float16"):
        SAMPLERS[name](key, *params, dtype=int)
    with pytest.raises(ValueError, match='coupling must be "fast" or "smooth", got'):
        SAMPLERS[name](key, *params, coupling="slow")


NANS = [
    ("truncated_normal", (math.nan, 1.0)),
    ("truncated_normal", (0.0, math.nan)),
    ("truncated_normal", (1.0, 0.0)),
    ("von_mises", (math.nan,)),
    ("von_mises", (-1.0,)),
    ("wald", (math.nan,)),
    ("wald", (0.0,)),
    ("wald smooth", (math.nan,)),
]


@pytest.mark.parametrize(("name", "params"), NANS, ids=str)
def test_parameters_outside_the_domain_draw_nan(name, params, key):
    assert bool(jnp.isnan(SAMPLERS[name](key, *params, (100,))).all())


EXTREMES = [
    ("truncated_normal", (1e4, INF)),
    ("truncated_normal", (0.0, 1e-30)),
    ("truncated_normal", (-1e30, 1e30)),
    ("truncated_normal", (2.0, 2.0)),
    ("truncated_normal", (-INF, INF)),
    ("von_mises", (0.0,)),
    ("von_mises", (1e8,)),
    ("von_mises", (1e30,)),
    ("wald", (1e-30,)),
    ("wald", (1e15,)),
]


@pytest.mark.parametrize(("name", "params"), EXTREMES, ids=str)
def test_nothing_is_nan_or_infinite_at_the_ends(name, params):
    def total(*p):
        return SAMPLERS[name](jax.random.key(51), *p, (1000,)).sum()

    z = SAMPLERS[name](jax.random.key(51), *params, (1000,))
    assert bool(jnp.isfinite(z).all())
    grads = jax.grad(total, range(len(params)))(*params)
    assert all(bool(jnp.isfinite(g)) for g in grads)


def test_equal_bounds_draw_the_bound(key):
    z, slopes = jax.value_and_grad(lambda p: sn.random.truncated_normal(key, p[0], p[1]))(
        (2.0, 2.0)
    )
    assert (z, sum(slopes)) == (2.0, 1.0)


@pytest.mark.parametrize("kappa", [1e4, 1e8])
def test_a_concentrated_angle_keeps_its_resolution(kappa, key):
    # TFP's float32 draws at 1e4 have 1335 distinct values in 2000, and 45 gradients of 0.
    z, slope = jax.jvp(lambda k: sn.random.von_mises(key, k, (2000,)), (kappa,), (1.0,))
    assert np.unique(z).size >= 1998
    np.testing.assert_allclose(slope, -z / (2 * kappa), rtol=2 / math.sqrt(kappa))


def test_the_uniform_angle_has_its_derivative_too(key):
    z, slope = jax.jvp(lambda k: sn.random.von_mises(key, k, (1000,)), (0.0,), (1.0,))
    np.testing.assert_allclose(slope, -jnp.sin(z), atol=2e-6)


# reparameterize


def _normal(key, loc, scale, shape=()):
    """A normal number."""
    return loc + scale * jax.random.normal(key, shape)


normal = sn.random.reparameterize(_normal, lambda z, loc, scale: ndtr((z - loc) / scale))


def test_reparameterize_gives_the_pathwise_derivative_to_second_order():
    def draw(sampler):
        return lambda *p: sampler(jax.random.key(61), *p, shape=(5,)) ** 2

    ours, theirs = draw(normal), draw(_normal)
    for transform in (
        jax.jacfwd,
        jax.jacrev,
        jax.hessian,
        lambda f, n: jax.jacrev(jax.jacrev(jax.jit(f), n), n),
    ):
        for i in (0, 1):
            np.testing.assert_allclose(
                transform(ours, i)(0.3, 2.0), transform(theirs, i)(0.3, 2.0), rtol=2e-4, atol=2e-4
            )
    assert normal.__doc__ == "A normal number."


def test_reparameterized_gamma_moves_as_implicit_differentiation_says():
    gamma = sn.random.reparameterize(jax.random.gamma, lambda z, a: gammainc(a, z))
    a = jnp.array([0.5, 2.0, 30.0])
    ours, theirs = (
        jax.jvp(lambda a, s=s: s(jax.random.key(62), a), (a,), (jnp.ones(3),))
        for s in (gamma, jax.random.gamma)
    )
    np.testing.assert_array_equal(ours[0], theirs[0])
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-4)


def _mixture(key, weight, means, shape=()):
    pick, noise = jax.random.split(key)
    first = jax.random.uniform(pick, shape) < weight
    return jnp.where(first, means[0], means[1]) + jax.random.normal(noise, shape)


def _mixture_cdf(z, weight, means):
    return weight * ndtr(z - means[0]) + (1 - weight) * ndtr(z - means[1])


def test_the_gradient_in_a_mixtures_weight_is_right():
    # NumPyro, distrax and TFP return 0 here. Two weights and means at 5 standard errors.
    mixture = sn.random.reparameterize(_mixture, _mixture_cdf)
    weight, means = 0.3, jnp.array([-1.0, 1.5])

    def one(key):
        return jax.grad(lambda w, m: jnp.sin(mixture(key, w, m)), (0, 1))(weight, means)

    d_weight, d_means = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(63), 20_000))
    sine, cosine = np.sin(means) * math.exp(-0.5), np.cos(means) * math.exp(-0.5)  # E sin, E cos
    truth = [sine[0] - sine[1], weight * cosine[0], (1 - weight) * cosine[1]]
    for slopes, expected in zip((d_weight, *d_means.T), truth, strict=True):
        slopes = np.asarray(slopes, np.float64)
        assert abs(slopes.mean() - expected) < 5 * slopes.std() / math.sqrt(slopes.size)


def _pair(key, rho, n):
    x, y = jax.random.normal(key, (2, n))
    return jnp.stack([x, rho * x + jnp.sqrt(1 - rho**2) * y], -1)


def _pair_transform(z, rho):
    x, y = z[..., 0], z[..., 1]
    return jnp.stack([ndtr(x), ndtr((y - rho * x) / jnp.sqrt(1 - rho**2))], -1)


def test_a_correlated_pair_moves_by_the_distributional_transform():
    pair = sn.random.reparameterize(_pair, _pair_transform, event_ndim=1)
    for transform in (jax.jacfwd, jax.jacrev, jax.hessian):
        ours, theirs = (
            transform(lambda r, s=s: s(jax.random.key(64), r, n=7))(0.6) for s in (pair, _pair)
        )
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-4)
    keys = jax.random.split(jax.random.key(65), 3)
    slopes = jax.jit(jax.vmap(jax.grad(lambda r, k: pair(k, r, n=2).sum()), (None, 0)))(0.6, keys)
    assert slopes.shape == (3,)


def test_integer_parameters_pass_untouched():
    def sampler(key, rate, n):
        assert type(n) is int
        return jax.random.exponential(key, (n,)) / rate

    exponential = sn.random.reparameterize(sampler, lambda z, rate, n: -jnp.expm1(-rate * z))
    z, slope = jax.jvp(lambda r: exponential(jax.random.key(66), r, 4), (2.0,), (1.0,))
    np.testing.assert_allclose(slope, -z / 2, rtol=1e-6)


REFUSED = [
    (lambda z, a: betainc(a, 2.0, z), TypeError, "cdf has no derivative in its parameter 0"),
    (lambda z, a: ndtr(z), TypeError, "cdf has no derivative in its parameter 0"),
    (lambda z, a: jnp.floor(a) * z, TypeError, "cdf has no derivative in its parameter 0"),
    (lambda z, a: a * 0.5, ValueError, "cdf has no derivative in the draw"),
    (
        lambda z, a: ndtr(z - jnp.full(3, a)),
        ValueError,
        r"must have the shape of the draw, \(\), got \(3,\)",
    ),
]


@pytest.mark.parametrize(("cdf", "error", "message"), REFUSED)
def test_a_cdf_that_will_not_do_is_refused(cdf, error, message, key):
    sampler = sn.random.reparameterize(lambda key, a: jax.random.uniform(key) * a, cdf)
    with pytest.raises(error, match=message):
        jax.grad(lambda a: sampler(key, a))(0.5)


def test_a_draw_that_is_no_float_is_refused(key):
    with pytest.raises(TypeError, match="the sampler must return one array of floats"):
        sn.random.reparameterize(lambda key, p: jax.random.bernoulli(key, p), lambda z, p: p)(
            key, 0.5
        )
    with pytest.raises(ValueError, match="event_ndim must be 0 or 1, got 2"):
        sn.random.reparameterize(_normal, ndtr, event_ndim=2)
