"""Distributions at the ends of what a float holds, of their parameters and of their shapes."""

import math

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from _families import LARGEST, TINY

import stochastic_net as sn
import stochastic_net.distributions as d

pytestmark = pytest.mark.law
DRAWS = 20_000
LIMIT = 5.5 / math.sqrt(DRAWS)  # of a share of draws, for a deviation of 1


# Mixtures of components that have bounds of their own.

BOUNDED = {
    "uniform": lambda: d.Uniform(jnp.array([0.0, 2.0]), jnp.array([1.0, 3.0])),
    "pareto": lambda: d.Pareto(jnp.array([1.0, 1e-6]), 3.0),
    "truncated": lambda: d.TruncatedGaussian(0.0, 1.0, jnp.array([-1, 2.0]), jnp.array([0, 3.0])),
}


@pytest.mark.law
@pytest.mark.parametrize("coupling", ["fast", "smooth"])
@pytest.mark.parametrize("name", BOUNDED)
def test_a_mixture_of_bounded_components_has_their_law(name, coupling, key):
    parts = BOUNDED[name]()
    mixture = d.Mixture(jnp.array([0.0, 0.5]), parts)
    low = np.min(np.broadcast_to(parts.support.low, (2,)))
    high = np.max(np.broadcast_to(parts.support.high, (2,)))
    np.testing.assert_array_equal(mixture.support.low, low)
    np.testing.assert_array_equal(mixture.support.high, high)
    assert mixture.sample(jax.random.key(1), coupling=coupling).shape == ()
    z = np.sort(jax.jit(lambda m, k: m.sample(k, (DRAWS,), coupling=coupling))(mixture, key))
    assert z.shape == (DRAWS,)
    below = mixture.cdf(jnp.asarray(z))
    assert abs(below - (np.arange(DRAWS) + 0.5) / DRAWS).max() < 0.6 * LIMIT
    grad = jax.grad(lambda m: m.sample(jax.random.key(2), (5,), coupling=coupling).sum())(mixture)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(grad))


def test_mixtures_of_bounded_vectors_and_of_counts_have_hulls_for_supports(key):
    low = jnp.array([[0.0, 5.0], [1.0, 2.0], [3.0, 3.0]])
    mixture = d.Mixture(jnp.zeros(3), d.Uniform(low, low + 1))
    np.testing.assert_array_equal(mixture.support.low, [0.0, 2.0])
    np.testing.assert_array_equal(mixture.support.high, [4.0, 6.0])
    assert mixture.sample(key, (4,)).shape == (4, 2)
    counts = d.Mixture(jnp.zeros(2), d.Binomial(jnp.array([3, 5]), jnp.zeros(2)))
    assert counts.support.high == 5


def test_survival_is_a_probability_outside_the_support():
    x = jnp.array([-2.0, 0.5, 4.0])
    for law in (d.TruncatedGaussian(0.0, 1.0, -1.0, 1.0), d.Uniform(-1.0, 1.0), d.Beta(2.0, 3.0)):
        got = d.survival(jax.tree.map(lambda leaf: jnp.full(3, leaf), law), x)
        np.testing.assert_array_equal(got[np.array([0, 2])], [1.0, 0.0])
        np.testing.assert_allclose(got[1], 1 - law.cdf(0.5), rtol=1e-5)
    np.testing.assert_allclose(d.survival(d.Pareto(1.0, 2.0), jnp.array(1e9)), 1e-18, rtol=1e-5)


# Values that were rounded to 16 bits.

