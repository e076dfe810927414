"""Laws of vectors and matrices, and mixtures: truth is scipy, closed forms and quadrature.

Statistical tests have fixed keys; each compares one number at 5.5 standard errors, a false alarm
with probability 4e-8, and the file makes about 400 such comparisons: 2e-5 for all of it.
"""

import contextlib
import math

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import scipy.special
import scipy.stats

import stochastic_net as sn
from stochastic_net.distributions import _height

D = sn.distributions
SIGMAS = 5.5
RNG = np.random.default_rng(0)
LOC = np.array([1.0, -2.0, 3.0])
TRIL = np.array([[1.0, 0.0, 0.0], [0.4, 0.5, 0.0], [-0.3, 0.8, 2.0]])
FACTOR = np.array([[1.0, 0.3], [-0.5, 0.7], [0.2, -1.1]])
DIAG = np.array([0.3, 0.1, 0.6])
ALPHA = np.array([0.5, 1.0, 3.0])
LOGITS = np.array([0.3, -0.5, 0.1])
MEANS, VARS = np.array([-2.0, 0.5, 3.0]), np.array([0.5, 1.0, 2.0])


def unit(*x):
    return np.array(x) / np.linalg.norm(x)


MU = unit(0.3, -1.2, 0.5, 0.8, -0.1)


def pair(dtype="float32"):
    return sn.Gaussian(jnp.asarray(MEANS, dtype), jnp.asarray(VARS, dtype))


def vector_pair(dtype="float32"):
    mean = np.stack([MEANS, MEANS[::-1] / 2], -1)
    return sn.Gaussian(jnp.asarray(mean, dtype), jnp.asarray(np.stack([VARS, VARS], -1), dtype))


def a(x, dtype):
    return jnp.asarray(x, dtype)


FAMILIES = {
    "gaussian": lambda t="float32": D.MultivariateGaussian(a(LOC, t), a(TRIL, t)),
    "low rank": lambda t="float32": D.LowRankGaussian(a(LOC, t), a(FACTOR, t), a(DIAG, t)),
    "dirichlet": lambda t="float32": D.Dirichlet(a(ALPHA, t)),
    "wishart": lambda t="float32": D.Wishart(a(4.5, t), a(TRIL, t)),
    "lkj": lambda t="float32": D.LKJCholesky(4, a(2.5, t)),
    "von mises-fisher": lambda t="float32": D.VonMisesFisher(rounded_direction(t), a(2.0, t)),
    "gumbel-softmax": lambda t="float32": D.GumbelSoftmax(a(0.7, t), a(LOGITS, t)),
    "mixture": lambda t="float32": D.Mixture(a(LOGITS, t), pair(t)),
    "mixture of vectors": lambda t="float32": D.Mixture(a(LOGITS, t), vector_pair(t)),
}
families = pytest.mark.parametrize("build", FAMILIES.values(), ids=FAMILIES)


def rounded_direction(dtype):
    """In few bits, so that it has length 1 in every dtype."""
    return a([0.0, 0.6, -0.8], dtype)


def precision(dtype):
    return jax.enable_x64(True) if dtype == "float64" else contextlib.nullcontext()


def check(estimate, error, truth):
    """A z-test of each number; `error` is one standard error of the estimate."""
    estimate, error, truth = (np.asarray(x, np.float64) for x in (estimate, error, truth))
    slack = 2e-6 * (1 + abs(truth))  # of float32
    z = abs(estimate - truth) / (error + slack / SIGMAS)
    assert (z <= SIGMAS).all(), (estimate, error, truth)


def check_mean(values, truth):
    values = np.asarray(values, np.float64)
    check(values.mean(0), values.std(0) / math.sqrt(len(values)), truth)


# Densities.


def covariance():
    return FACTOR @ FACTOR.T + np.diag(DIAG)


SCIPY = {
    "gaussian": lambda: scipy.stats.multivariate_normal(LOC, TRIL @ TRIL.T),
    "low rank": lambda: scipy.stats.multivariate_normal(LOC, covariance()),
    "dirichlet": lambda: scipy.stats.dirichlet(ALPHA),
    "wishart": lambda: scipy.stats.wishart(4.5, TRIL @ TRIL.T),
    "von mises-fisher": lambda: scipy.stats.vonmises_fisher(np.array([0.0, 0.6, -0.8]), 2.0),
}


