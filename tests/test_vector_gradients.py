"""Gradients through draws of vectors and matrices: truth is closed forms and quadrature.

Statistical tests have fixed keys; each compares one number at 5.5 standard errors, a false alarm
with probability 4e-8, and the test_vector files make about 400 such comparisons: 2e-5 for them all.
"""

import math

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
from _vectors import FAMILIES, MU, D, a, check_mean, draws_gradient, precision, slopes, unit

from stochastic_net.distributions import _height

pytestmark = pytest.mark.law

GAUSSIAN_TESTS = {
    "product": (
        lambda x: x[0] * x[1] + x[2] * x[2],
        lambda m, s: m[0] * m[1] + s[0, 1] + m[2] ** 2 + s[2, 2],
    ),
    "sine": (lambda x: jnp.sin(x[1]), lambda m, s: jnp.sin(m[1]) * jnp.exp(-s[1, 1] / 2)),
    "cosine": (
        lambda x: jnp.cos(x[0] - x[2]),
        lambda m, s: jnp.cos(m[0] - m[2]) * jnp.exp(-(s[0, 0] + s[2, 2] - 2 * s[0, 2]) / 2),
    ),
}


@pytest.mark.parametrize("name", ["gaussian", "low rank"])
@pytest.mark.parametrize(("f", "expected"), GAUSSIAN_TESTS.values(), ids=GAUSSIAN_TESTS)
def test_gaussian_gradients_are_unbiased(name, f, expected, key):
    d = FAMILIES[name]()
    truth = jax.grad(lambda d: expected(d.mean, d.covariance))(d)
    got = draws_gradient(d, f, key, 20_000)
    jax.tree.map(check_mean, got, truth)


def beta_moments(p, total):
    """E x, E x^2 and E log x for x ~ Beta(p, total - p)."""
    log = jax.scipy.special.digamma(p) - jax.scipy.special.digamma(total)
    return p / total, p * (p + 1) / total / (total + 1), log


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_dirichlet_gradients_are_unbiased(classes, key):
    alpha = jnp.linspace(0.5, 3.0, classes)

    def moments(alpha):
        (first, _, log), (_, square, _) = (beta_moments(alpha[i], alpha.sum()) for i in (0, -1))
        return jnp.stack([first, square, log])

    def f(x):
        return jnp.stack([x[0], x[-1] * x[-1], jnp.log(x[0])])

    got = draws_gradient(D.Dirichlet(alpha), f, key, 20_000)
    for ours, truth in zip(got.concentration, jax.jacobian(moments)(alpha), strict=True):
        check_mean(ours, truth)


def test_dirichlet_of_two_moves_as_a_beta(key):
    a_, b_ = jnp.array([0.5, 2.0, 30.0]), jnp.array([3.0, 0.7, 20.0])
    alpha = jnp.stack([a_, b_], -1)
    x, pullback = jax.vjp(lambda alpha: D.Dirichlet(alpha).sample(key)[:, 0], alpha)
    (grad,) = pullback(jnp.ones(3))
    for i in range(3):
        p, q, at = float(a_[i]), float(b_[i]), float(x[i])
        density = scipy.stats.beta(p, q).pdf(at)
        by_p = mp.diff(lambda p, q=q, at=at: mp.betainc(p, q, 0, at, regularized=True), p)
        by_q = mp.diff(lambda q, p=p, at=at: mp.betainc(p, q, 0, at, regularized=True), q)
        np.testing.assert_allclose(
            grad[i], [float(-by_p / density), float(-by_q / density)], rtol=2e-4
        )


WISHART_TESTS = {
    "entry": (lambda x: x[0, 1], lambda n, v: n * v[0, 1]),
    "square": (lambda x: x[1, 1] ** 2, lambda n, v: (n * n + 2 * n) * v[1, 1] ** 2),
    "logdet": (
        lambda x: jnp.linalg.slogdet(x)[1],
        lambda n, v: (
            jax.scipy.special.digamma((n - jnp.arange(3.0)) / 2).sum() + jnp.linalg.slogdet(v)[1]
        ),
    ),
}


def test_wishart_gradients_are_unbiased(key):
    d = FAMILIES["wishart"]()

    def expectations(d):
        scale = jnp.matmul(d.scale_tril, d.scale_tril.T)
        return jnp.stack([of(d.concentration, scale) for _, of in WISHART_TESTS.values()])

    def f(x):
        return jnp.stack([f(x) for f, _ in WISHART_TESTS.values()])

    truth, got = jax.jit(jax.jacobian(expectations))(d), draws_gradient(d, f, key, 20_000)
    for i in range(len(WISHART_TESTS)):
        check_mean(got.concentration[i], truth.concentration[i])
        check_mean(jnp.tril(got.scale_tril[i]), jnp.tril(truth.scale_tril[i]))


@pytest.mark.parametrize("dimension", [2, 5])
@pytest.mark.parametrize("c", [0.5, 3.0])
def test_lkj_gradients_are_unbiased(dimension, c, key):
    # Each correlation has (1 + r) / 2 ~ Beta(h, h) with h = c + dimension/2 - 1.
    def moments(c):
        h = c + dimension / 2 - 1
        return jnp.stack([1 / (2 * h + 1), 3 / (2 * h + 1) / (2 * h + 3)])

    def powers(x):
        r = jnp.dot(x[-1], x[-2])
        return jnp.stack([r**2, r**4])

    truth = jax.jacobian(moments)(c)
    check_mean(
        slopes(lambda c: jax.vmap(powers)(D.LKJCholesky(dimension, c).sample(key)), c), truth
    )


