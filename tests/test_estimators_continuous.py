"""Continuous estimators: 20,000 keys against quadrature; the pair near a variance of zero."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from _estimators import HIGH, gaussian_half_square, half_square

import stochastic_net as sn

pytestmark = pytest.mark.law

E, D = sn.estimators, sn.distributions


FUNCTIONS = {
    "square": lambda z, w: w * z**2 + 0.1 * z,
    "wave": lambda z, w: np_or_jnp(z).sin(w * z) + 0.3 * z,
    "step": lambda z, w: np_or_jnp(z).tanh(3 * (z - w)),
}


W = 0.7


def np_or_jnp(z):
    return jnp if isinstance(z, jax.Array) else np


class Law(NamedTuple):
    make: Callable
    frozen: Callable  # scipy's, of the same parameters
    parameters: dict[str, float]


LAWS = {
    "Gaussian": Law(
        sn.Gaussian, lambda mean, var: scipy.stats.norm(mean, var**0.5), {"mean": 0.3, "var": 0.64}
    ),
    "Gamma": Law(
        D.Gamma,
        lambda concentration, rate: scipy.stats.gamma(concentration, scale=1 / rate),
        {"concentration": 2.5, "rate": 1.4},
    ),
    "Beta": Law(
        D.Beta,
        lambda concentration1, concentration0: scipy.stats.beta(concentration1, concentration0),
        {"concentration1": 1.7, "concentration0": 2.4},
    ),
    "Exponential": Law(
        D.Exponential, lambda rate: scipy.stats.expon(scale=1 / rate), {"rate": 1.3}
    ),
    "Laplace": Law(
        D.Laplace, lambda loc, scale: scipy.stats.laplace(loc, scale), {"loc": 0.2, "scale": 0.8}
    ),
    "Poisson": Law(D.Poisson, lambda rate: scipy.stats.poisson(rate), {"rate": 2.3}),
    "Geometric": Law(
        D.Geometric,
        lambda logits: scipy.stats.geom(1 / (1 + math.exp(-logits)), loc=-1),
        {"logits": -0.4},
    ),
}


ON = {  # which estimators on which laws
    "pathwise": (E.pathwise, ["Gaussian", "Gamma", "Beta"]),
    "score_function": (E.score_function, ["Gaussian", "Gamma", "Poisson"]),
    "leave_one_out": (E.leave_one_out, ["Gaussian", "Beta", "Geometric"]),
    "measure_valued": (
        E.measure_valued,
        ["Gaussian", "Gamma", "Beta", "Exponential", "Poisson", "Geometric"],
    ),
    "bonnet_price": (E.bonnet_price, ["Gaussian"]),
    "bonnet_price, probes": (E.bonnet_price(num_probes=1), ["Gaussian"]),
    "antithetic": (E.antithetic(E.pathwise), ["Gaussian", "Laplace"]),
    "antithetic score": (E.antithetic(E.score_function), ["Gaussian"]),
    "quasi": (E.quasi_monte_carlo(E.pathwise(num_samples=4)), ["Gaussian", "Laplace"]),
    "quasi score": (E.quasi_monte_carlo(E.score_function(num_samples=4)), ["Gaussian"]),
    "control_variate": (
        E.control_variate(E.score_function, half_square, gaussian_half_square),
        ["Gaussian"],
    ),
    "rejection": (E.rejection, ["Gamma"]),
    "rejection, three": (E.rejection(num_samples=3), ["Gamma"]),
}


PAIRS = {f"{n} of {law}": (e, LAWS[law]) for n, (e, laws) in ON.items() for law in laws}


def expected(law, f, parameters, w):
    frozen = law.frozen(**parameters)
    if hasattr(frozen.dist, "pmf"):
        k = np.arange(200)
        return float((frozen.pmf(k) * f(k.astype(float), w)).sum())
    low, high = frozen.ppf([1e-14, 1 - 1e-14])
    low, high = max(low, frozen.support()[0]), min(high, frozen.support()[1])
    breaks = [x for x in (W, frozen.median()) if low < x < high]
    return scipy.integrate.quad(
        lambda z: frozen.pdf(z) * f(z, w), low, high, points=breaks, epsabs=1e-12, limit=400
    )[0]


def truths(law, f):
    """By central differences of the quadrature: parameters, then w."""

    def slope(of, at, h=1e-4):
        return (of(at + h) - of(at - h)) / (2 * h)

    by_parameter = [
        slope(lambda x, n=n: expected(law, f, {**law.parameters, n: x}, W), v)
        for n, v in law.parameters.items()
    ]
    return np.array([*by_parameter, slope(lambda w: expected(law, f, law.parameters, w), W)])


@pytest.mark.parametrize(("estimator", "law"), PAIRS.values(), ids=PAIRS)
def test_unbiased_over_20000_keys(estimator, law):
    """53 gradients of three functions: a false alarm once in 10,000 runs of the whole table."""
    assert estimator.bias is None
    names = list(law.parameters)

    def gradients(parameters, w, key):
        def values(parameters, w):
            def f(z):
                z = jnp.asarray(z, jnp.float32)
                return jnp.stack([g(z, w) for g in FUNCTIONS.values()])

            return estimator(f, law.make(*parameters), key)

        jacobian = jax.jacrev(values, argnums=(0, 1))(parameters, w)
        return jnp.stack([*jacobian[0], jacobian[1]], -1)  # [function, parameter]

    parameters = [jnp.float32(law.parameters[n]) for n in names]
    keys = jax.random.split(jax.random.key(7), 20_000)
    found = jax.jit(jax.vmap(gradients, (None, None, 0)))(parameters, jnp.float32(W), keys)
    found = np.asarray(found, np.float64)
    truth = np.array([truths(law, f) for f in FUNCTIONS.values()])
    error = found.std(0) / math.sqrt(len(found))
    slack = 2e-5 * np.abs(truth).max()  # float32, and the difference quotient
    z = np.maximum(np.abs(found.mean(0) - truth) - slack, 0) / np.maximum(error, 1e-12)
    assert z.max() < HIGH, (z, found.mean(0), truth)


DIRECTIONS = {"rejection": E.rejection(num_samples=2), "pathwise": E.pathwise}


@pytest.mark.parametrize("name", DIRECTIONS)
def test_the_concentration_of_directions_in_five_dimensions(name):
    """0.147389: the derivative of I_{5/2}(k) / I_{3/2}(k) at k = 2. A common code gives 0.1277."""
    ratio = lambda k: scipy.special.iv(2.5, k) / scipy.special.iv(1.5, k)  # noqa: E731
    truth = (ratio(2 + 1e-5) - ratio(2 - 1e-5)) / 2e-5
    assert truth == pytest.approx(0.14739, abs=1e-5)
    mu = jnp.asarray([0.6, 0.0, -0.8, 0.0, 0.0])

    def slopes(key):
        def value(mu, kappa):
            law = D.VonMisesFisher(mu, kappa)
            return DIRECTIONS[name](lambda x: jnp.stack([x @ mu_fixed, x[1]]), law, key)

        mu_fixed = mu
        by_mu, by_kappa = jax.jacrev(value, argnums=(0, 1))(mu, jnp.float32(2.0))
        return jnp.stack([by_kappa[0], by_kappa[1], by_mu[1, 1]])

    found = np.asarray(jax.jit(jax.vmap(slopes))(jax.random.split(jax.random.key(5), 20_000)))
    error = found.std(0) / math.sqrt(len(found))
    z = (found.mean(0) - np.array([truth, 0.0, ratio(2.0)])) / error
    assert np.abs(z).max() < HIGH, (found.mean(0), error)
    assert error[0] < 1e-3  # 0.1277 would be 20 of them off


# The pair (mean, variance) near and at a variance of zero.


def spread_of_slopes(estimator, std):
    def slope(key):
        x = sn.Gaussian(jnp.float32(0.7), jnp.float32(std**2))
        return jax.grad(lambda x: estimator(jnp.sin, x, key))(x).var

    found = np.asarray(jax.jit(jax.vmap(slope))(jax.random.split(jax.random.key(2), 4000)))
    return found.mean(), found.std()


def test_mirrored_pairs_cure_the_noise_of_the_variance():
    truth = -math.sin(0.7) / 2
    assert spread_of_slopes(E.pathwise(num_samples=2), 1e-4)[1] > 2000
    for std in (1e-2, 1e-3):
        mean, noise = spread_of_slopes(E.antithetic(E.pathwise), std)
        assert noise < 0.5
        assert abs(mean - truth) < HIGH * noise / math.sqrt(4000)


@pytest.mark.parametrize("std", [0.0, 1e-25, 1e-9, 2e-8])
@pytest.mark.parametrize("estimator", [E.antithetic(E.pathwise), E.bonnet_price])
def test_the_limit_at_no_variance_is_half_the_second_derivative(estimator, std):
    mean, noise = spread_of_slopes(estimator, std)
    assert mean == pytest.approx(-math.sin(0.7) / 2, rel=1e-6)
    assert noise < 1e-6


def test_the_limit_of_many_elements_is_half_the_diagonal_of_the_hessian():
    """Some with a variance, some without; f mixes them."""
    mean, var = jnp.array([0.3, -0.5, 1.0]), jnp.array([0.0, 0.5, 0.0])

    def f(z):
        return jnp.sin(z.sum()) + z[0] * z[1] * z[2] + z[2] ** 3

    def slope(key):
        x = sn.Gaussian(mean, var)
        return jax.grad(lambda x: E.antithetic(E.pathwise)(f, x, key))(x).var

    found = np.asarray(jax.jit(jax.vmap(slope))(jax.random.split(jax.random.key(4), 20_000)))
    assert np.isfinite(found).all()
    wave = math.sin(0.3 - 0.5 + 1.0) * math.exp(-0.25)
    truth = 0.5 * np.array([-wave, -wave, -wave + 6.0])
    z = (found.mean(0) - truth) / (found.std(0) / math.sqrt(len(found)))
    assert np.abs(z).max() < HIGH


def test_points_that_fill_space_evenly():
    x = sn.Gaussian(jnp.zeros(2), jnp.ones(2))
    f = lambda z: jnp.cos(z.sum())  # noqa: E731

    def spread(estimator):
        run = jax.jit(
            jax.vmap(lambda k: jax.grad(lambda x: estimator(f, x, k, num_samples=256))(x).var)
        )
        return np.asarray(run(jax.random.split(jax.random.key(0), 200))).std(0)

    plain, even = spread(E.pathwise), spread(E.quasi_monte_carlo(E.pathwise))
    assert (even < plain / 4).all()