@pytest.mark.parametrize("name", SCIPY)
def test_log_prob_and_entropy_are_those_of_scipy(name, key):
    d, oracle = FAMILIES[name](), SCIPY[name]()
    x = d.sample(key, (50,))
    exact = np.asarray(x, np.float64)
    if name == "dirichlet":
        exact = exact / exact.sum(-1, keepdims=True)
    if name == "von mises-fisher":
        exact = exact / np.linalg.norm(exact, axis=-1, keepdims=True)
    truth = [float(oracle.logpdf(row)) for row in exact]
    np.testing.assert_allclose(d.log_prob(x), truth, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(d.entropy(), oracle.entropy(), rtol=1e-5)


@pytest.mark.parametrize("dimension", [2, 5, 40])
@pytest.mark.parametrize("kappa", [0.0, 2.0, 1e4])
def test_von_mises_fisher_density_and_moments(dimension, kappa):
    mu = np.eye(dimension)[0]
    d = D.VonMisesFisher(jnp.asarray(mu, "float32"), kappa)
    v = dimension / 2 - 1
    with mp.workdps(30):
        if kappa:
            size = mp.mpf(2 * mp.pi) ** (v + 1) * mp.besseli(v, kappa) / mp.mpf(kappa) ** v
            length = mp.besseli(v + 1, kappa) / mp.besseli(v, kappa)
            along = 1 - length**2 - (dimension - 1) * length / kappa
            across = length / kappa
        else:
            size = 2 * mp.pi ** (v + 1) / mp.gamma(v + 1)
            length, along, across = mp.mpf(0), mp.mpf(1) / dimension, mp.mpf(1) / dimension
        top, entropy = kappa - mp.log(size), mp.log(size) - kappa * length
    near = {"rtol": 2e-6, "atol": 5e-6}
    np.testing.assert_allclose(d.log_prob(jnp.asarray(mu, "float32")), float(top), **near)
    np.testing.assert_allclose(d.entropy(), float(entropy), **near)
    np.testing.assert_allclose(d.mean, float(length) * mu, rtol=2e-6)
    np.testing.assert_allclose(d.var[0], float(along), rtol=2e-5)
    np.testing.assert_allclose(d.var[1:], float(across), rtol=2e-6)


def test_lkj_density_is_a_density_and_that_of_the_correlations(key):
    # D = 2: (1 + r) / 2 ~ Beta(c, c).
    r = np.linspace(-0.9, 0.9, 7)
    tril = np.stack([[[1, 0], [x, math.sqrt(1 - x * x)]] for x in r])
    for c in (0.3, 1.0, 40.0):
        ours = D.LKJCholesky(2, c).log_prob(jnp.asarray(tril, "float32"))
        theirs = scipy.stats.beta(c, c).logpdf((1 + r) / 2) - math.log(2)
        np.testing.assert_allclose(ours, theirs, rtol=3e-5, atol=3e-5)
    # D = 4: the normaliser of Lewandowski et al. (2009), eq. 16, and the volume of L for L L^T.
    c, n = 2.5, 4
    x = D.LKJCholesky(n, c).sample(key, (20,))
    own = np.diagonal(np.asarray(x, np.float64), axis1=-2, axis2=-1)
    terms = sum(
        (2 * c - 2 + n - k) * (n - k) * math.log(2)
        + (n - k) * scipy.special.betaln(c + (n - k - 1) / 2, c + (n - k - 1) / 2)
        for k in range(1, n)
    )
    powers = 2 * (c - 1) + n - np.arange(1, n + 1)
    truth = (powers * np.log(own)).sum(-1) - terms
    np.testing.assert_allclose(D.LKJCholesky(n, c).log_prob(x), truth, rtol=1e-5, atol=1e-5)


def test_gumbel_softmax_density_is_that_of_the_papers(key):
    d = FAMILIES["gumbel-softmax"]()
    x = d.sample(key, (50,))
    t, z, weights = 0.7, np.asarray(x, np.float64), np.exp(LOGITS)
    top = math.gamma(3) * t**2 * np.prod(weights * z ** (-t - 1), -1)
    truth = np.log(top / (weights * z**-t).sum(-1) ** 3)
    np.testing.assert_allclose(d.log_prob(x), truth, rtol=1e-5, atol=1e-5)
    cold = D.GumbelSoftmax(0.01, jnp.zeros(3))
    assert jnp.isfinite(cold.log_prob(cold.sample(jax.random.key(1), (1000,)))).all()


@pytest.mark.parametrize("name", ["mixture", "mixture of vectors"])
def test_mixture_density_cdf_and_moments(name):
    d = FAMILIES[name]()
    w = np.exp(LOGITS) / np.exp(LOGITS).sum()
    mean, std = np.asarray(d.components.mean, float), np.sqrt(np.asarray(d.components.var, float))
    x = np.linspace(-3, 4, 9 * (mean.size // 3)).reshape(9, *mean.shape[1:])
    each = scipy.stats.norm(mean, std).pdf(x[:, None])
    density = (w * (each.prod(-1) if mean.ndim > 1 else each)).sum(-1)
    np.testing.assert_allclose(d.log_prob(jnp.asarray(x, "float32")), np.log(density), rtol=1e-5)
    w = w.reshape((3,) + (1,) * (mean.ndim - 1))
    centre = (w * mean).sum(0)
    np.testing.assert_allclose(d.mean, centre, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(d.var, (w * (std**2 + (mean - centre) ** 2)).sum(0), rtol=1e-5)
    if mean.ndim == 1:
        cdf = (w * scipy.stats.norm(mean, std).cdf(x[:, None])).sum(-1)
        np.testing.assert_allclose(d.cdf(jnp.asarray(x, "float32")), cdf, rtol=1e-5)


def test_low_rank_log_prob_keeps_its_digits_where_the_diagonal_is_small():
    diag, x = np.full(3, 1e-8), np.asarray(np.float32(LOC + FACTOR @ [1.0, -2.0]), np.float64)
    d = D.LowRankGaussian(jnp.zeros(3), a(FACTOR, "float32"), a(diag, "float32"))
    on_it = np.asarray(np.float32(FACTOR @ [1.0, -2.0]), np.float64)
    factor = np.asarray(np.float32(FACTOR), np.float64)
    with mp.workdps(40):
        cov = mp.matrix(factor) * mp.matrix(factor).T + mp.diag(
            [mp.mpf(float(np.float32(1e-8)))] * 3
        )
        column = mp.matrix(on_it)
        square = (column.T * cov**-1 * column)[0]
        truth = -(square + mp.log(mp.det(cov)) + 3 * mp.log(2 * mp.pi)) / 2
    np.testing.assert_allclose(d.log_prob(a(on_it, "float32")), float(truth), rtol=1e-5)
    assert jnp.isfinite(d.log_prob(a(x, "float32")))


@families
def test_outside_the_support_the_density_is_zero_and_its_gradient_finite(build):
    d = build()
    x = jnp.full(d.event_shape or (), jnp.inf)
    assert d.log_prob(x) == -jnp.inf
    grad = jax.grad(lambda d: d.log_prob(x))(d)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(grad))


# Draws.

N = 200_000


@pytest.mark.parametrize(
    "d",
    [
        *(build() for name, build in FAMILIES.items() if name != "gumbel-softmax"),
        D.LKJCholesky(2, 0.3),
        D.LKJCholesky(3, 50.0),
        D.Wishart(1.2, jnp.array([[1.0, 0.0], [0.5, 1.0]])),
        *(
            D.VonMisesFisher(jnp.asarray(MU[:d] / np.linalg.norm(MU[:d]), "float32"), k)
            for d in (2, 3, 5)
            for k in (0.0, 1.0, 30.0, 1e4)
        ),
    ],
    ids=lambda d: type(d).__name__,
)
def test_draws_have_the_mean_and_the_variance(d, key):
    x = jax.jit(lambda d: d.sample(key, (N,)))(d)
    x = np.asarray(x, np.float64).reshape(N, -1)
    mean, var = (np.asarray(m, np.float64).ravel() for m in (d.mean, d.var))
    rounding = 4e-7 * abs(mean) * np.sqrt(var + 1e-7)
    square = (x - mean) ** 2
    check(x.mean(0), x.std(0) / math.sqrt(N) + 1e-8, mean)
    check(square.mean(0), square.std(0) / math.sqrt(N) + rounding, var)
    for c in ("covariance",) if hasattr(d, "covariance") else ():
        products = (x[:, :, None] - mean[:, None]) * (x[:, None, :] - mean)
        error = products.std(0) / math.sqrt(N) + rounding.max()
        check(products.mean(0), error, getattr(d, c))


def test_argmax_of_gumbel_softmax_is_categorical(key):
    x = np.asarray(FAMILIES["gumbel-softmax"]().sample(key, (N,)))
    check_mean(x.argmax(-1)[:, None] == np.arange(3), np.exp(LOGITS) / np.exp(LOGITS).sum())
    np.testing.assert_allclose(x.sum(-1), 1, rtol=1e-6)


@pytest.mark.parametrize("dimension", [2, 3, 5])
@pytest.mark.parametrize("kappa", [0.0, 20.0, 1e4])
def test_heights_of_von_mises_fisher_draws_have_their_law(dimension, kappa, key):
    t = np.asarray(_height.draw_height(key, jnp.full(N, kappa), dimension), np.float64)
    assert (t > 0).all()
    assert np.unique(t).size > 0.9 * N  # full resolution near w = 1
    m = (dimension - 1) / 2
    y = np.linspace(-70 / min(m, 2), 70 / min(m, 2), 400_001) + math.log(m / (2 * kappa + m))
    z = scipy.special.expit(y)
    log_density = -2 * kappa * z + m * (scipy.special.log_expit(y) + scipy.special.log_expit(-y))
    mass = scipy.integrate.cumulative_simpson(np.exp(log_density - log_density.max()), x=y)
    cdf = np.interp(2 * np.log(t), y[1:], mass / mass[-1])
    # P(D > 3 / sqrt(n)) = 2 exp(-18) = 3e-8
    assert scipy.stats.kstest(cdf, "uniform").statistic < 3 / math.sqrt(N)


@families
def test_a_draw_is_the_same_with_jit_and_under_vmap(build):
    d = build()
    keys = jax.random.split(jax.random.key(3), 4)
    sample = type(d).sample
    eager, jitted = (
        jnp.stack([f(d, key) for key in jax.random.clone(keys)]) for f in (sample, jax.jit(sample))
    )
    mapped = jax.jit(jax.vmap(sample, (None, 0)))(d, jax.random.clone(keys))
    np.testing.assert_allclose(jitted, eager, rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(mapped, eager, rtol=2e-5, atol=2e-6)


@families
@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_dtypes_shapes_and_support(build, dtype):
    with precision(dtype):
        d = build(dtype)
        x = jax.jit(lambda d: d.sample(jax.random.key(4), (5, 2)))(d)
        assert x.dtype == d.dtype == dtype
        assert x.shape == (5, 2, *d.shape)
        log_prob = jax.eval_shape(lambda d: d.log_prob(x), d)
        assert (log_prob.shape, log_prob.dtype) == ((5, 2), dtype)
        inside = d.support.contains(x)
        assert (isinstance(d, D.Wishart) and dtype in ("float16", "bfloat16")) or bool(inside.all())
        loss = lambda d: d.sample(jax.random.key(4), (3,)).astype("float32").sum()  # noqa: E731
        grad = jax.jit(jax.grad(loss))(d)
        assert jax.tree.structure(grad) == jax.tree.structure(d)
        leaves = zip(jax.tree.leaves(grad), jax.tree.leaves(d), strict=True)
        for leaf, like in leaves:
            assert (leaf.shape, leaf.dtype) == (like.shape, like.dtype)
            assert jnp.isfinite(leaf).all()


@families
def test_a_batch_is_its_members(build):
    one = build()
    batch = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), one)
    assert batch.batch_shape == (2,)
    assert batch.event_shape == one.event_shape
    x = jax.jit(lambda d: d.sample(jax.random.key(5), (3,)))(batch)
    assert x.shape == (3, 2, *one.event_shape)
    log_prob = type(one).log_prob
    mapped = jax.jit(jax.vmap(log_prob, (0, 1), 1))(batch, x)
    whole, single = jax.jit(log_prob)(batch, x), jax.jit(log_prob)(one, x[:, 1])
    np.testing.assert_allclose(whole[:, 1], single, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(mapped, whole, rtol=1e-4, atol=1e-5)


# Gradients.


def draws_gradient(d, f, key, n):
    """The gradient of f of each of n draws by each leaf; an f of shape (m,) has m of them, first.

    Every draw has parameters of its own, so that one pass backwards gives all gradients.
    """
    size = jax.eval_shape(lambda d, k: f(d.sample(k)), d, key).shape

    @jax.jit
    def gradients(wide, key):
        values, pullback = jax.vjp(lambda d: jax.vmap(f)(d.sample(key)), wide)
        # One by one: XLA on CPU of JAX 0.10 gives wrong sums over the middle axis of large arrays.
        basis = jnp.eye(math.prod(size)).reshape(-1, 1, *size)
        parts = [pullback(jnp.broadcast_to(one, values.shape))[0] for one in basis]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *parts)

    got = gradients(jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (n, *leaf.shape)), d), key)
    return got if size else jax.tree.map(lambda leaf: leaf[0], got)


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


