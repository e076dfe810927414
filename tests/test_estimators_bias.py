"""Biased estimators are off by what they declare, exactly, in float64."""

import _exact
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _estimators import BIASED, LOGITS, WEIGHTS, cells, close, table, value_and_slopes

import stochastic_net as sn

pytestmark = pytest.mark.law

E, D = sn.estimators, sn.distributions


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

            found, _ = _exact.expectation(run, cells(theta, _exact.count(run)))
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
