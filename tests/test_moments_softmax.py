"""Softmax, log-softmax and log-sum-exp of independent Gaussian logits.

Truth: a sum over a product grid for three logits; for many, one integral in float64 on a grid that
is fine and wide enough for anything.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _compile import QUICKLY
from _dice import single, the_same_numbers  # noqa: F401
from _mesh import mesh_of
from jax.sharding import NamedSharding, PartitionSpec

import stochastic_net as sn


def three_logits(std):
    """Means, deviations, and softmaxes with their mass, for the trapezoidal rule on 8 deviations.

    It converges exponentially: its error is below 1e-12 for steps of less than a unit of a logit.
    """
    mean, deviation = single([0.3, -1.0, 1.2]), single(std * np.array([1.0, 0.7, 1.3]))
    nodes = np.linspace(-8, 8, 121)
    weights = np.exp(-0.5 * nodes**2)
    grid = np.stack(np.meshgrid(nodes, nodes, nodes, indexing="ij"), -1)
    mass = np.einsum("i,j,k->ijk", *[weights / weights.sum()] * 3)
    logits = mean + deviation * grid
    total = np.log(np.exp(logits).sum(-1))
    return mean, deviation, mass, np.exp(logits - total[..., None]), total


@pytest.mark.parametrize("std", [0.01, 0.3, 1.0, 3.0, 10.0])
def test_softmax_is_exact(std):
    mean, deviation, mass, p, _ = three_logits(std)
    first = np.einsum("ijk,ijkl->l", mass, p)
    var = np.einsum("ijk,ijkl->l", mass, (p - first) ** 2)
    got = jax.jit(sn.propagate(jax.nn.softmax))(sn.Gaussian(mean, deviation**2))
    chex.assert_trees_all_close(got.mean, single(first), atol=5e-6)
    chex.assert_trees_all_close(jnp.sqrt(got.var), single(np.sqrt(var)), atol=5e-6)


@pytest.mark.law
@pytest.mark.parametrize("std", [0.01, 0.3, 1.0, 3.0, 10.0])
def test_the_expected_log_sum_exp_and_its_derivatives(std):
    mean, deviation, mass, p, total = three_logits(std)
    x = sn.Gaussian(jnp.asarray(mean), jnp.asarray(deviation**2))
    for run in (sn.moments.expected_log_sum_exp, jax.jit(sn.moments.expected_log_sum_exp)):
        assert abs(run(x) - (mass * total).sum()) < 2e-5
    slopes = jax.jit(jax.grad(sn.moments.expected_log_sum_exp))(x)
    first, bend = np.einsum("ijk,ijkl->l", mass, p), np.einsum("ijk,ijkl->l", mass, p * (1 - p))
    chex.assert_trees_all_close(slopes.mean, single(first), atol=5e-6)
    chex.assert_trees_all_close(slopes.var, single(bend / 2), atol=5e-6)
    two = jax.tree.map(lambda a: jnp.stack([a, 2 * a], 1), x)
    chex.assert_trees_all_close(
        sn.moments.expected_log_sum_exp(two, 0)[0], sn.moments.expected_log_sum_exp(x), rtol=1e-5
    )


@pytest.mark.law
@pytest.mark.parametrize("covariance", ["diagonal", "adjoint"])
def test_log_sum_exp_and_log_softmax_are_exact(covariance):
    rows = [three_logits(std) for std in (0.01, 0.1, 0.3, 1.0, 3.0, 10.0)]
    mean, deviation = (jnp.asarray(np.stack([row[k] for row in rows])) for k in (0, 1))
    masses = [row[2] for row in rows]
    logs = [np.log(row[3]) for row in rows]
    for f, values in (
        (lambda x: jax.nn.logsumexp(x, -1)[:, None], [row[4][..., None] for row in rows]),
        (jax.nn.log_softmax, logs),
        (
            lambda x: -jax.nn.log_softmax(x[..., None], axis=1)[:, 1],
            [-log[..., 1:2] for log in logs],
        ),
    ):
        got = jax.jit(sn.propagate(f, covariance=covariance))(sn.Gaussian(mean, deviation**2))
        for k, (mass, value) in enumerate(zip(masses, values, strict=True)):
            first = np.einsum("ijk,ijkl->l", mass, value)
            var = np.einsum("ijk,ijkl->l", mass, (value - first) ** 2)
            chex.assert_trees_all_close(got.mean[k], single(first), rtol=2e-5, atol=2e-6)
            chex.assert_trees_all_close(got.var[k], single(var), rtol=1e-3)


def exact(mean, var):
    """E p, Var p, E log S and Var log S by a dense rule in float64.

    1/S and log S are integrals over t = e^s of e^{-t S}, in which the logits come apart; each is
    integrated over its own Gaussian by the trapezoidal rule.
    """
    mean, var, count = mean.astype(float), var.astype(float), mean.size
    eps = np.linspace(-9, 9, 181 if var.max() < 10 else 721)
    mass = np.exp(-0.5 * eps**2) / np.exp(-0.5 * eps**2).sum()
    top = (mean + 8 * np.sqrt(var)).max() + np.log(count)
    places = np.linspace(-top - 25, 5 - (mean - 8 * np.sqrt(var)).max(), 500)
    density, p, square = [], np.zeros(count), np.zeros(count)
    for s in places:
        size = np.exp(np.minimum(mean[:, None] + np.sqrt(var)[:, None] * eps + s, 50))
        t0, t1, t2 = ((size**k * np.exp(-size)) @ mass for k in range(3))
        logs = np.log(np.maximum(t0, 1e-300))
        others = np.exp(logs.sum() - logs) * (places[1] - places[0])
        p, square = p + others * t1, square + others * t2
        density.append((others * t1).sum())
    first, second = (np.dot(density, places**k) for k in (1, 2))
    log_sum = -np.euler_gamma - first, second - first**2 - np.pi**2 / 6
    return p, square - p**2, log_sum


@pytest.mark.law
@pytest.mark.parametrize(
    ("count", "std", "spread"),
    [(2, 0.3, 1), (10, 3.0, 1), (49, 0.6, 1), (49, 2.5, 2), (300, 0.5, 5), (1000, 1.5, 2)],
)
def test_many_logits(count, std, spread):
    dice = np.random.default_rng(count)
    mean = single(spread * dice.normal(size=count))
    var = single(np.square(std * dice.uniform(0.3, 1, count)))
    p, p_var, log_sum = exact(mean, var)
    x = sn.Gaussian(jnp.asarray(mean), jnp.asarray(var))
    got = jax.jit(sn.propagate(jax.nn.softmax))(x)
    assert np.abs(got.mean - p).max() < 4e-7
    assert np.abs(got.mean - p).max() < 2e-5 * np.sqrt(p_var).max()
    large = p_var > 1e-6 * p_var.max()
    assert np.abs(np.sqrt(got.var) / np.sqrt(p_var) - 1)[large].max() < 1e-4
    total = jax.jit(sn.propagate(jax.nn.logsumexp))(x)
    assert abs(total.mean - log_sum[0]) < 2e-6 * (1 + abs(log_sum[0]))
    assert abs(total.var / log_sum[1] - 1) < 1e-4


def many_rows(shape, stds, seed=0):
    dice = np.random.default_rng(seed)
    std = dice.uniform(*stds, shape)
    return sn.Gaussian(jnp.asarray(single(dice.normal(size=shape))), jnp.asarray(single(std**2)))


def row_by_row(f, x, *more):
    """Each row, of few logits, by itself: at nodes and not on the grid."""
    return jax.jit(lambda *x: jax.lax.map(lambda x: f(*x), x))(x, *more)


@pytest.mark.law
@pytest.mark.parametrize(
    ("shape", "stds"),  # deviations from, to
    [
        ((700, 7), (0, 0.4)),
        ((700, 7), (0.6, 2)),
        ((700, 7), (0, 1.5)),
        ((5000, 10), (0.3, 4)),  # rows beyond the reach of the grid
    ],
)
def test_many_logits_are_taken_on_a_grid(shape, stds):
    x = many_rows(shape, stds)
    for f in (jax.nn.softmax, jax.nn.log_softmax):
        got = jax.jit(sn.propagate(f))(x)
        few = row_by_row(sn.propagate(f), x)
        chex.assert_trees_all_close(got, few, rtol=3e-5, atol=2e-6)
    got = jax.jit(sn.propagate(jax.nn.softmax))(x)
    for row in range(3):
        p, p_var, log_sum = exact(np.asarray(x.mean[row]), np.asarray(x.var[row]))
        np.testing.assert_allclose(got.mean[row], p, atol=5e-7)
        np.testing.assert_allclose(np.sqrt(got.var[row]), np.sqrt(p_var), rtol=1e-4, atol=1e-6)
        total = sn.moments.expected_log_sum_exp(x)[row]
        np.testing.assert_allclose(total, log_sum[0], rtol=2e-6, atol=2e-6)


@pytest.mark.law
@pytest.mark.parametrize("at_once", [60, None])  # at nodes, and as many as go on the grid
@pytest.mark.parametrize(
    ("count", "spread", "stds"),
    [(2, 5, (0.3, 1)), (4, 3, (0.05, 0.1)), (4, 6, (0, 0.5)), (10, 6, (0.3, 1)), (50, 8, (0.2, 1))],
)
def test_deviations_beside_a_near_certain_probability(count, spread, stds, at_once):
    """Var p is Var(1 - p): E p^2 - (E p)^2 has no digit of it in float32."""
    x = many_rows((5000 // count, count), stds, seed=count)
    x = jax.tree.map(lambda a: a[:at_once], sn.Gaussian(spread * x.mean, x.var))
    got = jax.jit(sn.propagate(jax.nn.softmax))(x)
    tried = 0
    for row in range(60):
        p, p_var, _ = exact(np.asarray(x.mean[row]), np.asarray(x.var[row]))
        if 1e-4 < 1 - p.max() < 1e-2:
            tried += 1
            error = np.abs(np.sqrt(np.asarray(got.var[row]) / p_var) - 1)
            assert error[p.argmax()] < 0.01
            assert error[p > 1e-6].max() < 0.1
    assert tried > 1


@pytest.mark.law
@pytest.mark.parametrize("rows", [6, 700])
def test_the_deviation_of_a_near_certain_probability_and_its_gradient(rows):
    x = many_rows((rows, 10), (0.3, 1.0))
    x = sn.Gaussian(x.mean.at[:, 4].add(9.0), x.var)
    got = jax.jit(sn.propagate(jax.nn.softmax))(x)
    slope = jax.jit(jax.grad(lambda x: jnp.sqrt(sn.propagate(jax.nn.softmax)(x).var[:, 4]).sum()))
    chex.assert_tree_all_finite(slope(x))
    for row in range(6):
        p, p_var, _ = exact(np.asarray(x.mean[row]), np.asarray(x.var[row]))
        assert 1e-4 < 1 - p[4] < 2e-2
        np.testing.assert_allclose(np.sqrt(got.var[row]), np.sqrt(p_var), rtol=3e-3)


@pytest.mark.law
def test_the_grid_takes_any_axes_and_any_place_in_a_program():
    x = many_rows((3, 30, 5, 20), (0.1, 1.5))
    p = jax.jit(sn.propagate(lambda x: jax.nn.softmax(x, (1, 3))))(x)
    flat = jax.tree.map(lambda a: jnp.moveaxis(a, 2, 1).reshape(15, 600), x)
    rows = row_by_row(sn.propagate(jax.nn.softmax), flat)
    expected = jax.tree.map(lambda a: jnp.moveaxis(a.reshape(3, 5, 30, 20), 1, 2), rows)
    chex.assert_trees_all_close(p, expected, rtol=3e-5, atol=2e-7)
    mapped = jax.jit(jax.vmap(sn.propagate(lambda x: jax.nn.softmax(x, (0, 2)))))(x)
    chex.assert_trees_all_close(p, mapped, rtol=3e-5, atol=2e-7)


@pytest.mark.law
def test_derivatives_on_the_grid_are_those_at_nodes():
    x = many_rows((700, 7), (0.05, 1.5))
    x = sn.Gaussian(x.mean, x.var.at[:, 0].set(0.0))
    weights = jnp.asarray(single(np.random.default_rng(1).normal(size=(2, 700, 7))))

    def loss(x, by_mean, by_var):
        y = sn.propagate(jax.nn.softmax)(x)
        return (y.mean * by_mean + y.var * by_var).sum()

    got = jax.jit(jax.grad(loss))(x, *weights)
    few = row_by_row(jax.grad(loss), x, *weights)
    chex.assert_trees_all_close(got, few, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("kind", ["Auto", "Explicit"])
@pytest.mark.parametrize("axis", [0, 2])
def test_logits_spread_over_devices_stay_there(kind, axis):
    spec = PartitionSpec(*(None,) * axis, "batch")
    spread = NamedSharding(mesh_of(8, kind=kind), spec)
    x = many_rows((16, 4, 24, 20), (0.1, 1.5))

    def softmax_and_slope(x):
        run = sn.propagate(jax.nn.softmax)
        return run(x), jax.grad(lambda x: jnp.square(run(x).mean).sum())(x)

    run = jax.jit(softmax_and_slope)
    there = jax.device_put(x, spread)
    run_there = run.lower(there).compile()
    if axis == 0:
        assert "all-gather" not in run_there.as_text()
    found, expected = jax.device_get((run_there(there), run(x)))
    chex.assert_trees_all_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.law
def test_a_masked_logit_on_the_grid_is_as_if_it_were_not_there():
    x = many_rows((700, 8), (0.1, 1.5))
    masked = sn.Gaussian(x.mean.at[:, 3].set(jnp.finfo("float32").min), x.var)
    run = jax.jit(sn.propagate(jax.nn.softmax))
    got, rest = run(masked), run(jax.tree.map(lambda a: jnp.delete(a, 3, 1), x))
    assert not got.mean[:, 3].any()
    assert not got.var[:, 3].any()
    chex.assert_trees_all_close(jax.tree.map(lambda a: jnp.delete(a, 3, 1), got), rest, atol=5e-7)
    slope = jax.jit(jax.grad(lambda x: run(x).mean[:, 0].sum()))(masked)
    chex.assert_tree_all_finite(slope)
    bad = jax.jit(lambda m: run(sn.Gaussian(m, x.var)))(x.mean.at[5, 2].set(jnp.nan))
    assert jnp.isnan(bad.mean[5]).all()
    assert jnp.isfinite(bad.mean[:5]).all()


@pytest.mark.law
@pytest.mark.parametrize(
    "pair",  # means, deviations
    [
        (0.3, -0.2, 1.0, 0.5),
        (0.0, 0.0, 3.0, 3.0),
        (2.0, -5.0, 0.1, 4.0),
        (-40.0, 3.0, 1.0, 10.0),
        (0.0, 0.0, 0.01, 0.02),
        (1.0, 2.0, 0.0, 0.5),
    ],
)
def test_logaddexp_of_two_is_exact(pair):
    means, deviations = single(pair[:2]), single(pair[2:])
    nodes, mass = np.polynomial.hermite_e.hermegauss(200)
    mass = np.outer(mass, mass) / mass.sum() ** 2
    one, two = (m + d * nodes for m, d in zip(means, deviations, strict=True))
    values = np.logaddexp(one[:, None], two)
    first = (mass * values).sum()
    second = (mass * np.square(values - first)).sum()
    x, y = (
        sn.Gaussian.from_std(jnp.full(3, m), jnp.full(3, d))
        for m, d in zip(means, deviations, strict=True)
    )
    got = sn.propagate(jnp.logaddexp)(x, y)
    chex.assert_trees_all_close(got, jax.jit(sn.propagate(jnp.logaddexp))(x, y), rtol=1e-5)
    chex.assert_trees_all_close(got, jax.vmap(sn.propagate(jnp.logaddexp))(x, y), rtol=1e-5)
    np.testing.assert_allclose(got.mean, first, rtol=2e-6)
    np.testing.assert_allclose(got.var, second, rtol=1e-5)


@pytest.mark.law
def test_logaddexp_of_correlated_values_and_its_gradient():
    mix = np.array([[1.0, 0.5], [0.3, -1.0]])

    def f(x):
        x = x @ mix.astype(x.dtype)
        return jnp.logaddexp(x, x[::-1])[0] + x[1]

    x = sn.Gaussian(jnp.array([0.5, -0.4]), jnp.array([1.0, 0.6]))
    values = jax.jit(jax.vmap(f))(x.sample(jax.random.key(0), (400_000,)))
    got = jax.jit(sn.propagate(f, "full"))(x)
    assert abs(got.mean - values.mean()) < 0.01
    np.testing.assert_allclose(got.var, values.var(), rtol=0.01)
    total = jax.value_and_grad(
        lambda m: sn.propagate(f, "adjoint")(sn.Gaussian(m, jnp.ones(2))).var
    )
    total = jax.jit(total, compiler_options=QUICKLY)
    with jax.enable_x64(True):
        m = jnp.array([0.5, -0.4])
        ends = [total(m + s * jnp.array([1e-5, 0.0]))[0] for s in (1, -1)]
        np.testing.assert_allclose(total(m)[1][0], (ends[0] - ends[1]) / 2e-5, rtol=1e-5)


def test_what_is_only_called_logaddexp_is_not_taken_for_it():
    @jax.custom_jvp
    def logaddexp(x, y):
        return jnp.maximum(x, y) + 2 * (x - y)

    logaddexp.defjvp(lambda primals, tangents: (logaddexp(*primals), tangents[0]))
    x, y = (sn.Gaussian(jnp.full(2, m), jnp.ones(2)) for m in (0.0, 1.0))
    plain = sn.propagate(lambda x, y: jnp.maximum(x, y) + 2 * (x - y))(x, y)
    chex.assert_trees_all_close(sn.propagate(logaddexp)(x, y), plain, rtol=1e-6)


def test_logits_whose_deviations_differ_a_hundredfold():
    mean, var = single([0.0, -20.0]), single([0.01, 100.0])
    p, p_var, _ = exact(mean, var)
    got = jax.jit(sn.propagate(jax.nn.softmax))(sn.Gaussian(jnp.asarray(mean), jnp.asarray(var)))
    chex.assert_trees_all_close(got.mean, single(p), atol=1e-4, rtol=0)
    chex.assert_trees_all_close(jnp.sqrt(got.var), single(np.sqrt(p_var)), atol=1.5e-3, rtol=0)


def test_a_logit_is_not_drawn_to_what_is_rare_and_huge():
    """E e^X of a wide logit says nothing of where the sum of exponentials is."""
    x = sn.Gaussian(jnp.array([0.0, 2.0, -200.0]), jnp.array([1e-4, 1e-2, 900.0]))
    got = sn.propagate(jax.nn.softmax)(x)
    two = sn.propagate(jax.nn.softmax)(jax.tree.map(lambda a: a[:2], x))
    chex.assert_trees_all_close(got.mean, jnp.append(two.mean, 0.0), atol=1e-6)
    chex.assert_trees_all_close(got.var, jnp.append(two.var, 0.0), atol=1e-6)


def test_a_maximum_that_is_taken_for_a_constant_is_at_its_mean():
    x = sn.Gaussian(jnp.array([[1.0, 3.0, 2.0]]), jnp.array([[4.0, 1.0, 9.0]]))
    largest = sn.propagate(lambda x: x.max(-1, keepdims=True))(x).mean
    assert largest > 3.5

    def relative(x):
        return x / jax.lax.stop_gradient(x.max(-1, keepdims=True))

    chex.assert_trees_all_close(sn.propagate(relative)(x).mean, x.mean / largest, rtol=1e-6)


@pytest.mark.parametrize("f", [jax.nn.softmax, jax.nn.log_softmax, jax.nn.logsumexp])
def test_a_maximum_that_only_shifts_exponentials_is_not_worked_out(f, monkeypatch):
    x = sn.Gaussian(jnp.arange(6.0).reshape(2, 3), jnp.ones((2, 3)))

    def larger(*_):
        raise AssertionError("worked out")

    monkeypatch.setattr("stochastic_net.moments._rules.extremes.larger", larger)
    sn.propagate(lambda x: f(x, axis=-1))(x)
    with pytest.raises(AssertionError, match="worked out"):
        sn.propagate(lambda x: x / jax.lax.stop_gradient(x.max()))(x)
