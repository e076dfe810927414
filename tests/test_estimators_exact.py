"""Discrete estimators over all their randomness, in float64: bias, variance, Hessians."""

import math

import _exact
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _estimators import (
    LOGITS,
    TABLE,
    UNBIASED,
    WEIGHTS,
    cells,
    close,
    function,
    problem,
    table,
    value_and_slopes,
)

import stochastic_net as sn

pytestmark = pytest.mark.law

E, D = sn.estimators, sn.distributions


@table({n: r for n, r in UNBIASED.items() if r.coins == "cells"})
@pytest.mark.parametrize("size", [1, 6])
def test_unbiased_exactly_over_coins(row, size):
    with jax.enable_x64(True):
        theta, w = jnp.asarray(LOGITS[:size]), jnp.asarray(WEIGHTS[:size])

        def run():
            return value_and_slopes(row.estimator, D.Bernoulli, theta, w)

        u_count = _exact.count(run)
        found, _ = _exact.expectation(run, cells(theta, u_count))
        close(found, value_and_slopes(E.enumerate_support, D.Bernoulli, theta, w))


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


@table({n: r for n, r in UNBIASED.items() if r.one_hot and r.coins == "smooth"})
@pytest.mark.parametrize("count", [1, 3])
def test_unbiased_exactly_over_relaxed_classes(row, count):
    """In the logits of each variable, given the noise of the others."""
    with jax.enable_x64(True):
        theta = jnp.asarray(np.linspace(-1, 1.3, 3 * count).reshape(count, 3))
        w = jnp.asarray(np.linspace(1, -0.5, 3 * count).reshape(count, 3))

        def run():
            return value_and_slopes(row.estimator, D.OneHotCategorical, theta, w)

        @jax.jit
        def truth(one, w, others, place):
            def value(one, w):
                def f(z):
                    return function(w)(others.at[place].set(jnp.asarray(z, float)))

                return E.enumerate_support(f, D.OneHotCategorical(one), jax.random.key(0))

            found, slopes = jax.value_and_grad(value, argnums=(0, 1))(one, w)
            return found, *slopes

        probs = np.asarray(jax.nn.softmax(theta))
        rules, values = zip(*(_exact.relaxed_choice(probs, i) for i in range(count)), strict=True)
        expectations = _exact.expectations(run, [[rule] for rule in rules])
        for place, (found, _) in enumerate(expectations):
            others = jnp.asarray(np.eye(3)[values[place]])
            expected = truth(theta[place], w, others, place)
            close((found[0], found[1][place], found[2]), expected)


@table({n: r for n, r in UNBIASED.items() if r.one_hot and r.coins == "smooth"})
def test_an_estimate_is_a_function_of_the_draw_plus_one_of_what_is_given(row):
    """What the integration above takes for granted, at some points."""
    with jax.enable_x64(True):
        theta, w = jnp.asarray(LOGITS[:3]), jnp.asarray(WEIGHTS[:3])

        def run():
            return value_and_slopes(row.estimator, D.OneHotCategorical, theta, w)

        logit = np.asarray(jax.nn.log_softmax(theta))
        dice = np.random.default_rng(0)
        u, v = dice.uniform(size=(2, 200, 3))
        drawn = (logit - np.log(-np.log(u))).argmax(-1)
        first, second = (u[drawn == 1][:8], v[:8])
        evaluate = jax.jit(lambda x, y: _exact.given(run, jnp.concatenate([x, y]))[1])
        with jax.debug_key_reuse(False):
            both = jax.vmap(jax.vmap(evaluate, (None, 0)), (0, None))(first, second)
        np.testing.assert_allclose(both - both[:1], (both - both[:1])[:, :1] + 0 * both, atol=1e-12)


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


# Second derivatives: right, or refused.


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

        found, _ = _exact.expectation(run, cells(theta, _exact.count(run)))
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

        found, _ = _exact.expectation(run, cells(theta, _exact.count(run)))
        close(found, mixed(E.enumerate_support))


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