def slopes(draw, x):
    """The derivative of each of 20,000 draws by its own copy of the number x."""
    many = jnp.full(20_000, x)
    return jax.jit(lambda x: jax.jvp(draw, (x,), (jnp.ones_like(x),))[1])(many)


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


MIXTURES = {
    "gaussian": lambda: D.Mixture(a(LOGITS, "float32"), pair()),
    "laplace": lambda: D.Mixture(
        a(LOGITS, "float32"), D.Laplace(a(MEANS, "float32"), a(VARS, "float32"))
    ),
    "gamma": lambda: D.Mixture(
        a(LOGITS, "float32"), D.Gamma(jnp.array([0.8, 3.0, 9.0]), jnp.array([1.0, 2.0, 1.5]))
    ),
    "log-normal": lambda: D.Mixture(
        a(LOGITS, "float32"), D.LogNormal(a(MEANS / 4, "float32"), jnp.array([0.3, 0.5, 0.2]))
    ),
    "beta": lambda: D.Mixture(
        a(LOGITS, "float32"), D.Beta(jnp.array([0.8, 3.0, 9.0]), jnp.array([0.7, 2.0, 1.5]))
    ),
    "t": lambda: D.Mixture(
        a(LOGITS, "float32"),
        D.StudentT(jnp.array([7.0, 9.0, 30.0]), a(MEANS, "float32"), jnp.ones(3)),
    ),
}
FUNCTIONS = {
    "sine": lambda x: jnp.sin(x) + 0.3 * x + 0.3 * jnp.cos(1.3 * x),
    "square": lambda x: 0.1 * x * x,
    "bump": lambda x: jnp.exp(-jnp.square(x - 1)),
}


