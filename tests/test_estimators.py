"""The room `estimators`: one table; truth is enumeration, integration and quadrature."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import _exact
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats

import stochastic_net as sn

E, D = sn.estimators, sn.distributions
HIGH = 5.0  # of a z-score; over 20,000 keys a fair one is beyond it once in 1.7 million


# The catalogue. `coins` and `one_hot` say what the noise of a sample is made of: "cells" (a uniform
# number that counts by whether it is below p or 1 - p), "smooth" (by its value), None (not taken).


class Row(NamedTuple):
    estimator: Callable
    coins: str | None = None
    one_hot: bool = False
    numbers: bool = False  # takes the Gaussian pair
    floats: bool = False  # f gets floats and is differentiated
    higher: bool = False  # derivatives of any order


def half_square(z):
    return 0.5 * (jnp.asarray(z, float) ** 2).sum()


def gaussian_half_square(x):
    return 0.5 * (x.mean**2 + x.var).sum()


TABLE = {
    "pathwise": Row(E.pathwise, numbers=True, higher=True),
    "antithetic": Row(E.antithetic(E.pathwise), numbers=True),
    "antithetic score": Row(E.antithetic(E.score_function), "cells", numbers=True),
    "quasi": Row(E.quasi_monte_carlo(E.pathwise(num_samples=4)), numbers=True),
    "quasi score": Row(E.quasi_monte_carlo(E.score_function(num_samples=4)), numbers=True),
    "bonnet_price": Row(E.bonnet_price, numbers=True),
    "bonnet_price, probes": Row(E.bonnet_price(num_probes=2), numbers=True),
    "score_function": Row(E.score_function, "cells", True, numbers=True, higher=True),
    "baseline": Row(E.score_function(control_variate=0.7), "cells", True, True, higher=True),
    "baseline of dist": Row(
        E.score_function(control_variate=lambda d: d.mean.sum()), "cells", True, True, higher=True
    ),
    "batch_mean": Row(E.score_function(control_variate="batch_mean", num_samples=2), "cells", True),
    "leave_one_out": Row(E.leave_one_out, "cells", True, numbers=True, higher=True),
    "control_variate": Row(E.control_variate(E.score_function, half_square), "cells", True),
    "control_variate of pairs": Row(
        E.control_variate(E.score_function, half_square, gaussian_half_square), numbers=True
    ),
    "enumerate_support": Row(E.enumerate_support, "cells", True, higher=True),
    "measure_valued": Row(E.measure_valued, "cells", numbers=True),
    "arm": Row(E.arm, "cells"),
    "disarm": Row(E.disarm, "cells"),
    "double_control_variate": Row(E.double_control_variate(scale=0.7), "cells", True, floats=True),
    "rodeo": Row(
        E.rodeo(surrogate=lambda v, t: 0.3 * v + jnp.sin(t) + 0.1 * v * t), "cells", floats=True
    ),
    "rebar": Row(E.rebar(temperature=0.7, scale=0.8), "smooth", True, floats=True),
    "relax": Row(
        E.relax(control_variate=lambda x: jnp.tanh(x).sum() * 0.4), "smooth", True, floats=True
    ),
    "straight_through": Row(E.straight_through, "cells", True, floats=True),
    "reinmax": Row(E.reinmax, "cells", True, floats=True),
    "gumbel_softmax": Row(E.gumbel_softmax, "smooth", True, floats=True),
    "gumbel_softmax, soft": Row(E.gumbel_softmax(hard=False), "smooth", True, floats=True),
    "gumbel_rao": Row(E.gumbel_rao(num_noise=2), "smooth", True, floats=True),
    "without_replacement": Row(E.without_replacement),
    "stop_gradient": Row(E.stop_gradient, "cells", True, numbers=True),
}
UNBIASED = {name: row for name, row in TABLE.items() if row.estimator.bias is None}
BIASED = {name: row for name, row in TABLE.items() if row.estimator.bias is not None}


def table(rows, **conditions):
    chosen = {
        name: row
        for name, row in rows.items()
        if all(getattr(row, k) == v for k, v in conditions.items())
    }
    assert chosen
    return pytest.mark.parametrize("row", chosen.values(), ids=chosen)


def test_the_table_has_the_whole_room():
    entries = {name for name in E.__all__ if hasattr(getattr(E, name), "bias")} - {"Measured"}
    assert {name.partition(",")[0] for name in TABLE} >= entries - {"rejection"}


# Discrete: expectations over all randomness, in float64.


def function(w):
    """A function with parameters of its own, neither linear nor quadratic."""

    def f(z):
        t = (jnp.asarray(z, w.dtype) * w).sum()
        return (t - 0.5) ** 2 + 0.3 * jnp.sin(2 * t)

    return f


def value_and_slopes(estimator, make, theta, w):
    """E f, and its gradient in the law and in f: one call of the estimator."""

    def value(theta, w):
        return estimator(function(w), make(theta), jax.random.key(0))

    found, slopes = jax.value_and_grad(value, argnums=(0, 1))(theta, w)
    return found, *slopes


LOGITS = np.array([0.4, -0.9, 1.3, 0.1, -0.3, 2.0])
WEIGHTS = np.array([0.7, -1.2, 0.4, 0.3, 0.9, -0.5])


def close(found, truth, tolerance=1e-6):
    for a, b in zip(found, truth, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)


@table({n: r for n, r in UNBIASED.items() if r.coins == "cells"})
@pytest.mark.parametrize("size", [1, 3, 6])
def test_unbiased_exactly_over_coins(row, size):
    with jax.enable_x64(True):
        theta, w = jnp.asarray(LOGITS[:size]), jnp.asarray(WEIGHTS[:size])

        def run():
            return value_and_slopes(row.estimator, D.Bernoulli, theta, w)

        u_count = _exact.count(run)
        found, _ = _exact.expectation(run, _cells(theta, u_count))
        close(found, value_and_slopes(E.enumerate_support, D.Bernoulli, theta, w))


def _cells(theta, u_count):
    """Few points: two cells where draws are independent, three where they are coupled."""
    p = 1 / (1 + np.exp(-np.asarray(theta)))
    coupled = u_count == len(p)
    per_draw = [_exact.interval([q, 1 - q] if coupled else [q], 1) for q in p]
    return per_draw * (u_count // len(p)) if u_count else []


@table({n: r for n, r in UNBIASED.items() if r.coins == "smooth"})
@pytest.mark.parametrize("size", [1, 2])
def test_unbiased_exactly_over_relaxed_coins(row, size):
    with jax.enable_x64(True):
        theta, w = jnp.asarray(LOGITS[:size]), jnp.asarray(WEIGHTS[:size])

        def run():
            return value_and_slopes(row.estimator, D.Bernoulli, theta, w)

        nodes = {1: 40, 2: 10}[size]
        p = 1 / (1 + np.exp(-np.asarray(theta)))
        rules = [_exact.interval([1 - q], nodes) for q in p]
        rules += [_exact.interval([], nodes) for _ in p]
        found, _ = _exact.expectation(run, rules)
        close(found, value_and_slopes(E.enumerate_support, D.Bernoulli, theta, w))


@table({n: r for n, r in UNBIASED.items() if r.one_hot and r.coins == "cells"})
def test_unbiased_exactly_over_classes(row):
    with jax.enable_x64(True):
        theta = jnp.asarray(LOGITS.reshape(2, 3))
        w = jnp.asarray(WEIGHTS.reshape(2, 3))

        def run():
            return value_and_slopes(row.estimator, D.OneHotCategorical, theta, w)

        draws = _exact.count(run) // theta.size
        rules = [_exact.choice(p) for p in np.asarray(jax.nn.softmax(theta))] * draws
        found, _ = _exact.expectation(run, rules)
        close(found, value_and_slopes(E.enumerate_support, D.OneHotCategorical, theta, w))


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("num_samples", [2, 3, 5])
def test_unbiased_exactly_without_replacement(size, num_samples):
    with jax.enable_x64(True):
        theta, w = jnp.asarray(LOGITS[:size]), jnp.asarray(WEIGHTS[:size])
        estimator = E.without_replacement(num_samples=num_samples)

        def run():
            return value_and_slopes(estimator, D.Bernoulli, theta, w)

        joint = E.enumerate_support(lambda z: z, D.Bernoulli(theta), jax.random.key(0))
        assert joint.shape == theta.shape
        p = np.asarray(jax.nn.sigmoid(theta))
        bits = np.stack(np.unravel_index(np.arange(2**size), (2,) * size), -1)
        probs = np.prod(np.where(bits == 1, p, 1 - p), -1)
        rule = _exact.subsets(probs, min(num_samples, len(probs)))
        np.testing.assert_allclose(rule[1].sum(), 1)
        found, _ = _exact.expectation(run, [rule])
        close(found, value_and_slopes(E.enumerate_support, D.Bernoulli, theta, w))


def test_without_replacement_over_three_ternary_variables():
    with jax.enable_x64(True):
        theta = jnp.asarray(np.linspace(-1, 1, 9).reshape(3, 3))
        w = jnp.asarray(np.linspace(1, -0.5, 9).reshape(3, 3))

        def run():
            return value_and_slopes(E.without_replacement, D.OneHotCategorical, theta, w)

        marginal = np.asarray(jax.nn.softmax(theta))
        probs = np.einsum("i,j,k->ijk", *marginal).ravel()
        found, _ = _exact.expectation(run, [_exact.subsets(probs, 2)])
        close(found, value_and_slopes(E.enumerate_support, D.OneHotCategorical, theta, w))


VARIANCES = {  # exact, for f(b) = (b - 0.499)^2 at theta = 0 and 1: computed by hand
    "leave_one_out": (E.leave_one_out, 2.5e-7, 2.386e-7),
    "arm": (E.arm, 8.333e-8, 1.458e-7),
    "disarm": (E.disarm, 0.0, 1.328e-7),
}


@pytest.mark.parametrize("name", VARIANCES)
@pytest.mark.parametrize("theta", [0.0, 1.0])
def test_exact_variances(name, theta):
    estimator, *variances = VARIANCES[name]
    with jax.enable_x64(True):
        logit, p = jnp.asarray([theta]), 1 / (1 + math.exp(-theta))

        def run():
            f = lambda b: (jnp.float64(b[0]) - 0.499) ** 2  # noqa: E731
            return jax.grad(lambda x: estimator(f, D.Bernoulli(x), jax.random.key(0)))(logit)

        rules = [_exact.interval([p, 1 - p], 3)] * _exact.count(run)
        mean, square = _exact.expectation(run, rules)
        variance = float((square - mean**2)[0])
    expected = variances[int(theta)]
    assert variance == pytest.approx(expected, rel=0.03, abs=1e-18)


# What biased ones declare.


@table({n: r for n, r in BIASED.items() if r.estimator.bias.of == "scale of f"})
def test_the_bias_is_of_the_declared_order_in_f(row):
    """Of f(h z), h halved."""
    nodes = 24 if row.coins == "smooth" else 1
    with jax.enable_x64(True):
        theta, w = jnp.asarray(LOGITS[:1]), jnp.asarray(WEIGHTS[:1])
        p = float(jax.nn.sigmoid(theta[0]))

        def error(h):
            def run():
                return value_and_slopes(row.estimator, D.Bernoulli, theta, h * w)

            parts = _exact.count(run)
            rules = [_exact.interval([p, 1 - p], nodes)] + [_exact.interval([], 6)] * (parts - 1)
            found, _ = _exact.expectation(run, rules)
            truth = value_and_slopes(E.enumerate_support, D.Bernoulli, theta, h * w)
            close((found[0], found[2]), (truth[0], truth[2]))  # the value, and the gradient in f
            return float((found[1] - truth[1])[0])

        ratio = error(0.02) / error(0.01)
    assert ratio == pytest.approx(2.0**row.estimator.bias.order, rel=0.05)


def test_the_bias_of_reinmax_is_of_third_order_for_many_variables():
    with jax.enable_x64(True):
        theta = jnp.asarray(LOGITS.reshape(2, 3))

        def error(h):
            w = h * jnp.asarray(WEIGHTS.reshape(2, 3))

            def run():
                return value_and_slopes(E.reinmax, D.OneHotCategorical, theta, w)

            rules = [_exact.choice(p) for p in np.asarray(jax.nn.softmax(theta))]
            found, _ = _exact.expectation(run, rules)
            truth = value_and_slopes(E.enumerate_support, D.OneHotCategorical, theta, w)
            return np.abs(found[1] - truth[1]).max()

        assert error(0.02) / error(0.01) == pytest.approx(8, rel=0.05)


def test_the_bias_of_the_soft_relaxation_is_of_first_order_in_its_temperature():
    with jax.enable_x64(True):
        theta, w = jnp.asarray(LOGITS[:1]), jnp.asarray(WEIGHTS[:1])
        truth = value_and_slopes(E.enumerate_support, D.Bernoulli, theta, w)
        p = float(jax.nn.sigmoid(theta[0]))

        def error(temperature):
            soft = E.gumbel_softmax(temperature=temperature, hard=False)
            assert soft.bias == E.Bias("temperature", 1)

            def run():
                return value_and_slopes(soft, D.Bernoulli, theta, w)

            near = [1 - p + d * temperature for d in (-4, -2, -1, -0.5, 0, 0.5, 1, 2, 4)]
            near = [u for u in near if 0 < u < 1]
            found, _ = _exact.expectation(run, [_exact.interval(near, 40)])
            return np.array([found[0] - truth[0], found[1][0] - truth[1][0]])

        np.testing.assert_allclose(error(0.02) / error(0.01), 2.0, rtol=0.05)


def test_the_batch_mean_takes_its_share():
    with jax.enable_x64(True):
        theta, w = jnp.asarray(LOGITS[:2]), jnp.asarray(WEIGHTS[:2])
        truth = value_and_slopes(E.enumerate_support, D.Bernoulli, theta, w)
        for n in (2, 4):
            estimator = E.score_function(control_variate="batch_mean", num_samples=n)
            assert estimator.bias == E.Bias("1/num_samples", 1)

            def run(estimator=estimator):
                return value_and_slopes(estimator, D.Bernoulli, theta, w)

            found, _ = _exact.expectation(run, _cells(theta, _exact.count(run)))
            close(found, (truth[0], (1 - 1 / n) * truth[1], truth[2]))


def test_the_average_over_noise_is_the_hard_relaxation_with_less_variance():
    with jax.enable_x64(True):
        theta, w = jnp.asarray(LOGITS[:1]), jnp.asarray(WEIGHTS[:1])
        p = float(jax.nn.sigmoid(theta[0]))

        def moments(estimator):
            def run():
                return value_and_slopes(estimator, D.Bernoulli, theta, w)[1]

            others = [_exact.interval([], 20)] * (_exact.count(run) - 1)
            rules = [_exact.interval([p, 1 - p], 20), *others]
            return _exact.expectation(run, rules)

        (plain, plain_square), (rao, rao_square) = map(
            moments, (E.gumbel_softmax, E.gumbel_rao(num_noise=2))
        )
        np.testing.assert_allclose(rao, plain, atol=1e-6)
        assert rao_square < 0.95 * plain_square


# Continuous: 20,000 keys against quadrature, for three functions, every parameter, and f's own.


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
    "quasi": (E.quasi_monte_carlo(E.pathwise(num_samples=4)), ["Gaussian", "Gamma", "Laplace"]),
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
    """54 gradients of three functions: a false alarm once in 10,000 runs of the whole table."""
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


@pytest.mark.parametrize("name", ["rebar", "relax"])
def test_unbiased_over_20000_keys_of_relaxed_classes(name):
    theta = jnp.asarray(LOGITS[:3], jnp.float32)
    w = jnp.asarray(WEIGHTS[:3], jnp.float32)
    estimator = TABLE[name].estimator

    def slopes(key):
        def value(theta, w):
            return estimator(function(w), D.OneHotCategorical(theta), key)

        return jnp.concatenate(jax.grad(value, argnums=(0, 1))(theta, w))

    found = np.asarray(jax.jit(jax.vmap(slopes))(jax.random.split(jax.random.key(3), 20_000)))
    exact = value_and_slopes(E.enumerate_support, D.OneHotCategorical, theta, w)
    z = (found.mean(0) - np.concatenate(exact[1:])) / (found.std(0) / math.sqrt(len(found)))
    assert np.abs(z).max() < HIGH


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


# Under every transformation, for every row.


def problem(row):
    """A law that the estimator takes, a function with parameters, both float32."""
    w = jnp.asarray(WEIGHTS[:3], jnp.float32)
    if row.numbers:
        return sn.Gaussian(jnp.linspace(-1.0, 1.0, 3), jnp.linspace(0.5, 2.0, 3)), w
    return D.Bernoulli(jnp.asarray(LOGITS[:3], jnp.float32)), w


def slopes_of(row, law, w, key):
    def value(law, w):
        return row.estimator(function(w), law, key)

    return jax.value_and_grad(value, argnums=(0, 1))(law, w)


def eight_keys():
    return jax.random.split(jax.random.key(1), 8)


def devices(run, keys):
    sharding = jax.sharding.NamedSharding(
        jax.make_mesh((8,), ("i",), axis_types=(jax.sharding.AxisType.Auto,)),
        jax.sharding.PartitionSpec("i"),
    )
    return jax.jit(jax.vmap(run))(jax.device_put(keys, sharding))


@table(TABLE)
def test_one_gradient_eager_jitted_mapped_scanned_and_on_eight_devices(row):
    law, w = problem(row)
    assert jax.device_count() == 8

    def run(key):
        return slopes_of(row, law, w, key)

    eager = run(eight_keys()[0])
    mapped = devices(run, eight_keys())  # jit of vmap
    _, scanned = jax.lax.scan(lambda c, k: (c, run(k)), 0, eight_keys())
    for a, b, c in zip(*map(jax.tree.leaves, (eager, mapped, scanned)), strict=True):
        np.testing.assert_allclose(b[0], a, rtol=3e-4, atol=3e-5)
        np.testing.assert_allclose(b, c, rtol=3e-4, atol=3e-5)


@table(TABLE)
def test_forward_mode_and_remat_agree_with_reverse_mode(row):
    law, w = problem(row)
    tangents = jax.tree.map(jnp.ones_like, law), jnp.ones_like(w)

    def value(law, w):
        return row.estimator(function(w), law, jax.random.key(1))

    @jax.jit
    def both(law, w):
        kept = jax.grad(value, argnums=(0, 1))(law, w)
        again = jax.grad(jax.checkpoint(value), argnums=(0, 1))(law, w)
        return kept, again, jax.jvp(value, (law, w), tangents)

    kept, again, (_, ahead) = both(law, w)
    total = sum(float(x.sum()) for x in jax.tree.leaves(kept))
    for a, b in zip(jax.tree.leaves(kept), jax.tree.leaves(again), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(float(ahead), total, rtol=1e-3, atol=1e-4)


@table({n: TABLE[n] for n in ("pathwise", "score_function", "disarm", "antithetic")})
def test_it_compiles_once_for_a_shape(row):
    law, w = problem(row)
    traced = []

    @jax.jit
    def run(law, w, key):
        traced.append(1)
        return slopes_of(row, law, w, key)

    for key in jax.random.split(jax.random.key(0), 3):
        run(law, w, key)
    assert len(traced) == 1


@table({n: r for n, r in TABLE.items() if r.estimator is not E.enumerate_support})
def test_the_samples_and_the_key_count(row):
    """More samples, another key: other values; the same key: the same."""
    law, w = problem(row)

    @jax.jit
    def values(key):
        return row.estimator(function(w), law, key, num_samples=4)

    found = [float(values(jax.random.key(seed))) for seed in (0, 0, *range(1, 6))]
    assert found[0] == found[1]
    assert len(set(found)) > 1


def test_one_sample_is_a_draw():
    x = sn.Gaussian(jnp.zeros(3), jnp.ones(3))
    drawn = E.pathwise(lambda z: z, x, jax.random.key(0))
    np.testing.assert_array_equal(drawn, x.sample(jax.random.key(0)))


# Higher derivatives: right, or refused.


@table({n: r for n, r in TABLE.items() if r.higher and r.coins == "cells"})
def test_second_derivatives_are_right(row):
    with jax.enable_x64(True):
        theta, w = jnp.asarray(LOGITS[:2]), jnp.asarray(WEIGHTS[:2])

        def hessian(estimator):
            def value(both):
                theta, w = both
                return estimator(function(w), D.Bernoulli(theta), jax.random.key(0))

            return jax.tree.leaves(jax.hessian(value)((theta, w)))

        def run():
            return hessian(row.estimator)

        found, _ = _exact.expectation(run, _cells(theta, _exact.count(run)))
        close(found, hessian(E.enumerate_support))


@table({n: r for n, r in TABLE.items() if n in ("arm", "disarm", "rebar", "rodeo", "bonnet_price")})
def test_second_derivatives_are_refused_where_they_would_be_wrong(row):
    law, w = problem(row)

    def value(law):
        return row.estimator(function(w), law, jax.random.key(0))

    with pytest.raises(TypeError, match="first derivatives"):
        jax.hessian(value)(law)


def test_mixed_second_derivatives_of_a_slope_are_right():
    with jax.enable_x64(True):
        theta, w = jnp.asarray(LOGITS[:2]), jnp.asarray(WEIGHTS[:2])

        def mixed(estimator):
            def by_theta(w):
                value = lambda t: estimator(function(w), D.Bernoulli(t), jax.random.key(0))  # noqa: E731
                return jax.grad(value)(theta)

            return jax.jacfwd(by_theta)(w)

        def run():
            return mixed(E.disarm)

        found, _ = _exact.expectation(run, _cells(theta, _exact.count(run)))
        close(found, mixed(E.enumerate_support))


# Structure: pytrees, nesting, arrays, foreign distributions.


def test_a_pytree_of_laws_and_constants():
    tree = {
        "coin": D.Bernoulli(jnp.asarray(0.3)),
        "class": D.Categorical(jnp.zeros(3)),
        "constant": jnp.asarray(2.0),
    }

    def f(z):
        return z["constant"] * jnp.float32(z["coin"]) * jnp.float32(z["class"] + 1)

    exact = E.enumerate_support(f, tree, jax.random.key(0))
    p = 1 / (1 + math.exp(-0.3))
    assert float(exact) == pytest.approx(2 * p * 2, rel=1e-6)
    keys = jax.random.split(jax.random.key(1), 20_000)
    run = lambda t, k: E.leave_one_out(f, t, k)  # noqa: E731
    found = jax.jit(jax.vmap(jax.grad(run), (None, 0)))(tree, keys)
    truth = jax.grad(lambda t: E.enumerate_support(f, t, jax.random.key(0)))(tree)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(truth), strict=True):
        a, error = np.asarray(a).mean(0), np.asarray(a).std(0) / math.sqrt(len(keys))
        assert (np.abs(a - b) <= HIGH * error + 1e-5).all()


def test_a_draw_that_depends_on_a_draw():
    """f calls an estimator: coin, then a Gaussian around it; the closed form is p + p^2 ..."""
    theta = jnp.asarray(0.4)

    def value(theta, key):
        outer, inner = jax.random.split(key)

        def f(b):
            b = jnp.asarray(b, jnp.float32)
            x = sn.Gaussian(b * theta, jnp.ones(()))
            return E.pathwise(lambda z: z * z, x, inner)

        return E.leave_one_out(f, D.Bernoulli(theta), outer)

    keys = jax.random.split(jax.random.key(1), 20_000)
    found = np.asarray(jax.jit(jax.vmap(jax.grad(value), (None, 0)))(theta, keys))
    closed = lambda t: jax.nn.sigmoid(t) * t * t  # noqa: E731  E z^2 = p theta^2 + 1
    z = (found.mean() - jax.grad(closed)(theta)) / (found.std() / math.sqrt(len(keys)))
    assert abs(z) < HIGH


@pytest.mark.relaxed
def test_a_numpyro_distribution_is_a_law():
    numpyro = pytest.importorskip("numpyro.distributions")

    def value(p):
        coin = numpyro.BernoulliProbs(p)
        return E.enumerate_support(lambda z: 3.0 * z, coin, jax.random.key(0))

    assert jax.grad(value)(0.25) == pytest.approx(3.0)


@table({n: r for n, r in TABLE.items() if n not in ("double_control_variate", "rodeo")})
def test_f_may_return_an_array(row):
    law, w = problem(row)
    if row.estimator.__name__.startswith(("relax", "control_variate")):
        pytest.skip("its own function is a number")

    def estimate(f, law):
        return row.estimator(f, law, jax.random.key(0))

    first, second = function(w), lambda z: 2 * function(2 * w)(z)

    @jax.jit
    def all_three(law):
        together = jax.jacrev(lambda law: estimate(lambda z: jnp.stack([first(z), second(z)]), law))
        return together(law), [
            jax.grad(lambda law, f=f: estimate(f, law))(law) for f in (first, second)
        ]

    jacobian, singles = all_three(law)
    for i, single in enumerate(singles):
        for a, b in zip(jax.tree.leaves(jacobian), jax.tree.leaves(single), strict=True):
            np.testing.assert_allclose(a[i], b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_narrow_floats(dtype):
    law = D.Bernoulli(jnp.asarray(LOGITS[:3], dtype))
    for name in ("leave_one_out", "disarm", "score_function", "arm"):
        row = TABLE[name]
        grad = jax.grad(
            lambda d, row=row: row.estimator(
                lambda z: jnp.asarray(z, dtype).sum(), d, jax.random.key(0)
            )
        )(law)
        assert grad.logits.dtype == dtype
        assert np.isfinite(np.asarray(grad.logits, np.float32)).all()


def test_laws_without_elements():
    empty = D.Bernoulli(jnp.zeros((0,)))
    for name in ("score_function", "leave_one_out", "disarm", "enumerate_support"):
        value, grad = jax.value_and_grad(
            lambda d, n=name: TABLE[n].estimator(lambda z: 1 + z.sum(), d, jax.random.key(0))
        )(empty)
        assert value == 1.0
        assert grad.logits.shape == (0,)


# Control variates that are trained.


def test_the_derivative_of_the_second_moment_is_that_of_the_variance():
    """In the scale of REBAR, against finite differences of the exact second moment."""
    with jax.enable_x64(True):
        theta, w = jnp.asarray(LOGITS[:1]), jnp.asarray(WEIGHTS[:1])
        p = float(jax.nn.sigmoid(theta[0]))
        rules = [_exact.interval([1 - p], 40), _exact.interval([], 40)]

        def squared(scale):
            rebar = E.rebar(scale=scale)
            return E.second_moment(rebar, function(w), D.Bernoulli(theta), jax.random.key(0))

        slope, _ = _exact.expectation(lambda: jax.grad(squared)(0.6), rules)
        above, _ = _exact.expectation(lambda: squared(0.6 + 1e-4), rules)
        below, _ = _exact.expectation(lambda: squared(0.6 - 1e-4), rules)
        assert slope == pytest.approx((above - below) / 2e-4, rel=1e-5)


def test_a_linear_function_leaves_no_variance():
    w = jnp.asarray(WEIGHTS[:3], jnp.float32)
    law = D.Bernoulli(jnp.asarray(LOGITS[:3], jnp.float32))
    p = jax.nn.sigmoid(law.logits)
    for estimator in (E.double_control_variate, E.rodeo, E.measure_valued):
        grad = jax.grad(
            lambda d, e=estimator: e(
                lambda z: jnp.asarray(z, jnp.float32) @ w, d, jax.random.key(0)
            )
        )(law)
        np.testing.assert_allclose(grad.logits, w * p * (1 - p), rtol=1e-5)


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


# Options, wrappers, errors.


def test_options_first_is_the_same_as_options_last():
    law, f, key = D.Bernoulli(jnp.zeros(2)), lambda z: z.sum() ** 2, jax.random.key(0)
    first = E.score_function(control_variate="leave_one_out")(f, law, key, num_samples=4)
    last = E.score_function(
        f, law, jax.random.key(0), num_samples=4, control_variate="leave_one_out"
    )
    assert first == last
    twice = E.gumbel_softmax(temperature=0.3)(hard=False)
    assert twice.__name__ == "gumbel_softmax(temperature=0.3, hard=False)"
    assert twice.bias.of == "temperature"
    wrapped = E.antithetic(E.score_function)(num_samples=6)
    assert wrapped(f, law, jax.random.key(0)).shape == ()


@pytest.mark.parametrize("wrap", [E.antithetic, E.quasi_monte_carlo])
@pytest.mark.parametrize(
    "estimator", [E.leave_one_out, E.score_function(control_variate="leave_one_out"), E.disarm]
)
def test_samples_that_must_be_independent_are_not_coupled(wrap, estimator):
    with pytest.raises(ValueError, match="independent"):
        wrap(estimator)


COINS, PAIR = D.Bernoulli(jnp.zeros(2)), sn.Gaussian(jnp.zeros(2), jnp.ones(2))
WRONG: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "a seed": (lambda: E.pathwise(jnp.sum, PAIR, 0), TypeError, "jax.random.key"),
    "no law": (lambda: E.pathwise(jnp.sum, 1.0, jax.random.key(0)), TypeError, "distribution"),
    "an unknown option": (lambda: E.score_function(baseline=1), TypeError, "baseline"),
    "an unknown control variate": (
        lambda: E.score_function(jnp.sum, COINS, jax.random.key(0), control_variate="x"),
        ValueError,
        "leave_one_out",
    ),
    "one of two": (
        lambda: E.leave_one_out(jnp.sum, COINS, jax.random.key(0), num_samples=1),
        ValueError,
        "at least 2",
    ),
    "odd": (
        lambda: E.disarm(jnp.sum, COINS, jax.random.key(0), num_samples=3),
        ValueError,
        "multiple of 2",
    ),
    "no coins": (lambda: E.disarm(jnp.sum, PAIR, jax.random.key(0)), TypeError, "leave_one_out"),
    "no classes": (lambda: E.reinmax(jnp.sum, PAIR, jax.random.key(0)), TypeError, "OneHot"),
    "no Gaussian": (
        lambda: E.bonnet_price(jnp.sum, COINS, jax.random.key(0)),
        TypeError,
        "pathwise",
    ),
    "no weak derivative": (
        lambda: E.measure_valued(jnp.sum, D.Cauchy(0.0, 1.0), jax.random.key(0)),
        TypeError,
        "weak_derivative",
    ),
    "no mirror image": (
        lambda: E.antithetic(E.pathwise)(jnp.sum, D.Gamma(1.0, 1.0), jax.random.key(0)),
        TypeError,
        "mirror_rule",
    ),
    "no proposal": (
        lambda: E.rejection(jnp.sum, PAIR, jax.random.key(0)),
        TypeError,
        "proposal_rule",
    ),
    "no density": (
        lambda: E.score_function(jnp.sum, sn.Gaussian(0.0, 0.0), jax.random.key(0)),
        ValueError,
        "zero variance",
    ),
    "too many": (
        lambda: E.enumerate_support(jnp.sum, D.Bernoulli(jnp.zeros(20)), jax.random.key(0)),
        ValueError,
        "1048576 joint values",
    ),
    "endless": (
        lambda: E.enumerate_support(jnp.sum, D.Poisson(1.0), jax.random.key(0)),
        NotImplementedError,
        "enumerate",
    ),
    "not known": (
        lambda: E.control_variate(E.pathwise, jnp.sum)(jnp.sum, PAIR, jax.random.key(0)),
        NotImplementedError,
        "expectation",
    ),
    "not a number": (
        lambda: E.rodeo(lambda z: z, COINS, jax.random.key(0)),
        ValueError,
        "must return a number",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_teach(name):
    run, kind, message = WRONG[name]
    with pytest.raises(kind, match=message):
        run()


def test_no_silent_zero_and_a_loud_one():
    law, key = D.Poisson(jnp.asarray(2.0)), jax.random.key(0)
    with pytest.raises(TypeError, match=r"no derivative in rate.*sn\.estimators") as refusal:
        jax.grad(lambda d: E.pathwise(lambda z: 2 * z, d, key))(law)
    named = [name for name in E.__all__ if name in str(refusal.value)]
    assert {"leave_one_out", "measure_valued", "stop_gradient"} <= set(named)
    silenced = jax.grad(lambda d: E.stop_gradient(lambda z: 2 * z, d, jax.random.key(0)))(law)
    assert silenced.rate == 0


# Comparison.


def test_compare_measures():
    law = D.Bernoulli(jnp.array([0.4, -0.9]))
    w = jnp.asarray(WEIGHTS[:2], jnp.float32)
    chosen = [E.leave_one_out, E.disarm, E.straight_through, E.enumerate_support]
    report = E.compare(function(w), law, jax.random.key(0), chosen, num_keys=20_000)
    rows = {row.name: row for row in report.rows}
    assert rows["leave_one_out"].bias_z < HIGH
    assert rows["disarm"].bias_z < HIGH
    assert rows["straight_through"].bias_z > 20
    assert rows["disarm"].total_variance < rows["leave_one_out"].total_variance
    assert report.best is E.enumerate_support  # no variance at all
    truth = jax.grad(lambda d: E.enumerate_support(function(w), d, jax.random.key(0)))(law).logits
    np.testing.assert_allclose(rows["enumerate_support"].mean, truth, atol=1e-5)
    assert "straight_through" in str(report)
    assert "<table>" in report._repr_html_()
    assert len(report.to_dict()["rows"]) == 4
    assert report.plot().axes


def test_compare_knows_the_truth_of_a_gaussian_number():
    x = sn.Gaussian(jnp.asarray(0.3), jnp.asarray(0.64))
    chosen = [E.pathwise, E.leave_one_out]
    report = E.compare(jnp.sin, x, jax.random.key(0), chosen, num_keys=20_000)
    assert all(row.bias_z < HIGH for row in report.rows)
    far = E.estimator()(lambda f, dist, key, *, num_samples=1: 1.1 * E.pathwise(f, dist, key))
    report = E.compare(jnp.sin, x, jax.random.key(0), [far], num_keys=20_000)
    assert report.rows[0].bias_z > 5


def test_auto_picks_an_unbiased_one_and_says_what_does_not_apply(monkeypatch):
    """Of a shorter catalogue, for each entry is compiled twice."""
    few = (E.leave_one_out, E.measure_valued, E.disarm, E.straight_through)
    monkeypatch.setattr("stochastic_net.estimators._compare.CATALOGUE", few)
    counts, f = D.Poisson(jnp.asarray([1.0, 3.0])), lambda n: n.sum() ** 2
    report = E.compare(f, counts, jax.random.key(0), num_keys=64)
    assert [row.name for row in report.rows] == ["leave_one_out", "measure_valued"]
    assert "Bernoulli" in report.skipped["disarm"]
    assert report.best in few[:2]
    assert E.auto(f, counts, jax.random.key(0), few[:1], num_keys=64) is E.leave_one_out
    with pytest.raises(TypeError, match="disarm"):
        E.compare(f, counts, jax.random.key(0), [E.disarm])


def test_the_catalogue_of_auto_is_the_room():
    from stochastic_net.estimators._catalogue import CATALOGUE

    names = {estimator.__name__ for estimator in CATALOGUE}
    options_needed = {"relax", "rodeo", "stop_gradient"}  # of what is learned, and the loud zero
    assert {n for n in E.__all__ if hasattr(getattr(E, n), "bias")} - names <= options_needed | {
        "Measured"
    }
