"""The room `estimators`: what it is given, how it is configured, how it is compared."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _estimators import HIGH, TABLE, WEIGHTS, function, gaussian_half_square, half_square

import stochastic_net as sn

E, D = sn.estimators, sn.distributions


def test_the_table_has_the_whole_room():
    entries = {name for name in E.__all__ if hasattr(getattr(E, name), "bias")} - {"Measured"}
    assert {name.partition(",")[0] for name in TABLE} >= entries - {"rejection"}


# Structure: pytrees, nesting, foreign distributions.


def test_one_sample_is_a_draw():
    x = sn.Gaussian(jnp.zeros(3), jnp.ones(3))
    drawn = E.pathwise(lambda z: z, x, jax.random.key(0))
    np.testing.assert_array_equal(drawn, x.sample(jax.random.key(0)))


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


def test_wrappers_give_functions_of_dist_the_laws_themselves():
    pair = sn.Gaussian(jnp.zeros(2), jnp.ones(2))
    inner = E.control_variate(E.pathwise, half_square, gaussian_half_square)
    known = E.antithetic(inner)(half_square, pair, jax.random.key(0))
    assert known == 1.0
    baseline = E.score_function(control_variate=lambda d: d.var.sum())
    assert E.antithetic(baseline)(half_square, pair, jax.random.key(0)).shape == ()


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
    "none at all": (
        lambda: E.pathwise(jnp.sum, PAIR, jax.random.key(0), num_samples=0),
        ValueError,
        "at least 1",
    ),
    "half a sample": (
        lambda: E.pathwise(jnp.sum, PAIR, jax.random.key(0), num_samples=2.5),
        TypeError,
        "num_samples must be an int",
    ),
    "a traced number of samples": (
        lambda: jax.jit(lambda n: E.pathwise(jnp.sum, PAIR, jax.random.key(0), num_samples=n))(2),
        TypeError,
        "not traced",
    ),
    "no function": (lambda: E.pathwise(1.0, PAIR, jax.random.key(0)), TypeError, "f must be a f"),
    "a pytree": (
        lambda: E.pathwise(lambda z: {"a": z}, PAIR, jax.random.key(0)),
        TypeError,
        "f must return an array, got dict",
    ),
    "no temperature": (
        lambda: E.rebar(jnp.sum, COINS, jax.random.key(0), temperature=0.0),
        ValueError,
        "temperature must be positive",
    ),
    "no noise": (
        lambda: E.gumbel_rao(jnp.sum, COINS, jax.random.key(0), num_noise=0),
        ValueError,
        "num_noise must be at least 1",
    ),
    "two ways to draw": (
        lambda: E.antithetic(E.quasi_monte_carlo(E.pathwise))(jnp.sum, PAIR, jax.random.key(0)),
        ValueError,
        "take one of them",
    ),
    "one key": (
        lambda: E.compare(jnp.sum, PAIR, jax.random.key(0), [E.pathwise], num_keys=1),
        ValueError,
        "num_keys must be at least 2",
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