@pytest.mark.parametrize("build", MIXTURES.values(), ids=MIXTURES)
def test_mixture_gradients_are_unbiased_the_weights_too(build, key):
    d = build()
    s, x, log_slope = grid(d.components)
    width = (s[-1] - s[0]) / (s.size - 1)

    def functions(x):
        return jnp.stack([f(x) for f in FUNCTIONS.values()])

    def expected(d):
        mass = jnp.exp(d.log_prob(x) + log_slope) * width
        return (functions(x) * mass[None]).sum(-1)

    truth = jax.jit(jax.jacobian(expected))(d)
    assert abs(np.asarray(truth.logits)).min() > 1e-3  # what others return 0 for
    got = draws_gradient(d, functions, key, 10_000)
    for i in range(len(FUNCTIONS)):
        jax.tree.map(lambda ours, true, i=i: check_mean(ours[i], true[i]), got, truth)


def grid(family):
    """A coordinate in which nothing is singular, the value, and the logarithm of its slope."""
    if isinstance(family, D.Gamma | D.LogNormal):
        s = jnp.linspace(-30.0, 4.0, 20_001)
        return s, jnp.exp(s), s
    s = jnp.linspace(-45.0, 45.0, 40_001)
    if not isinstance(family, D.Beta):
        return s, s, jnp.zeros_like(s)
    s = s[s < 16]  # where 1 - x is 0
    return s, jax.nn.sigmoid(s), jax.nn.log_sigmoid(s) + jax.nn.log_sigmoid(-s)