ROUNDED = {
    "dirichlet": lambda t: d.Dirichlet(jnp.ones(5, t)),
    "gumbel-softmax": lambda t: d.GumbelSoftmax(jnp.array(0.5, t), jnp.zeros(5, t)),
    "von mises-fisher": lambda t: d.VonMisesFisher(jnp.eye(5, dtype=t)[0], jnp.array(3.0, t)),
    "lkj": lambda t: d.LKJCholesky(4, jnp.array(1.0, t)),
}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ROUNDED)
def test_a_draw_that_was_rounded_to_16_bits_has_a_density(name, dtype, key):
    law = ROUNDED[name](dtype)
    z = law.sample(key, (500,))
    assert jnp.isfinite(law.log_prob(z)).all()
    wide = ROUNDED[name]("float32")
    assert jnp.isfinite(wide.log_prob(z)).all()  # the value's own dtype is the coarse one
    other = (z * 1.5).astype("float32")
    assert (wide.log_prob(other) == -jnp.inf).all()
    assert (law.log_prob(other) == -jnp.inf).all()


def test_a_value_of_float32_is_held_to_its_own_precision():
    law, near = d.Dirichlet(jnp.ones(2)), jnp.array([0.5, 0.501])
    assert law.log_prob(near) == -jnp.inf
    assert not law.support.contains(near)


# Counts at extreme logits.


def trials(n, x, logit):
    """log of p^x q^(n - x), and its derivative in the logit, in float64."""
    log_p, log_q = -np.logaddexp(0, -logit), -np.logaddexp(0, logit)
    return x * log_p + (n - x) * log_q, x - n * scipy.special.expit(logit)


@pytest.mark.parametrize("logit", [-1000.0, -81.0, -17.0, -1.0, 17.0, 40.0, 81.0, 100.0, 1000.0])
def test_counts_have_densities_with_derivatives_at_extreme_logits(logit):
    for n, x in ((0, 0), (5, 0), (5, 2), (5, 5)):
        size, slope = jax.value_and_grad(lambda t: d.Binomial(n, t).log_prob(x))(logit)  # noqa: B023
        truth, true_slope = trials(n, x, np.float64(logit))
        np.testing.assert_allclose(size, truth + np.log(math.comb(n, x)), rtol=2e-6, atol=2e-6)
        np.testing.assert_allclose(slope, true_slope, rtol=2e-6, atol=2e-6)
    for r, x in ((0.3, 0), (2.0, 1), (2.0, 7)):
        size, (by_count, slope) = jax.value_and_grad(
            lambda r, t: d.NegativeBinomial(r, t).log_prob(x),  # noqa: B023
            (0, 1),
        )(r, logit)
        truth, true_slope = trials(r + x, x, np.float64(logit))
        ways = scipy.special.gammaln(r + x) - scipy.special.gammaln(r) - math.lgamma(x + 1)
        np.testing.assert_allclose(size, truth + ways, rtol=2e-6, atol=5e-6)
        np.testing.assert_allclose(slope, true_slope, rtol=2e-6, atol=5e-6)
        digammas = scipy.special.digamma(r + x) - scipy.special.digamma(r)
        truth = digammas - np.logaddexp(0, np.float64(logit))
        np.testing.assert_allclose(by_count, truth, rtol=5e-6, atol=5e-6)


@pytest.mark.parametrize("logit", [-1000.0, -100.0, -90.0, -25.0, -1.0])
def test_counts_that_are_large_have_an_entropy_and_a_divergence(logit):
    entropy, slope = jax.value_and_grad(lambda t: d.Geometric(t).entropy())(logit)
    p = np.exp(np.float64(logit))
    np.testing.assert_allclose(entropy, np.log1p(p) - logit + (np.log1p(p) / p if p else 1), 1e-6)
    np.testing.assert_allclose(slope, -np.log1p(p) / p if p else -1, rtol=1e-5)
    for law in (d.Geometric, lambda t: d.NegativeBinomial(2.0, -t)):
        assert sn.kl(law(logit), law(logit)) == 0
    with mp.workdps(800):
        a, b = (1 / (1 + mp.exp(-mp.mpf(t))) for t in (logit, logit + 1))
        truth = float(mp.log(a / b) + (1 - a) / a * mp.log((1 - a) / (1 - b)))
    np.testing.assert_allclose(sn.kl(d.Geometric(logit), d.Geometric(logit + 1)), truth, rtol=2e-6)
    got = sn.kl(d.NegativeBinomial(2.0, -logit), d.NegativeBinomial(2.0, -logit - 1))
    np.testing.assert_allclose(got, 2 * truth, rtol=2e-6)


