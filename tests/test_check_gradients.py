"""`check_gradients`: its numbers, what may be passed, what it returns."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _broken import BATCH, MATRIX, THREE
from jax import lax

import stochastic_net as sn
from stochastic_net.diagnostics._measure.bias import Comparisons, bias
from stochastic_net.diagnostics._measure.objective import Objective
from stochastic_net.diagnostics._measure.statistics import student
from stochastic_net.diagnostics._program.trace import trace


def hard_attention(scores, values):
    return values[jnp.argmax(scores)].sum()


def categorical_choice(logits, values, key):
    return values[jax.random.categorical(key, logits)].sum()


def categorical_beside_a_kl(logits, decoder, key):
    z = jax.nn.one_hot(jax.random.categorical(key, logits), 3)  # <-
    kl = jnp.sum(jax.nn.softmax(logits) * (jax.nn.log_softmax(logits) + jnp.log(3.0)))
    return jnp.sum((z @ decoder - 1.0) ** 2) + kl


# --- numbers


@jax.custom_vjp
def noisy(x, weight, factor):
    """x * weight, whose rule returns a derivative of mean `factor` times the right one."""
    return x * weight + 0.0 * factor


noisy.defvjp(
    lambda x, weight, factor: (x * weight + 0.0 * factor, factor),
    lambda factor, g: (g * factor, jnp.zeros_like(g), jnp.zeros_like(g)),
)


def noisily(bias):
    """A function whose gradient is 1 and is estimated by 1 + bias + N(0, 1) * (1 + bias)."""

    def f(x, key):
        return noisy(x, jnp.float32(1.0), (1 + bias) * (1 + jax.random.normal(key)))

    return f


@pytest.mark.parametrize("seed", range(3))
def test_a_bias_of_five_percent_at_signal_to_noise_one_is_found(seed):
    report = sn.check_gradients(
        noisily(0.05), jnp.float32(1.5), key=jax.random.key(seed), num_samples=10_000
    )
    (found,) = report.findings
    assert (found.kind, found.argument) == ("bias", "x")
    assert abs(report.arguments[0].signal - 1) < 0.05


def test_false_alarms_are_as_rare_as_stated():
    """An unbiased but noisy gradient, over 400 sets of keys: none is expected at 1e-5 each.

    At a level of 5 % there are to be 20 at most in the mean (what is within the tolerance is none);
    more than 40 happen once in 30,000 repetitions, and none at all once in 10^7.
    """
    program = trace(noisily(0.0), (jnp.float32(1.5),), jax.random.key(0), None)
    objective = Objective(program, jax.random.key(0), 100)
    at = objective.gradients(objective.point)
    alarms = often = 0
    for seed in range(400):
        objective.keys = jax.random.split(jax.random.key(seed), 100)
        (one,) = bias(objective, at, Comparisons([0], [], []), []).values()
        alarms += one.biased
        often += student(one.z, 100) < 0.05
    assert alarms == 0
    assert 0 < often <= 40


def test_the_gradient_is_measured():
    def f(x, scale, key):
        return jnp.sum(x * (2 + jax.random.normal(key, x.shape))) + scale * 3

    report = sn.check_gradients(
        f, jnp.ones(4), jnp.float32(1.0), key=jax.random.key(0), num_samples=4000
    )
    of_x, of_scale = report.arguments
    assert abs(of_x.norm - 4) < 5 * of_x.error
    assert abs(of_x.error - 2 / 4000**0.5) < 0.1 * of_x.error  # of four elements with deviation 1
    assert abs(of_x.signal - 2) < 0.1
    assert of_scale.norm == 3
    assert of_scale.signal == np.inf
    assert of_x.finite == 1
    assert not of_x.zero


def test_the_structure_alone():
    report = sn.check_gradients(
        categorical_choice, THREE, MATRIX, key=jax.random.key(0), numbers=False
    )
    assert [f.kind for f in report.findings] == ["draw"]
    assert report.num_samples == 0
    assert "structure only" in str(report)
    (draw,) = report.draws
    assert str(draw) == f"categorical at test_check_gradients.py:{report.findings[0].line}"
    assert not draw.passes


def test_the_gradient_at_each_draw_is_measured():
    """f = sum over steps of 3 a_t + (b_t + 1) ** 2 has the derivatives 3 and 2 (b_t + 1)."""

    def f(x, key):
        def step(total, key):
            first, second = jax.random.split(key)
            a, b = jax.random.normal(first, (2,)), jax.random.exponential(second)
            return total + 3 * a.sum() + (b + 1) ** 2, None

        keep, steps = jax.random.split(key)
        mask = jax.random.bernoulli(keep, 0.5, x.shape).astype(x.dtype)
        return lax.scan(step, jnp.sum(mask * x), jax.random.split(steps, 5))[0]

    report = sn.check_gradients(f, THREE, key=jax.random.key(0), num_samples=2000)
    by_name = {d.name: d for d in report.draws}
    assert not by_name["bernoulli"].passes
    assert np.isnan(by_name["bernoulli"].signal)
    normal, exponential = by_name["normal"], by_name["exponential"]
    assert (normal.shape, exponential.shape) == ((5, 2), (5,))
    assert normal.signal == np.inf
    assert abs(normal.norm - 3 * 10**0.5) < 1e-5
    assert abs(exponential.norm - 4 * 5**0.5) < 5 * exponential.error
    assert abs(exponential.signal - 2) < 0.2  # the mean 4 over the deviation 2


def test_what_is_drawn_has_the_gradient_of_what_it_is_added_to():
    def f(mean, key):
        return jnp.sum(jnp.sin(mean + sn.random.gamma(key, jnp.full(3, 2.0))))

    report = sn.check_gradients(f, THREE, key=jax.random.key(0), num_samples=100)
    (mean,), (draw,) = report.arguments, report.draws
    assert (draw.norm, draw.error, draw.signal) == (mean.norm, mean.error, mean.signal)


# --- references of a bias


def jumping(size, jump):
    """E f is smooth in m; the derivative of f leaves out what crosses 0, of density phi(m)."""

    def f(m, key):
        z = m + jax.random.normal(key, (size,))
        return jnp.sum(jnp.where(z > 0, z + jump, 0.0))

    return f


@pytest.mark.parametrize(("size", "by"), [(2, "quadrature"), (9, "wide steps")])
def test_a_bias_at_a_jump_is_found(size, by):
    m = jnp.full(size, 0.5)
    report = sn.check_gradients(jumping(size, 1.0), m, key=jax.random.key(0), num_samples=1000)
    (found,) = report.findings
    assert (found.kind, found.argument) == ("bias", "m")
    assert report.arguments[0].reference == by
    expected = 1 + np.exp(-0.125) / np.sqrt(2 * np.pi) / 0.691462  # (Phi + phi) / Phi at 0.5
    given, reference = (float(x) for x in re.findall(r"-?\d+\.\d+", found.message)[:2])
    assert abs(reference / given / expected - 1) < 0.06


@pytest.mark.parametrize("size", [2, 9])
def test_a_kink_has_no_bias(size):
    m = jnp.full(size, 0.5)
    report = sn.check_gradients(jumping(size, 0.0), m, key=jax.random.key(0), num_samples=1000)
    assert report.ok
    assert abs(report.arguments[0].bias_z) < 4


def straight(x, key):
    return jnp.sum(x + lax.stop_gradient(jnp.round(x) - x)) * jax.random.normal(key)


def routed(x):
    return x[jnp.argmax(x)] * x[0]


def short(x, key):
    return jnp.sum(jnp.sin(x + jax.random.normal(key, (3,)).astype(x.dtype))).astype(jnp.float32)


UNTESTED = [
    (straight, THREE, "stop_gradient"),
    (routed, THREE, "jumps"),
    (short, THREE.astype(jnp.bfloat16), "16-bit"),
    (short, THREE.astype(jnp.float16), "16-bit"),
]


@pytest.mark.parametrize(("f", "x", "reason"), UNTESTED)
def test_why_there_is_no_reference(f, x, reason):
    report = sn.check_gradients(f, x, key=jax.random.key(0), num_samples=30)
    assert report.ok
    (row,) = report.arguments
    assert row.bias_z is None
    assert reason in row.untested
    assert "no reference for a bias: x" in str(report)


# --- far from the point


def sigmoid_by_hand(x):
    return jnp.sum(jnp.exp(x) / (1 + jnp.exp(x)))


def normalised(x):
    return jnp.sum(x / jnp.sqrt(jnp.sum(x**2)))


def log_sum_exp_by_hand(x):
    return jnp.log(jnp.sum(jnp.exp(x)))


FAR = [
    (sigmoid_by_hand, "nan", "1,000 times as large"),
    (log_sum_exp_by_hand, "nan", "1,000 times as large"),
    (normalised, "singular", "1e-25 times as large"),
]


@pytest.mark.parametrize(("f", "kind", "where"), FAR)
def test_extreme_values_are_probed(f, kind, where):
    report = sn.check_gradients(f, THREE, key=jax.random.key(0), num_samples=2)
    assert report.ok
    assert any(x.kind == kind and where in x.message and x.line for x in report.findings), report


def test_saturation_far_out_is_a_note():
    report = sn.check_gradients(
        lambda x: jnp.tanh(x).sum(), THREE, key=jax.random.key(0), num_samples=2
    )
    assert [(x.kind, x.severity) for x in report.findings] == [("saturated", "note")]


# --- what may be passed


def test_argnums_leave_arguments_out():
    key = jax.random.key(0)
    assert sn.check_gradients(hard_attention, THREE, MATRIX, key=key, argnums=1).ok
    assert not sn.check_gradients(hard_attention, THREE, MATRIX, key=key, argnums=(0,)).ok


def test_a_loss_with_metrics_beside_it():
    def f(x, key):
        z = x + jax.random.normal(key, x.shape)
        return jnp.sum(z**2), {"hits": jnp.argmax(z), "share": (z > 0).astype(jnp.float32).mean()}

    assert sn.check_gradients(f, THREE, key=jax.random.key(0), num_samples=8).ok


def test_a_key_among_the_arguments_is_drawn_from_anew():
    def f(x, noise_key):
        return jnp.sum(x * jax.random.normal(noise_key, x.shape))

    report = sn.check_gradients(f, THREE, jax.random.key(3), key=jax.random.key(0), num_samples=8)
    assert report.ok
    assert report.arguments[0].error > 0  # other noise for every key


@pytest.mark.parametrize("name", ["key", "rng", "rng_key", "seed", "anything"])
def test_where_the_key_goes(name):
    scope = {"jnp": jnp, "jax": jax}
    exec(f"def f(x, {name}):\n  return jnp.sum(x * jax.random.normal({name}, x.shape))", scope)
    report = sn.check_gradients(scope["f"], THREE, key=jax.random.key(0), num_samples=8)
    assert report.ok
    assert report.arguments[0].error > 0


def test_a_target_is_meant_to_be_detached():
    def f(online, target, x):
        return jnp.mean((x @ online - lax.stop_gradient(x @ target)) ** 2)

    report = sn.check_gradients(f, MATRIX, 2 * MATRIX, BATCH, key=jax.random.key(0), num_samples=8)
    assert report.ok
    assert [x.kind for x in report.findings] == ["stop_gradient"]


def test_assert_gradients_flow():
    sn.assert_gradients_flow(lambda x: jnp.sum(x**2), THREE, key=jax.random.key(0))
    with pytest.raises(sn.diagnostics.BrokenGradient, match=r"argmax of scores") as caught:
        sn.assert_gradients_flow(hard_attention, THREE, MATRIX, key=jax.random.key(0))
    assert isinstance(caught.value, AssertionError)


def test_bad_arguments():
    key = jax.random.key(0)
    with pytest.raises(TypeError, match="nothing to differentiate"):
        sn.check_gradients(lambda x: x, jnp.arange(3), key=key)
    with pytest.raises(TypeError, match="typed"):
        sn.check_gradients(lambda x: x, THREE, key=0)
    with pytest.raises(ValueError, match="argnums 2"):
        sn.check_gradients(lambda x: x, THREE, key=key, argnums=2)
    with pytest.raises(ValueError, match="at least 2"):
        sn.check_gradients(lambda x: x, THREE, key=key, num_samples=1)
    with pytest.raises(TypeError, match="cannot be traced"):
        sn.check_gradients(lambda x: x if x.sum() > 0 else -x, THREE, key=key)


def test_forms_of_the_report():
    report = sn.check_gradients(
        categorical_beside_a_kl, THREE, MATRIX, key=jax.random.key(0), num_samples=8
    )
    assert "<table>" in report._repr_html_()
    assert len(report.plot().axes) == 1
    kinds = [node.kind for node in report.graph.nodes]
    assert sorted(kinds) == ["argument", "argument", "cut", "draw", "output"]
    labels = "".join(edge.label for edge in report.graph.edges)
    assert "SNR" in labels
    (found,) = report.findings
    assert found.code == "z = jax.nn.one_hot(jax.random.categorical(key, logits), 3)  # <-"
    assert "sn.estimators" in found.cure