def test_mixture_of_vectors_gradients_are_unbiased(key):
    d = FAMILIES["mixture of vectors"]()

    def expected(d):
        w, m, v = jax.nn.softmax(d.logits), d.components.mean, d.components.var
        product = jnp.sin(m[:, 0]) * jnp.exp(-v[:, 0] / 2) * m[:, 1]
        return (w * (product + m[:, 1] ** 2 + v[:, 1])).sum()

    got = draws_gradient(d, lambda z: jnp.sin(z[0]) * z[1] + z[1] ** 2, key, 40_000)
    jax.tree.map(check_mean, got, jax.grad(expected)(d))


@pytest.mark.parametrize("q", [1e-6, 1e-3, 0.3, 0.5, 0.8, 0.999, 1 - 1e-6])
def test_mixture_draws_move_as_their_quantiles_do(q):
    from stochastic_net.distributions._mixture_gradient import move

    w = np.exp(LOGITS) / np.exp(LOGITS).sum()
    law = scipy.stats.norm(MEANS, np.sqrt(VARS))
    z = scipy.optimize.brentq(lambda z: (w * law.cdf(z)).sum() - q, -30, 30, xtol=1e-12)
    z = float(np.float32(z))
    density = (w * law.pdf(z)).sum()
    t = (z - MEANS) / np.sqrt(VARS)
    side = law.cdf(z) if q < 0.6 else -law.sf(z)
    truth = (
        -w * (side - (w * side).sum()) / density,
        w * law.pdf(z) / density,
        w * law.pdf(z) * t / (2 * np.sqrt(VARS)) / density,
    )
    d = FAMILIES["mixture"]()
    grad = jax.grad(lambda d: move(jnp.float32(z), d.logits, d.components))(d)
    for ours, exact in zip(jax.tree.leaves(grad), truth, strict=True):
        np.testing.assert_allclose(ours, exact, rtol=0, atol=2e-5 * abs(exact).max())


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


