"""Divergences of the families against the integral, and NumPyro's distributions beside ours."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special as special
from _families import ROWS, exact, nodes
from _laws import log_density

import stochastic_net as sn
import stochastic_net.distributions as d

pytestmark = pytest.mark.law

DRAWS = 20_000
kl = jax.jit(sn.kl)
DIVERGENCES = {  # families, and settings of q beside the ordinary ones of p
    "LogNormal": (0.3, 0.2),
    "HalfNormal": (0.4,),
    "Laplace": (0.7, 0.5),
    "Cauchy": (0.7, 0.5),
    "Gumbel": (0.7, 0.5),
    "Exponential": (0.6,),
    "Weibull": (0.4, 0.5),
    "Gamma": (0.8, 0.5),
    "InverseGamma": (0.8, 0.5),
    "Beta": (0.8, 0.5),
    "InverseGaussian": (0.3, 0.5),
    "VonMises": (0.3, 0.8),
    "Bernoulli": (0.8,),
    "Categorical": (0.8,),
    "Poisson": (0.7,),
    "Geometric": (0.6,),
    "Binomial": (0, 0.7),
    "NegativeBinomial": (0.0, 0.7),
}


@pytest.mark.parametrize("size", [1.0, 1e-3])
@pytest.mark.parametrize("name", DIVERGENCES)
def test_the_divergence_is_the_integral(name, size):
    row, settings = ROWS[name], ROWS[name].ordinary_arrays()
    shifts = dict(zip(settings, DIVERGENCES[name], strict=True))
    other = {n: shifted(v, shifts[n], size, n) for n, v in settings.items()}
    p, q = row.build(settings=settings), row.build(settings=other)
    got = exact(kl(p, q))
    for i, (one, two) in enumerate(zip(row.laws(settings), row.laws(other), strict=True)):
        if row.discrete:
            x, weights = np.arange(0, one.ppf(1 - 1e-14) + 20), 1.0
            x = x[: getattr(one, "high", 10**9) + 1]
        else:
            x, weights = nodes(row, one, two.ppf(0.5))
        log_p, log_q = log_density(one, x), log_density(two, x)
        seen = np.isfinite(log_p)
        with np.errstate(invalid="ignore"):
            terms = weights * np.exp(log_p) * (log_p - log_q)
        truth = terms[seen].sum()
        assert abs(got[i] - truth) <= 2e-5 * abs(truth) + 1e-6, (i, got[i], truth)
    np.testing.assert_allclose(exact(kl(p, p)), 0, atol=1e-6)


def shifted(values, shift, size, name):
    moved = values + np.float32(size * shift) if name in ("loc", "logits") else values
    return (
        moved if name in ("loc", "logits", "total_count") else values * np.float32(1 + size * shift)
    )


def test_divergences_of_moving_supports_and_of_two_families():
    inf = np.inf
    u = d.Uniform(jnp.float32([0.0, -1.0]), jnp.float32([1.0, 1.0]))
    np.testing.assert_allclose(sn.kl(u, d.Uniform(0.0, 2.0)), [math.log(2), inf], rtol=1e-6)
    one, two = d.Pareto(jnp.float32([2.0, 1.0]), 3.0), d.Pareto(1.5, 2.0)
    truth = math.log(3 / 2) + 2 * math.log(2 / 1.5) + 2 / 3 - 1
    np.testing.assert_allclose(sn.kl(one, two), [truth, inf], rtol=1e-6)
    e, g = d.Exponential(2.0), d.Gamma(1.0, 3.0)
    np.testing.assert_allclose(sn.kl(e, g), sn.kl(e, d.Exponential(3.0)), rtol=1e-6)
    np.testing.assert_allclose(sn.kl(g, e), sn.kl(d.Exponential(3.0), e), rtol=1e-6)
    with pytest.raises(ValueError, match="equal total_count"):
        sn.kl(d.Binomial(3, 0.0), d.Binomial(4, 0.0))
    with pytest.raises(ValueError, match="shapes that broadcast"):
        sn.kl(d.Exponential(jnp.ones(2, "float32")), d.Exponential(jnp.ones(3, "float32")))


def test_the_divergence_at_large_concentrations():
    p, q = d.Gamma(jnp.float32(1e6), 1.0), d.Gamma(jnp.float32(1.001e6), 1.0)
    a, b = 1e6, 1.001e6
    truth = (a - b) * special.digamma(a) - special.gammaln(a) + special.gammaln(b)
    np.testing.assert_allclose(sn.kl(p, q), truth, rtol=1e-5)


def test_without_a_rule_the_divergence_is_estimated_with_a_key(key):
    p, q = d.Laplace(jnp.full(DRAWS, 0.3, "float32"), 1.0), sn.Gaussian(0.0, 2.0)
    with pytest.raises(TypeError, match=r"no KL divergence .* key=key, num_samples"):
        sn.kl(p, q)
    wide = jax.tree.map(lambda leaf: jnp.full(DRAWS, leaf), q)
    ours, pullback = jax.vjp(lambda p: sn.kl(p, wide, key=key), p)
    (grad,) = pullback(jnp.ones_like(ours))
    # E z^2 = loc^2 + 2 scale^2: KL = -1 - log 2 + log(4 pi)/2 + (loc^2 + 2) / 4
    truth = -1 - math.log(2) + math.log(4 * math.pi) / 2 + (0.09 + 2) / 4
    for draws, value in ((ours, truth), (grad.loc, 0.15)):
        error = exact(draws).std() / math.sqrt(DRAWS)
        assert abs(exact(draws).mean() - value) < 5.5 * error
    assert sn.kl(d.Poisson(3.0), d.Geometric(0.0), key=jax.random.key(1), num_samples=9).shape == ()
    with pytest.raises(TypeError, match="Poisson is discrete"):
        jax.grad(lambda p: sn.kl(p, d.Geometric(0.0), key=jax.random.key(1)))(d.Poisson(3.0))


def numpyro_distributions():
    dist = pytest.importorskip("numpyro").distributions
    half = jnp.float32([0.5, 1.5])
    return {
        "Normal": (dist.Normal(half, 2.0), sn.Gaussian),
        "expanded": (dist.Normal(0.0, 2.0).expand([2]), sn.Gaussian),
        "Gamma": (dist.Gamma(half, 2.0), d.Gamma),
        "Gamma, expanded": (dist.Gamma(0.5, 2.0).expand([3, 2]), d.Gamma),
        "Beta": (dist.Beta(half, 2.0), d.Beta),
        "StudentT": (dist.StudentT(half, 0.0, 2.0), d.StudentT),
        "VonMises": (dist.VonMises(half, 2.0), d.VonMises),
        "Chi2": (dist.Chi2(half), d.Gamma),
        "TruncatedNormal": (
            dist.TruncatedNormal(half, 2.0, low=-1.0, high=2.0),
            d.TruncatedGaussian,
        ),
        "left": (dist.TruncatedNormal(half, 2.0, low=-1.0), d.TruncatedGaussian),
        "right": (dist.TruncatedNormal(half, 2.0, high=1.0), d.TruncatedGaussian),
        "Kumaraswamy": (dist.Kumaraswamy(half, 2.0), d.Kumaraswamy),
        "Pareto": (dist.Pareto(half, 2.0), d.Pareto),
        "Weibull": (dist.Weibull(half, 2.0), d.Weibull),
        "Bernoulli": (dist.Bernoulli(probs=half / 2), d.Bernoulli),
        "Bernoulli, logits": (dist.Bernoulli(logits=half), d.Bernoulli),
        "Categorical": (dist.Categorical(logits=jnp.float32([0.0, 1.0])), d.Categorical),
        "Binomial": (dist.Binomial(7, probs=half / 2), d.Binomial),
        "Poisson": (dist.Poisson(half), d.Poisson),
        "Geometric": (dist.Geometric(probs=half / 2), d.Geometric),
        "NegativeBinomial": (dist.NegativeBinomialProbs(3.0, half / 2), d.NegativeBinomial),
        "NegativeBinomial2": (dist.NegativeBinomial2(half, 3.0), d.NegativeBinomial),
        "RelaxedBernoulli": (
            dist.RelaxedBernoulli(jnp.float32(0.5), logits=half),
            d.BinaryConcrete,
        ),
        "event": (dist.Laplace(half, 2.0).to_event(1), d.Independent),
        "Normal, integers": (dist.Normal(0, 1), sn.Gaussian),
        "Uniform, integers": (dist.Uniform(jnp.array([0, 1]), 2), d.Uniform),
        "TruncatedNormal, integers": (dist.TruncatedNormal(0.0, 1.0, low=-1), d.TruncatedGaussian),
        "Gamma, integers": (dist.Gamma(2, 3), d.Gamma),
        "GammaPoisson": (dist.GammaPoisson(half, 3.0), d.NegativeBinomial),
        "BetaProportion": (dist.BetaProportion(half / 2, 3.0), d.Beta),
        "Dirichlet": (dist.Dirichlet(jnp.float32([0.5, 1.5, 2.0])), d.Dirichlet),
        "Dirichlet, expanded": (dist.Dirichlet(jnp.ones(3)).expand([4]), d.Dirichlet),
        "MultivariateNormal": (
            dist.MultivariateNormal(half, scale_tril=jnp.float32([[1.0, 0.0], [0.5, 2.0]])),
            d.MultivariateGaussian,
        ),
        "MultivariateNormal of one mean": (
            dist.MultivariateNormal(0.5, jnp.eye(2)),
            d.MultivariateGaussian,
        ),
        "LowRankMultivariateNormal": (
            dist.LowRankMultivariateNormal(half, half[:, None], half),
            d.LowRankGaussian,
        ),
        "LKJCholesky": (dist.LKJCholesky(3, 2), d.LKJCholesky),
    }


@pytest.mark.relaxed
def test_a_distribution_of_numpyro_is_drawn_by_our_samplers():
    for name, (theirs, family) in numpyro_distributions().items():
        ours = d.own(theirs)
        assert type(ours) is family, name
        z = sn.sample(theirs, jax.random.key(1))
        np.testing.assert_array_equal(z, ours.sample(jax.random.key(1)))
        assert z.shape == theirs.batch_shape + theirs.event_shape
        np.testing.assert_allclose(
            ours.log_prob(z), theirs.log_prob(z), rtol=2e-4, atol=2e-5, err_msg=name
        )


@pytest.mark.relaxed
def test_integers_of_numpyro_become_what_the_family_needs():
    dist = pytest.importorskip("numpyro").distributions
    assert d.own(dist.Bernoulli(probs=1)).mean == 1
    counts = d.own(dist.Binomial(10.0, probs=0.5))
    assert counts.total_count.dtype == "int32"
    assert counts.mean == 5
    np.testing.assert_array_equal(d.own(dist.Categorical(logits=jnp.array([0, 0]))).probs, 0.5)
    names = jax.jit(lambda t: d.own(dist.Binomial(3, logits=t)).enumerate_support())(0.0)
    assert names.shape == (4,)
    both = d.Independent(dist.Normal(jnp.zeros(3), 1), 1)
    ours = d.Independent(sn.Gaussian(jnp.zeros(3), jnp.ones(3)), 1)
    for ask in (lambda x: x.sample(jax.random.key(0)), lambda x: x.mean, lambda x: x.entropy()):
        np.testing.assert_array_equal(ask(both), ask(ours))


@pytest.mark.relaxed
def test_divergences_take_numpyro_distributions():
    dist = pytest.importorskip("numpyro").distributions
    half = jnp.float32([0.5, 1.5])
    p, q = dist.Normal(half, 1.0), sn.Gaussian(jnp.zeros(2), jnp.ones(2))
    np.testing.assert_allclose(sn.kl(p, q), half * half / 2, rtol=1e-6)
    together = sn.kl(p.to_event(1), dist.Normal(jnp.zeros(2), 1.0).to_event(1))
    np.testing.assert_allclose(together, 1.25, rtol=1e-6)
    unknown = dist.Levy(0.0, 1.0)
    assert d.own(unknown) is unknown
    assert sn.sample(unknown, jax.random.key(0)).shape == ()


CLOSE = {  # families whose divergence is a difference of large terms, with their parameters
    "Beta": (d.Beta, (0.05, 3.0)),
    "Gamma": (d.Gamma, (0.05, 20.0)),
    "InverseGamma": (d.InverseGamma, (50.0, 1.0)),
    "Gumbel": (d.Gumbel, (0.3, 0.05)),
    "VonMises": (d.VonMises, (0.3, 0.5)),
    "concentrated VonMises": (d.VonMises, (0.3, 1e4)),
    "Weibull": (d.Weibull, (30.0, 0.05)),
}


@pytest.mark.parametrize("factor", [1.0, 1.001, 1.02, 1.04])
@pytest.mark.parametrize("name", CLOSE)
def test_nearly_equal_laws_have_a_small_divergence_with_digits(name, factor):
    """Against float64, which has digits to spare there, at the same float32 parameters."""
    family, parameters = CLOSE[name]
    for index in range(len(parameters)):
        other = [p * (factor if i == index else 1.0) for i, p in enumerate(parameters)]
        pair = [np.float32(parameters), np.float32(other)]
        short = sn.kl(*(family(*p) for p in pair))
        with jax.enable_x64(True):
            long = sn.kl(*(family(*p.astype(float)) for p in pair))
        np.testing.assert_allclose(short, long, rtol=5e-3, atol=1e-12)
        assert short >= 0