@pytest.mark.parametrize("dimension", [2, 3, 5, 10])
@pytest.mark.parametrize("kappa", [2.0, 50.0])
def test_von_mises_fisher_gradients_are_unbiased(dimension, kappa, key):
    m = (dimension - 1) / 2

    def expect(f, k):
        """By the angle, in float64."""
        angle = np.linspace(0, math.pi, 20_001)
        weight = np.sin(angle) ** (2 * m - 1) * np.exp(k * (np.cos(angle) - 1))
        total = scipy.integrate.simpson(weight, x=angle)
        return scipy.integrate.simpson(f(np.cos(angle)) * weight, x=angle) / total

    tests = [lambda w: w, lambda w: w**2, np.exp]
    length = expect(tests[0], kappa)
    truth = [
        expect(lambda w, f=f: f(w) * w, kappa) - expect(f, kappa) * length for f in tests
    ]  # d E f / d kappa = cov(f, w)
    if (dimension, kappa) == (5, 2.0):
        np.testing.assert_allclose(truth[0], 0.147389, atol=1e-6)
    mu = jnp.asarray(MU[:2] if dimension == 2 else np.eye(dimension)[1], "float32")
    mu = mu / jnp.linalg.norm(mu)

    def draw(k):
        w = jnp.dot(D.VonMisesFisher(mu, k).sample(key), mu)
        return jnp.stack([w, w * w, jnp.exp(w)], -1)

    check_mean(slopes(draw, kappa), truth)


@pytest.mark.parametrize("start", [unit(0.3, -1.2, 0.5), unit(-1.0, 0.0, 0.0)], ids=str)
def test_von_mises_fisher_moves_with_its_mean_direction(start, key):
    kappa, tangent = 2.0, unit(*np.cross(start, [0.3, 0.4, 0.5]))
    length = 1 / math.tanh(kappa) - 1 / kappa
    along = 1 - 3 * length / kappa  # E w^2 - E (x . v)^2 for v across

    def draw(angle):
        sides = jnp.cos(angle)[:, None], jnp.sin(angle)[:, None]
        mu = sides[0] * a(start, "float32")[None] + sides[1] * a(tangent, "float32")[None]
        x = D.VonMisesFisher(mu, kappa).sample(key)
        products = jnp.dot(x, a(tangent, "float32")), x[:, 0] ** 2, x[:, 1] * x[:, 2]
        return jnp.stack(products, -1)

    sides = start[:, None] * tangent + tangent[:, None] * start
    truth = [length, along * sides[0, 0], along * sides[1, 2]]
    check_mean(slopes(draw, 0.0), truth)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("dimension", [2, 5, 20])
def test_heights_move_as_their_quantiles_do(dimension, dtype):
    m = (dimension - 1) / 2
    kappa, sigmas = (x.ravel() for x in np.meshgrid([0.0, 2.0, 1e4], [-3.0, 0.2, 3.0]))
    peak = m / (kappa + m + np.hypot(kappa, m))
    width = 1 / np.sqrt(2 * peak * (1 - peak) * (kappa * (1 - 2 * peak) + m))
    with precision(dtype):
        odds = a(peak / (1 - peak) * np.exp(sigmas * width), dtype)
        ours = jax.jit(_height.fall, static_argnums=2)(odds, a(kappa, dtype), m)
        truth = [height_slope(float(o), k, m) for o, k in zip(odds, kappa, strict=True)]
        np.testing.assert_allclose(ours, truth, rtol=2e-6 if dtype == "float32" else 1e-8)


def height_slope(odds, kappa, m):
    """-dlog t/dkappa = dF(z)/dkappa / (2 z (1 - z) p(z)), from the definition, in float64."""
    y, peak = math.log(odds), math.log(m / (kappa + math.hypot(kappa, m)))

    def energy(y):
        logs = scipy.special.log_expit(y) + scipy.special.log_expit(-y)
        return 2 * kappa * scipy.special.expit(y) - m * logs

    def integral(f, start, end):
        y = np.linspace(start, end, 100_001)
        mass = np.exp(energy(peak) - energy(y))
        return scipy.integrate.simpson(f(scipy.special.expit(y)) * mass, x=y)

    low, high = min(y, peak) - 36 / m - 3, max(y, peak) + 36 / m + 3
    mean = integral(lambda z: z, low, high) / integral(np.ones_like, low, high)
    below = scipy.special.expit(y) < mean  # the side where the integrand has one sign
    moved = integral(lambda z: abs(mean - z), *((low, y) if below else (y, high)))
    return moved / np.exp(energy(peak) - energy(y))


def test_gumbel_softmax_moves_with_its_parameters(key):
    # Two classes: logit x = (difference of the logits + logistic noise) / temperature.
    def f(parameters, noise):
        temperature, gap = parameters
        x = D.GumbelSoftmax(temperature, jnp.stack([gap, jnp.zeros(())])).sample(noise)
        y = jnp.log(x[0]) - jnp.log(x[1])
        return jnp.stack([y, y * y, x[0]])

    t, gap = 0.8, 0.4
    e = np.linspace(-40, 40, 400_001)
    weight = scipy.stats.logistic.pdf(e) * (e[1] - e[0])
    x = scipy.special.expit((gap + e) / t)
    slope = x * (1 - x)
    truth = np.array(
        [
            [-gap / t**2, 1 / t],
            [-2 * (gap**2 + math.pi**2 / 3) / t**3, 2 * gap / t**2],
            [-(weight * slope * (gap + e)).sum() / t**2, (weight * slope).sum() / t],
        ]
    )
    keys = jax.random.split(key, 20_000)
    got = jax.jit(jax.vmap(jax.jacfwd(f), (None, 0)))((jnp.float32(t), jnp.float32(gap)), keys)
    check_mean(np.stack(got, -1), truth)