# Divergences.


def nearly(d, by):
    """The same distribution, its parameters a little larger."""
    return jax.tree.map(lambda leaf: leaf * (1 + by), d)


def others():
    tril = np.array([[0.8, 0.0, 0.0], [-0.4, 0.9, 0.0], [0.2, 0.1, 1.1]])
    return {
        "gaussian": D.MultivariateGaussian(jnp.ones(3), a(tril, "float32")),
        "low rank": D.LowRankGaussian(jnp.ones(3), a(FACTOR * 0.7, "float32"), jnp.ones(3)),
        "pair": sn.Gaussian(jnp.ones(3), jnp.array([0.5, 1.0, 3.0])),
        "dirichlet": D.Dirichlet(jnp.array([2.0, 0.7, 1.5])),
        "wishart": D.Wishart(6.0, a(tril, "float32")),
        "lkj": D.LKJCholesky(4, 1.2),
        "von mises-fisher": D.VonMisesFisher(jnp.array([0.0, -0.8, 0.6]), 5.0),
    }


KL = [
    ("gaussian", "gaussian"),
    ("gaussian", "low rank"),
    ("low rank", "gaussian"),
    ("low rank", "low rank"),
    ("gaussian", "pair"),
    ("low rank", "pair"),
    ("dirichlet", "dirichlet"),
    ("wishart", "wishart"),
    ("lkj", "lkj"),
    ("von mises-fisher", "von mises-fisher"),
]