# A scale far from 1: only the product is held within the normal numbers.

SCALED = {
    "inverse gamma": (d.InverseGamma(0.01, 1e-20), [1e-15, 1e10, 1e19, 1e30]),
    "pareto": (d.Pareto(1e-20, 0.02), [1e-15, 1e10, 1e19, 1e30]),
    "weibull": (d.Weibull(1e30, 0.1), [1e-2, 1e6, 1e20, 1e32]),
    "small weibull": (d.Weibull(1e-30, 0.02), [1e-37, 1e-20, 1e10, 1e30]),
}


@pytest.mark.law
@pytest.mark.parametrize("coupling", ["fast", "smooth"])
@pytest.mark.parametrize("name", SCALED)
def test_a_draw_is_held_after_the_scale_was_applied(name, coupling, key):
    law, values = SCALED[name]
    z = jax.jit(lambda law, k: law.sample(k, (DRAWS,), coupling=coupling))(law, key)
    assert ((z >= TINY) & (z <= LARGEST)).all()
    for value in values:
        assert abs((z <= value).mean() - law.cdf(value)) < 0.5 * LIMIT
    slopes = jax.vmap(jax.grad(lambda law, k: law.sample(k), 0), (None, 0))(
        law, jax.random.split(jax.random.key(1), 200)
    )
    assert all(not jnp.isnan(leaf).any() for leaf in jax.tree.leaves(slopes))


def test_quantiles_are_held_after_the_scale_was_applied():
    np.testing.assert_allclose(d.InverseGamma(1e-4, 1e-30).icdf(0.01), 7.87e13, rtol=1e-2)
    np.testing.assert_allclose(d.Weibull(1e30, 0.1).icdf(1e-6), 1e-30, rtol=1e-4)
    np.testing.assert_allclose(d.Pareto(1e-30, 0.01).icdf(0.6), 1e-30 * 0.4**-100, rtol=1e-4)


@pytest.mark.parametrize("a", [0.05, 1.5, 1e3, 1e8])
def test_an_inverse_gamma_draw_is_the_scaled_one_where_that_is_a_number(a):
    def ours(a, rate):
        return d.InverseGamma(a, rate).sample(jax.random.key(3), (5,)).sum()

    def theirs(a, rate):
        return (rate * sn.random.inverse_gamma(jax.random.key(3), a, (5,))).sum()

    got, truth = (jax.value_and_grad(f, (0, 1))(a, 3.0) for f in (ours, theirs))
    assert got[0] == truth[0]
    np.testing.assert_allclose(got[1], truth[1], rtol=1e-6)
    got, truth = (jax.hessian(f, (0, 1))(a, 3.0) for f in (ours, theirs))
    np.testing.assert_allclose(got, truth, rtol=1e-5)


# Divergences.


def true_divergence(p, q):
    """Between normal laws of mean 0 and these covariances, as exact matrices."""
    with mp.workdps(60):
        n, product = p.rows, q**-1 * p
        return float((sum(product[i, i] for i in range(n)) - n - mp.log(mp.det(product))) / 2)


