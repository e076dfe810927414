"""Powers, logarithms and polynomials of one Gaussian, and what a function is less its limit."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _dice import single
from _panels import dense
from scipy import special

import stochastic_net as sn

# functions of what is positive, and where that begins
POSITIVE = {
    "a root": (lambda x: x**0.3, 0.0),
    "a power": (lambda x: x**1.7, 0.0),
    "one over a root": (lambda x: x**-0.4, 0.0),
    "log1p": (jnp.log1p, -1.0),
}


@pytest.mark.law
@pytest.mark.parametrize("name", POSITIVE)
def test_functions_of_what_is_positive(name):
    f, edge = POSITIVE[name]
    inside = sn.Gaussian(jnp.array([1.0, 1.0, 50.0]) + edge, jnp.array([1e-6, 0.004, 2.0]))
    got, truth = jax.jit(sn.propagate(f))(inside), dense(f, inside.mean, np.sqrt(inside.var))
    chex.assert_trees_all_close((got.mean, got.var), jax.tree.map(jnp.float32, truth), rtol=3e-5)
    wide = sn.Gaussian(jnp.full(3, 1.0 + edge), jnp.array([0.01, 0.1, 4.0]))
    got = jax.jit(sn.propagate(f))(wide)
    chex.assert_tree_all_finite(got)
    assert (got.var > 0).all()
    draws = np.random.default_rng(0).normal(1 + edge, 0.2, 100_000)
    values = np.asarray(f(jnp.asarray(draws[draws > edge], jnp.float32)))
    of_draws = sn.propagate(f)(sn.Gaussian(jnp.array(1.0 + edge), jnp.array(0.04)))
    assert abs(of_draws.mean - values.mean()) < 0.1 * values.std()
    assert abs(jnp.sqrt(of_draws.var) / values.std() - 1) < 0.15
    slope = jax.grad(lambda x: sum(y.sum() for y in jax.tree.leaves(sn.propagate(f)(x))))(wide)
    chex.assert_tree_all_finite(slope)


@pytest.mark.law
def test_norms_and_pooling_by_a_power_are_finite():
    x = sn.Gaussian(jnp.linspace(-1, 2, 12).reshape(3, 4), jnp.full((3, 4), 0.2))
    draws = x.sample(jax.random.key(0), (100_000,))
    for f in (
        lambda x: jnp.linalg.norm(x, ord=3, axis=-1),
        lambda x: jnp.mean(jnp.clip(x, 1e-6) ** 3.0, -1) ** (1 / 3),
    ):
        got, values = sn.propagate(f)(x), f(draws)
        chex.assert_tree_all_finite(got)
        close = abs(got.mean - values.mean(0)) < 0.1 * values.std(0)
        assert close[1:].all()  # of the first three of four are clipped


@pytest.mark.parametrize(
    "f",
    [
        lambda x: jnp.log2(x) * x,
        lambda x: jnp.polyval(jnp.array([2.0, -1.0, 0.5, 3.0], x.dtype), x - 6),
        lambda x: jnp.polyval(jnp.arange(-4.0, 5.0, dtype=x.dtype), 0.1 * x),
        jax.grad(lambda x: jnp.tanh(x - 6).sum()),
    ],
    ids=["x log2", "polynomial", "of degree 8", "derivative of tanh"],
)
def test_what_a_newer_jax_has_operations_of_its_own_for(f):
    x = sn.Gaussian(single([5.0, 6.0, 8.0]), single([0.01, 0.04, 0.09]))
    got, truth = jax.jit(sn.propagate(f))(x), dense(f, x.mean, np.sqrt(x.var))
    chex.assert_trees_all_close((got.mean, got.var), jax.tree.map(jnp.float32, truth), rtol=1e-5)
    two, e = (jax.jit(sn.propagate(log))(x) for log in (jnp.log2, jnp.log))
    np.testing.assert_allclose(two.mean * np.log(2), e.mean, rtol=1e-6)
    np.testing.assert_allclose(two.var * np.log(2) ** 2, e.var, rtol=1e-6)


@pytest.mark.law
@pytest.mark.parametrize("degree", [5, 8, 10])
def test_polynomials_of_narrow_gaussians(degree):
    """Most of the variance is from four deviations away, where ten nodes are not."""
    f = lambda x: x**degree - 0.3 * x  # noqa: E731
    x = sn.Gaussian(single(np.full(4, 0.0)), single([0.01, 0.06, 0.25, 1.0]))
    got, truth = jax.jit(sn.propagate(f))(x), dense(f, x.mean, np.sqrt(x.var))
    np.testing.assert_allclose(np.sqrt(got.var), np.sqrt(truth[1]), rtol=1e-3)


@pytest.mark.law
@pytest.mark.parametrize("power", [3, 4, 5, 7, 10, 20, 30])
def test_whole_powers_at_every_width(power):
    mean, var = np.array([-2, 0, 1, 3, 0.1]), np.array([0.25, 0.25, 4, 1e-4, 1e-2])
    mean, var = np.float32(mean).astype(float), np.float32(var).astype(float)
    raw = [np.ones_like(mean), mean]
    for j in range(2, 2 * power + 1):
        raw.append(mean * raw[-1] + (j - 1) * var * raw[-2])
    with jax.enable_x64(True):
        x = sn.Gaussian(jnp.asarray(mean), jnp.asarray(var))
        long = sn.propagate(lambda x: x**power)(x)
    got = jax.jit(sn.propagate(lambda x: x**power))(sn.Gaussian(single(mean), single(var)))
    np.testing.assert_allclose(long.mean, raw[power], rtol=1e-13)
    wide = var > 0.1  # a difference of moments has digits there
    np.testing.assert_allclose(long.var[wide], (raw[2 * power] - raw[power] ** 2)[wide], rtol=1e-12)
    np.testing.assert_allclose(got.mean, np.asarray(long.mean), rtol=1e-5, atol=1e-37)
    want = np.asarray(long.var)
    held = want < 1e38
    np.testing.assert_allclose(np.asarray(got.var)[held], want[held], rtol=1e-5, atol=1e-37)
    slope = jax.grad(lambda m: sn.propagate(lambda x: x**power)(sn.Gaussian(m, 0.3)).mean)(0.0)
    assert slope == pytest.approx(power * moment(power - 1, 0.3))


def moment(order, var):
    """E X^n for a mean of 0."""
    return 0.0 if order % 2 else var ** (order / 2) * special.factorial2(order - 1)


@pytest.mark.law
@pytest.mark.parametrize("f", [lambda x: 1 + jnp.tanh(x), lambda x: 1 + jnp.expm1(x)])
def test_what_is_left_of_a_limit_has_its_digits(f):
    x = sn.Gaussian(single([-10.0, -3.0, 0.0]), single(np.full(3, 0.25)))
    got, truth = jax.jit(sn.propagate(f))(x), dense(f, x.mean, np.sqrt(x.var))
    chex.assert_trees_all_close((got.mean, got.var), jax.tree.map(jnp.float32, truth), rtol=2e-6)


@pytest.mark.law
def test_expm1_of_a_wide_gaussian():
    x = sn.Gaussian(single([-2.0, 0.0, 1e-3]), single([9.0, 9.0, 1e-8]))
    got = jax.jit(sn.propagate(jnp.expm1))(x)
    mean, var = np.asarray(x.mean, float), np.asarray(x.var, float)
    np.testing.assert_allclose(got.mean, np.expm1(mean + var / 2), rtol=1e-5)
    np.testing.assert_allclose(got.var, np.exp(2 * mean + var) * np.expm1(var), rtol=1e-5)