@pytest.mark.parametrize(("p", "q"), KL)
def test_kl_is_the_mean_log_ratio_and_zero_for_the_same_law(p, q, key):
    d, other = FAMILIES[p](), others()[q]

    @jax.jit
    def compare(d, other):
        x = d.sample(key, (100_000,))
        log_q = other.log_prob(x).sum(-1) if q == "pair" else other.log_prob(x)
        return d.log_prob(x) - log_q, sn.kl(d, other)

    check_mean(*compare(d, other))
    if p == q:
        assert jax.jit(sn.kl)(d, d) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("q", ["gaussian", "low rank"])
def test_kl_from_a_pair_to_a_joint_law(q, key):
    p, other = others()["pair"], FAMILIES[q]()
    x = p.sample(key, (100_000,))
    check_mean(p.log_prob(x).sum(-1) - other.log_prob(x), sn.kl(p, other))
    point = sn.Gaussian(jnp.ones(3), jnp.array([1.0, 0.0, 1.0]))
    assert sn.kl(point, other) == sn.kl(other, point) == jnp.inf


@pytest.mark.parametrize("by", [1e-2, 1e-3])
@pytest.mark.parametrize("name", ["gaussian", "low rank", "dirichlet", "wishart", "lkj", "vmf"])
def test_kl_keeps_its_digits_where_the_two_nearly_agree(name, by):
    def build(dtype):
        if name == "vmf":
            return D.VonMisesFisher(rounded_direction(dtype), a(2.0, dtype))
        return FAMILIES[name](dtype)

    def shifted(d):
        if name == "vmf":
            return D.VonMisesFisher(d.mean_direction, d.concentration * (1 + by))
        return nearly(d, by)

    p, q = build("float32"), shifted(build("float32"))
    kl = jax.jit(sn.kl)
    ours = float(kl(p, q))
    with jax.enable_x64(True):
        p, q = (jax.tree.map(lambda x: jnp.asarray(np.asarray(x), "float64"), d) for d in (p, q))
        truth = float(kl(p, q))
    assert truth > 0
    # Stirling's errors still cancel where gamma functions are compared.
    exact = name in ("gaussian", "low rank", "vmf")
    np.testing.assert_allclose(ours, truth, rtol=2e-3, atol=0 if exact else 1e-6)


def test_kl_of_joint_laws_and_pairs_broadcasts_over_the_batch():
    d = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), FAMILIES["low rank"]())
    scalar = sn.Gaussian(0.0, 1.0)
    wide = sn.Gaussian(jnp.zeros((2, 3)), jnp.ones((2, 3)))
    np.testing.assert_array_equal(sn.kl(d, scalar), sn.kl(d, wide))
    assert sn.kl(d, scalar).shape == (2,)
    assert sn.kl(scalar, d).shape == (2,)
    with pytest.raises(ValueError, match=r"last axis must be the event \(3,\)"):
        sn.kl(d, sn.Gaussian(jnp.zeros(2), jnp.ones(2)))
    with pytest.raises(ValueError, match="one event shape"):
        sn.kl(D.LKJCholesky(3, 1.0), D.LKJCholesky(4, 1.0))


# Arguments.