@pytest.mark.parametrize("small", [1e-3, 1e-8, 1e-12, 1e-20])
def test_divergences_of_low_rank_laws_have_digits_where_the_diagonal_is_small(small):
    factor = np.float32([[1.0, 0.3], [-0.5, 0.7], [0.2, -1.1], [0.9, 0.4]])
    parts = np.float32([1.0, 3.0, 0.5, 2.0])

    def build(c):
        law = d.LowRankGaussian(jnp.zeros(4), jnp.asarray(factor), jnp.asarray(parts * c))
        diagonal = [mp.mpf(float(x)) for x in law.cov_diag]
        with mp.workdps(60):
            exact = mp.matrix(factor.astype(float).tolist())
            return law, exact * exact.T + mp.diag(diagonal)

    p, q = build(np.float32(small)), build(np.float32(2 * small))
    one = sn.Gaussian(jnp.zeros(4), jnp.ones(4)), mp.eye(4)
    joint = d.MultivariateGaussian(jnp.zeros(4), jnp.eye(4)), mp.eye(4)
    for left, right in ((p, q), (q, p), (p, one), (one, p), (p, joint), (joint, p)):
        got = sn.kl(left[0], right[0])
        np.testing.assert_allclose(got, true_divergence(left[1], right[1]), rtol=1e-4)
    grad = jax.grad(lambda law: sn.kl(p[0], law))(q[0])
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(grad))


def test_an_estimated_divergence_takes_a_scalar_and_refuses_other_shapes(key):
    p, q = sn.Gaussian(0.0, 1.0), d.Laplace(jnp.array([0.0, 0.5, 3.0]), 1.0)
    got = jax.vmap(lambda k: sn.kl(p, q, key=k))(jax.random.split(key, 20_000))
    assert got.shape == (20_000, 3)
    wide = jax.tree.map(lambda leaf: jnp.full(3, leaf), p)
    same = jax.vmap(lambda k: sn.kl(wide, q, key=k))(jax.random.split(jax.random.key(1), 20_000))
    error = np.sqrt((np.var(got, 0) + np.var(same, 0)) / 20_000)
    assert (abs(got.mean(0) - same.mean(0)) < 5.5 * error).all()
    assert sn.kl(q, p, key=jax.random.key(2)).shape == (3,)
    for other in (d.Cauchy(jnp.zeros(4), 1.0), d.Cauchy(jnp.zeros((2, 3)), 1.0)):
        with pytest.raises(ValueError, match="needs one shape"):
            sn.kl(q, other, key=jax.random.key(3))
    with pytest.raises(ValueError, match="one event shape"):
        sn.kl(q, d.Dirichlet(jnp.ones(3)), key=jax.random.key(4))


def test_an_estimate_in_16_bits_is_rounded_last(key):
    narrow = d.Laplace(jnp.array(0.0, "bfloat16"), 1.0), d.Cauchy(jnp.array(0.0, "bfloat16"), 1.0)
    got = sn.kl(*narrow, key=key, num_samples=20_000)
    assert got.dtype == "bfloat16"
    wide = d.Laplace(jnp.float32(0.0), 1.0), d.Cauchy(jnp.float32(0.0), 1.0)
    truth = sn.kl(*wide, key=jax.random.key(0), num_samples=20_000)
    assert got == truth.astype("bfloat16")


# The rest.


@pytest.mark.parametrize(
    "law",
    [
        d.Bernoulli(0.0),
        d.Categorical(jnp.zeros(3)),
        d.Gamma(2.0, 1.0),
        d.Beta(2.0, 3.0),
        d.StudentT(3.0),
        d.GeneralizedNormal(0.0, 1.0, 3.0),
        d.InverseGaussian(1.0, 2.0),
        d.TruncatedGaussian(0.0, 1.0, -1.0, 1.0),
    ],
    ids=lambda law: type(law).__name__,
)
def test_the_distribution_function_of_no_number_is_none(law):
    assert jnp.isnan(law.cdf(jnp.nan))
    if not law.support.integer:
        assert jnp.isnan(jax.jit(type(law).icdf)(law, jnp.nan))


def test_counts_that_are_known_are_enumerated_where_a_function_is_traced():
    fixed, key = d.Binomial(3, jnp.zeros(2)), jax.random.key(0)
    for build in (
        lambda t: fixed,
        lambda t: d.Binomial(3, t),
        lambda t: d.Binomial(np.array([3, 2]), t),
        lambda t: d.Binomial.from_probs(3, jax.nn.sigmoid(t)),
    ):
        assert jax.jit(lambda t: build(t).enumerate_support())(jnp.zeros(2)).shape == (4, 2)  # noqa: B023
    for estimator in (sn.estimators.enumerate_support, sn.estimators.without_replacement):
        mean = jax.jit(lambda t: estimator(jnp.sum, d.Binomial(3, t), key, num_samples=12))  # noqa: B023
        np.testing.assert_allclose(mean(jnp.zeros(1)), 1.5, rtol=1e-6)


