"""Density, cdf, quantile, entropy and divergence of a Gaussian against mpmath.

At the very float32 arguments that they are given. A truth comes with its conditioning: the sum of
the sizes of its terms, or the change that a relative change of (value - mean) / std makes. Three
roundings of it are allowed; the most measured is 2.05. (So cdf is off by 1.8e-5 of itself at 12
deviations, for that is what one rounding of the deviation does there; everything else keeps 3e-7
where its terms do not cancel.)
"""

import math

import chex
import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
import scipy.stats
from _gaussians import F32, GAUSSIANS, build, exact, transforms, ulp
from jax.test_util import check_grads

import stochastic_net as sn

mp.mp.dps = 60
LOG_2PI = mp.log(2 * mp.pi)


def random_grid():
    """Means, variances and values: of every size, and standard ones down to cdf's smallest."""
    rng, n = np.random.default_rng(0), 300
    mean = np.append(rng.normal(size=n), np.zeros(n)).astype("float32")
    var = np.append(np.exp(rng.uniform(-60, 60, n)), np.ones(n)).astype("float32")
    t = np.append(rng.uniform(-13, 13, n), np.linspace(-13, 5, n))
    return mean, var, (mean + np.sqrt(var) * t).astype("float32")


MEAN, VAR, VALUE = random_grid()


def probabilities():
    """From the smallest float32 to the largest below 1."""
    low, high = np.geomspace(2e-38, 0.5, 300), 1 - np.geomspace(6e-8, 0.5, 300)
    return np.append(low, high).astype("float32")


def standardise(mean, var, value):
    return (value - mean) / mp.sqrt(var)


def true_log_prob(mean, var, value):
    square, log_var = standardise(mean, var, value) ** 2, mp.log(var)
    return -(square + log_var + LOG_2PI) / 2, (square + abs(log_var) + LOG_2PI) / 2


def true_cdf(mean, var, value):
    t = standardise(mean, var, value)
    return mp.ncdf(t), mp.ncdf(t) + abs(t) * mp.npdf(t)


def true_icdf(mean, var, q):
    t = mp.mpf(scipy.stats.norm.ppf(float(q)))
    for _ in range(4):  # Newton, to 60 digits
        t -= (mp.ncdf(t) - q) / mp.npdf(t)
    return mean + mp.sqrt(var) * t, abs(mean) + mp.sqrt(var) * abs(t)


def true_entropy(mean, var, _):
    return (mp.log(var) + LOG_2PI + 1) / 2, (abs(mp.log(var)) + LOG_2PI + 1) / 2


ORACLES = {
    "log_prob": (sn.Gaussian.log_prob, VALUE, true_log_prob),
    "cdf": (sn.Gaussian.cdf, VALUE, true_cdf),
    "icdf": (sn.Gaussian.icdf, probabilities(), true_icdf),
    "entropy": (lambda x, _: x.entropy(), VALUE, true_entropy),
}


@pytest.mark.parametrize(("f", "third", "truth"), ORACLES.values(), ids=ORACLES)
@transforms
def test_functions_are_float32_exact(f, third, truth, transform):
    x = sn.Gaussian(MEAN, VAR)
    got = transform(f)(x, third)
    assert got.dtype == "float32"
    for value, *arguments in zip(exact(got), exact(MEAN), exact(VAR), exact(third), strict=True):
        expected, conditioning = truth(*map(mp.mpf, arguments))
        allowed = 3 * ulp("float32") * conditioning + F32.tiny
        assert abs(value - expected) <= allowed, (arguments, value, expected)


RATIOS = [1, 1 + 2e-7, 1 - 1e-7, 1 + 1e-4, 1 - 1e-4, 1.01, 0.7, 0.501, 0.499, 1.99, 2.01]
RATIOS += [1e-2, 1e2, 1e-10, 1e10, 1e-35, 1e35]


@pytest.mark.parametrize("distance", [0, 1e-4, 1e-2, 3.0, 1e10])
@transforms
def test_kl_is_float32_exact(distance, transform):
    q_var = np.geomspace(1e-2, 1e2, len(RATIOS)).astype("float32")
    p = sn.Gaussian(np.full(len(RATIOS), 0.3, "float32"), q_var * np.float32(RATIOS))
    q = sn.Gaussian(p.mean + np.float32(distance) * np.sqrt(q_var), q_var)
    got = exact(transform(sn.kl)(p, q))
    pairs = zip(got, exact(p.mean), exact(p.var), exact(q.mean), exact(q.var), strict=True)
    for value, *arguments in pairs:
        p_mean, p_var, q_mean, q_var = map(mp.mpf, arguments)
        ratio = p_var / q_var
        truth = (ratio - 1 - mp.log(ratio) + (p_mean - q_mean) ** 2 / q_var) / 2
        assert abs(value - truth) <= 6 * ulp("float32") * truth, (arguments, value, truth)


def test_kl_beyond_float32_is_infinite_not_nan():
    huge, tiny = (sn.Gaussian(np.float32(0), np.float32(var)) for var in (1e30, 1e-30))
    assert sn.kl(huge, tiny) == jnp.inf
    np.testing.assert_allclose(sn.kl(tiny, huge), 30 * math.log(10) - 0.5, rtol=1e-6)
    chex.assert_tree_all_finite(jax.grad(sn.kl)(tiny, huge).mean)