def test_from_covariance_is_its_cholesky_factor():
    d = D.MultivariateGaussian.from_covariance(a(LOC, "float32"), a(TRIL @ TRIL.T, "float32"))
    np.testing.assert_allclose(d.scale_tril, TRIL, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(d.covariance, TRIL @ TRIL.T, rtol=1e-5)


def bad(f, message, error=ValueError):
    return pytest.param(f, error, message)


EYE = jnp.eye(2)
ERRORS = {
    "upper": bad(lambda: D.MultivariateGaussian(jnp.zeros(2), EYE.at[0, 1].set(1.0)), "triangular"),
    "sign": bad(lambda: D.MultivariateGaussian(jnp.zeros(2), -EYE), "positive diagonal"),
    "nan": bad(lambda: D.MultivariateGaussian(jnp.zeros(2), EYE * jnp.nan), "scale_tril"),
    "oblong": bad(lambda: D.MultivariateGaussian(jnp.zeros(2), jnp.ones((2, 3))), "square"),
    "size": bad(lambda: D.MultivariateGaussian(jnp.zeros(3), EYE), r"\(\.\.\., D, D\), got \(3,\)"),
    "rank": bad(lambda: D.MultivariateGaussian(0.0, EYE), "needs 1 or more axes"),
    "indefinite": bad(
        lambda: D.MultivariateGaussian.from_covariance(jnp.zeros(2), EYE - 2.0), "positive definite"
    ),
    "skew": bad(
        lambda: D.MultivariateGaussian.from_covariance(jnp.zeros(2), EYE.at[0, 1].set(0.5)),
        "symmetric",
    ),
    "factor": bad(lambda: D.LowRankGaussian(jnp.zeros(2), jnp.ones((3, 1)), jnp.ones(2)), "got"),
    "diagonal": bad(lambda: D.LowRankGaussian(jnp.zeros(2), EYE, jnp.zeros(2)), "cov_diag"),
    "dirichlet": bad(lambda: D.Dirichlet(jnp.array([1.0, 0.0])), "positive"),
    "degrees": bad(lambda: D.Wishart(1.0, EYE), r"above D - 1 = 1"),
    "wishart": bad(lambda: D.Wishart(3.0, jnp.ones((2, 3))), "square"),
    "lkj": bad(lambda: D.LKJCholesky(1, 1.0), "int of 2 or more"),
    "lkj float": bad(lambda: D.LKJCholesky(2.0, 1.0), "int of 2 or more"),
    "length": bad(lambda: D.VonMisesFisher(jnp.ones(2), 1.0), "mean_direction"),
    "line": bad(lambda: D.VonMisesFisher(jnp.ones(1), 1.0), "d >= 2"),
    "kappa": bad(lambda: D.VonMisesFisher(jnp.array([1.0, 0.0]), -1.0), "not negative"),
    "classes": bad(lambda: D.GumbelSoftmax(1.0, jnp.zeros(1)), "K >= 2"),
    "mixture": bad(lambda: D.Mixture(jnp.zeros(2), pair()), r"got \(2,\) and a Gaussian"),
    "joint mixture": bad(
        lambda: D.Mixture(jnp.zeros(1), D.Dirichlet(jnp.ones((1, 2)))), "components of numbers"
    ),
    "weights": bad(lambda: D.Mixture(jnp.full(3, -jnp.inf), pair()), "not all of them -inf"),
    "integers": bad(lambda: D.Mixture(jnp.zeros(3, int), pair()), "floating", TypeError),
}


@pytest.mark.parametrize(("f", "error", "message"), ERRORS.values(), ids=ERRORS)
def test_errors_say_what_is_wrong(f, error, message):
    with pytest.raises(error, match=message):
        f()


def test_a_mixture_takes_never_and_refuses_what_has_no_gradient(key):
    never = D.Mixture(jnp.array([0.0, -jnp.inf, 0.0]), pair())
    x = jax.jit(lambda d: d.sample(key, (1000,)))(never)
    loss = lambda d: d.sample(jax.random.key(1), (9,)).sum() + d.log_prob(x).sum()  # noqa: E731
    grad = jax.jit(jax.grad(loss))(never)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves((x, grad)))
    counts = D.Mixture(jnp.zeros(2), D.Poisson(jnp.array([1.0, 9.0])))
    assert jnp.issubdtype(counts.sample(jax.random.key(2), (3,)).dtype, jnp.integer)
    with pytest.raises(TypeError, match="discrete"):
        jax.grad(lambda d: d.sample(jax.random.key(3)).astype("float32"))(counts)
    angles = D.Mixture(jnp.zeros(2), D.VonMises(jnp.zeros(2), jnp.ones(2)))
    with pytest.raises(NotImplementedError, match="cdf"):
        jax.grad(lambda d: d.sample(jax.random.key(3)))(angles)


def test_a_static_dimension_is_part_of_the_structure():
    three, four = D.LKJCholesky(3, 1.0), D.LKJCholesky(4, 1.0)
    assert jax.tree.structure(three) != jax.tree.structure(four)
    assert jax.jit(lambda d: d.sample(jax.random.key(0)))(four).shape == (4, 4)
    assert jax.tree.map(lambda x: 2 * x, four).dimension == 4