def test_a_mixture_refuses_components_that_are_none():
    inner = d.Mixture(jnp.zeros((2, 3)), sn.Gaussian(jnp.zeros((2, 3)), jnp.ones((2, 3))))
    with pytest.raises(TypeError, match="flatten a mixture of mixtures"):
        d.Mixture(jnp.zeros(2), inner)
    with pytest.raises(TypeError, match="cannot be of the type Categorical"):
        d.Mixture(jnp.zeros(2), d.Categorical(jnp.zeros((2, 3))))


def test_enumeration_in_16_bits_is_rounded_last(key):
    coins = d.Bernoulli(jnp.full(14, 0.3, "bfloat16"))
    got = sn.estimators.enumerate_support(jnp.sum, coins, key)
    truth = 14 * scipy.special.expit(float(jnp.bfloat16(0.3)))
    np.testing.assert_allclose(got, truth, rtol=1e-5)


def test_independent_elements_have_what_their_base_has(key):
    law = d.Independent(d.OneHotCategorical(jnp.zeros((2, 3, 4))), 1)
    assert (law.batch_shape, law.event_shape, law.dtype) == ((2,), (3, 4), jnp.float32)
    assert law.mean.shape == law.var.shape == law.shape == (2, 3, 4)
    np.testing.assert_allclose(law.entropy(), 3 * math.log(4), rtol=1e-6)
    every = law.enumerate_support()
    assert every.shape == (64, 2, 3, 4)
    assert len(np.unique(np.asarray(every)[:, 0].reshape(64, -1), axis=0)) == 64
    np.testing.assert_allclose(jnp.exp(law.log_prob(every)).sum(0), 1, rtol=1e-5)
    pair = d.Independent(sn.Gaussian(jnp.zeros((2, 3)), jnp.ones((2, 3))), 1)
    assert (pair.batch_shape, pair.event_shape) == ((2,), (3,))
    assert pair.sample(key).shape == (2, 3)


def squares(z):
    return jnp.square(z.astype("float32")).sum()


E = sn.estimators
INDEPENDENT = {
    "quasi_monte_carlo": (E.quasi_monte_carlo(E.pathwise), sn.Gaussian(jnp.zeros(3), jnp.ones(3))),
    "a baseline": (
        E.quasi_monte_carlo(E.score_function(control_variate=lambda law: law.mean.sum())),
        sn.Gaussian(jnp.zeros(3), jnp.ones(3)),
    ),
    "antithetic": (E.antithetic(E.pathwise), sn.Gaussian(jnp.zeros(3), jnp.ones(3))),
    "bonnet_price": (E.bonnet_price, sn.Gaussian(jnp.zeros(3), jnp.ones(3))),
    "disarm": (E.disarm, d.Bernoulli(jnp.zeros(3))),
    "enumerate_support": (E.enumerate_support, d.Bernoulli(jnp.zeros(3))),
    "measure_valued": (E.measure_valued, d.Bernoulli(jnp.zeros(3))),
}


@pytest.mark.parametrize("name", INDEPENDENT)
def test_an_estimator_takes_independent_elements_for_what_they_are(name):
    estimator, base = INDEPENDENT[name]

    def value(law):
        return estimator(squares, law, jax.random.key(0), num_samples=4)

    got = jax.value_and_grad(value)(d.Independent(base, 1))
    truth = jax.value_and_grad(value)(base)
    np.testing.assert_array_equal(got[0], truth[0])
    for ours, theirs in zip(*map(jax.tree.leaves, (got[1], truth[1])), strict=True):
        np.testing.assert_array_equal(ours, theirs)
