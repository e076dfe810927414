"""The room `diagnostics`: reports on functions whose right answer is known."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stochastic_net as sn

MATRIX = jnp.asarray(np.random.default_rng(0).normal(size=(4, 4)), jnp.float32)


def pair(shape=(4,), var=1.0):
    return sn.Gaussian(jnp.linspace(-1.0, 1.0, 4) * jnp.ones(shape), jnp.full(shape, var))


def twice(x):
    """Two uses of one value, which the diagonal form takes for independent."""
    h = x @ MATRIX
    return h @ jnp.eye(4) + h @ jnp.eye(4)


CASES = {  # function, covariance, ok, ratio of deviations of the output
    "linear": (lambda x: x @ MATRIX, "diagonal", True, 1.0),
    "relu": (lambda x: jax.nn.relu(x) @ jnp.ones((4, 2)), "diagonal", True, 1.0),
    "twice": (twice, "diagonal", False, 0.5**0.5),
    "twice, followed": (twice, "adjoint", True, 1.0),
    "inside jit": (jax.jit(lambda x: jnp.tanh(x) @ MATRIX), "diagonal", True, 1.0),
    "scan": (
        lambda x: jax.lax.scan(lambda c, _: (c @ (MATRIX / 4), None), x, None, length=1)[0],
        "diagonal",
        True,
        1.0,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_verdict_is_right(name):
    f, covariance, ok, ratio = CASES[name]
    report = sn.check_moments(f, pair(), jax.random.key(0), covariance=covariance)
    assert report.ok is ok
    assert bool(report.findings) is (not ok)
    figures = report.layers[-1].summary()
    assert abs(figures["std_ratio"] - ratio) < 0.04  # four of its errors at 4096 draws: 1.1 %
    assert figures["mean_error"] < 4 / 4096**0.5


def test_layers_are_named_by_line_and_measured():
    def f(x):
        h = jax.nn.relu(x @ MATRIX + 2.0)
        return (h @ MATRIX).sum()

    report = sn.check_moments(f, pair(), jax.random.key(0), num_samples=100_000)
    names = [x.name for x in report.layers]
    assert [n.split(" ", 1)[1] for n in names[:-1]] == [
        *("out of matrix product", "into matrix product", "out of matrix product")
    ]
    assert all(n.startswith("test_diagnostics.py:") for n in names[:-1])
    assert names[-1] == "output"
    relu = report.layers[1]
    mean, std = np.asarray(pair().mean @ MATRIX) + 2, np.sqrt(np.square(MATRIX).sum(0))
    h = np.maximum(mean + std * np.random.default_rng(1).normal(size=(400_000, 4)), 0)
    away = (h - h.mean(0)) / h.std(0)
    np.testing.assert_allclose(relu.skewness, (away**3).mean(0), rtol=0.1, atol=0.1)
    np.testing.assert_allclose(relu.kurtosis, (away**4).mean(0) - 3, rtol=0.4, atol=0.2)
    plain = (np.maximum(mean, 0) - h.mean(0)) / h.std(0)
    np.testing.assert_allclose(relu.plain_error, plain, atol=0.06)


def test_a_finding_says_where_and_why():
    def skewed(x):  # the sum of log-normals is not Gaussian, as its square takes it to be
        return jnp.square(jnp.exp(1.2 * x) @ jnp.ones(4))

    report = sn.check_moments(skewed, pair(), jax.random.key(0))
    assert not report.ok
    assert "not Gaussian" in report.findings[0]
    correlated = sn.check_moments(twice, pair(), jax.random.key(0))
    assert 'covariance="adjoint" keeps it' in str(correlated)


def test_what_is_random_only_by_rounding_or_not_at_all():
    x = pair(var=0.0)
    report = sn.check_moments(lambda x: x @ MATRIX, x, jax.random.key(0))
    assert not report.layers[-1].std_ratio.size
    assert report.ok
    assert "nan" in str(report)


def test_pytrees_in_and_out():
    x = {"a": pair(), "b": jnp.ones(4)}
    report = sn.check_moments(
        lambda x: (x["a"] * x["b"], x["b"], {"c": x["a"].sum()}), x, jax.random.key(0)
    )
    assert [layer.name for layer in report.layers] == ["output[0]", "output[2]['c']"]


def test_forms_of_the_report():
    report = sn.check_moments(twice, pair(), jax.random.key(0))
    assert max(map(len, str(report).splitlines()[:-1])) <= 110
    assert report.to_dict() == json.loads(json.dumps(report.to_dict()))
    assert "<table>" in report._repr_html_()
    assert len(report.plot().axes) == 2


def test_bad_arguments():
    with pytest.raises(TypeError, match="no Gaussian in it"):
        sn.check_moments(lambda x: x, jnp.ones(3), jax.random.key(0))
    with pytest.raises(TypeError, match="key"):
        sn.check_moments(lambda x: x, pair(), 0)
    with pytest.raises(ValueError, match="at least 32"):
        sn.check_moments(lambda x: x, pair(), jax.random.key(0), num_samples=8)
    with pytest.raises(sn.moments.NoRule, match="sort"):
        sn.check_moments(jnp.sort, pair(), jax.random.key(0))
