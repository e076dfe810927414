"""Densities of vectors, matrices and mixtures against scipy, mpmath and formulas."""

import math

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from _vectors import ALPHA, DIAG, FACTOR, FAMILIES, LOC, LOGITS, TRIL, D, a, families

pytestmark = pytest.mark.law


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