def test_kl_takes_a_scalar_prior():
    p = build(GAUSSIANS["4d"])
    prior = sn.Gaussian(np.float32(0.5), np.float32(2.0))
    repeated = sn.Gaussian(jnp.full(p.shape, prior.mean), jnp.full(p.shape, prior.var))
    np.testing.assert_allclose(sn.kl(p, prior), sn.kl(p, repeated), rtol=8 * ulp("float32"))
    np.testing.assert_allclose(sn.kl(prior, p), sn.kl(repeated, p), rtol=8 * ulp("float32"))


HALF_FUNCTIONS = {
    "std": lambda x: x.std,
    "sample": lambda x: x.sample(jax.random.key(4)),
    "log_prob": lambda x: x.log_prob(1.5),
    "cdf": lambda x: x.cdf(1.5),
    "icdf": lambda x: x.icdf(0.3),
    "entropy": lambda x: x.entropy(),
    "kl": lambda x: sn.kl(x, sn.Gaussian(*(jnp.asarray(c, x.dtype) for c in (0.5, 2.0)))),
}


@pytest.mark.parametrize("f", HALF_FUNCTIONS.values(), ids=HALF_FUNCTIONS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_float32_rounded_once(f, dtype):
    x = sn.Gaussian(jnp.linspace(-2, 2, 50, dtype=dtype), jnp.linspace(0, 3, 50, dtype=dtype))
    full = jax.tree.map(lambda leaf: leaf.astype("float32"), x)
    assert f(x).dtype == dtype
    np.testing.assert_array_equal(f(x), f(full).astype(dtype))


INF = math.inf
POINT_LIMITS = {  # at mean 1 and variance 0
    "std": (lambda x: x.std, 0),
    "log_prob at the mean": (lambda x: x.log_prob(1.0), INF),
    "log_prob elsewhere": (lambda x: x.log_prob(1.5), -INF),
    "cdf below": (lambda x: x.cdf(0.5), 0),
    "cdf at the mean": (lambda x: x.cdf(1.0), 1),
    "cdf above": (lambda x: x.cdf(1.5), 1),
    "icdf": (lambda x: x.icdf(0.2), 1),
    "icdf of 0": (lambda x: x.icdf(0.0), 1),
    "entropy": (lambda x: x.entropy(), -INF),
    "kl to itself": (lambda x: sn.kl(x, x), 0),
    "kl to another point": (lambda x: sn.kl(x, x + 1), INF),
    "kl to a spread": (lambda x: sn.kl(x, sn.Gaussian(x.mean, jnp.ones_like(x.var))), INF),
    "kl from a spread": (lambda x: sn.kl(sn.Gaussian(x.mean, jnp.ones_like(x.var)), x), INF),
}


@pytest.mark.parametrize(("f", "limit"), POINT_LIMITS.values(), ids=POINT_LIMITS)
@pytest.mark.parametrize("var", [0.0, 1e-40])
def test_zero_variance_is_legal_and_its_gradients_are_finite(f, limit, var):
    x = sn.Gaussian(np.float32(1.0), np.float32(var))
    for transform in (lambda f: f, jax.jit):
        assert transform(f)(x) == limit
        chex.assert_tree_all_finite(transform(jax.grad(f))(x))


SMOOTH = {
    "sample": lambda mean, var: sn.Gaussian(mean, var).sample(jax.random.key(3), (2,)),
    "log_prob": lambda mean, var: sn.Gaussian(mean, var).log_prob(0.7),
    "log_prob of": lambda mean, var: sn.Gaussian(0.1, 0.4).log_prob(mean * var),
    "cdf": lambda mean, var: sn.Gaussian(mean, var).cdf(0.7),
    "cdf of": lambda mean, var: sn.Gaussian(0.1, 0.4).cdf(mean * var),
    "icdf": lambda mean, var: sn.Gaussian(mean, var).icdf(0.8),
    "icdf of": lambda mean, var: sn.Gaussian(0.1, 0.4).icdf(jax.nn.sigmoid(mean * var)),
    "entropy": lambda mean, var: sn.Gaussian(mean, var).entropy(),
    "std": lambda mean, var: sn.Gaussian(mean, var).std,
    "from_std": lambda mean, var: sn.Gaussian.from_std(mean, var).var,
    "from_log_var": lambda mean, var: sn.Gaussian.from_log_var(mean, var).var,
    "kl of p": lambda mean, var: sn.kl(sn.Gaussian(mean, var), sn.Gaussian(0.1, 0.4)),
    "kl of q": lambda mean, var: sn.kl(sn.Gaussian(0.1, 0.4), sn.Gaussian(mean, var)),
    "arithmetic": lambda mean, var: jax.tree.leaves(3 - 2 * sn.Gaussian(mean, var) / 7),
}


@pytest.mark.parametrize("f", SMOOTH.values(), ids=SMOOTH)
def test_derivatives_are_the_numerical_ones(f):
    # Forwards and backwards, in float64, with the noise held.
    with jax.enable_x64(True):
        mean, var = jnp.array([-0.5, 0.2, 1.3]), jnp.array([0.05, 0.8, 3.0])
        f = jax.jit(lambda mean, var, f=f: jax.vmap(f)(mean, var))
        check_grads(f, (mean, var), order=1, modes=("fwd", "rev"), eps=1e-5, rtol=1e-6)
