"""Draws of a Gaussian and their gradients, on every row of a table."""

import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from _gaussians import ROWS, build, exact, precision, table, true_std, ulp, wide
from absl.testing import parameterized

import stochastic_net as sn


def draw_and_gradient(x, key, shape=()):
    z, pullback = jax.vjp(lambda x: x.sample(key, shape), x)
    return z, pullback(jnp.ones_like(z))[0]


class DrawTest(chex.TestCase):
    """z = mean + std eps, dz/dmean = 1 and dz/dvar = eps / (2 std): eager, jitted and mapped."""

    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.named_parameters(*ROWS)
    def test_draw_and_gradient(self, row):
        with precision(row.dtype):
            x = build(row)
            out = self.variant(draw_and_gradient)(x, jax.random.key(1))
            eps = sn.random.normal(jax.random.key(1), x.shape, wide(row.dtype))
            self.check(x, *out, exact(eps))

    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.named_parameters(*ROWS)
    def test_mapped_over_keys(self, row):
        with precision(row.dtype):
            x = build(row)
            mapped = jax.vmap(draw_and_gradient, (None, 0))
            out = self.variant(mapped)(x, jax.random.split(jax.random.key(2), 3))
            for i, key in enumerate(jax.random.split(jax.random.key(2), 3)):
                eps = sn.random.normal(key, x.shape, wide(row.dtype))
                self.check(x, *jax.tree.map(lambda leaf, i=i: leaf[i], out), exact(eps))

    def check(self, x, z, grad, eps):
        chex.assert_tree_all_finite((z, grad))
        assert isinstance(grad, sn.Gaussian)
        assert z.shape == grad.mean.shape == grad.var.shape == x.shape
        assert z.dtype == grad.mean.dtype == grad.var.dtype == x.dtype
        std = true_std(x)
        bound = 4 * ulp(x.dtype) * (abs(exact(x.mean)) + abs(std * eps))
        bound += float(jnp.finfo(x.dtype).smallest_subnormal)
        assert (abs(exact(z) - (exact(x.mean) + std * eps)) <= bound).all()
        np.testing.assert_array_equal(exact(grad.mean), 1.0)
        slope = np.where(std == 0, 0.0, eps / (2 * np.where(std == 0, 1.0, std)))
        np.testing.assert_allclose(exact(grad.var), slope, rtol=4 * ulp(x.dtype), atol=0)


@table
def test_many_draws_have_leading_axes_and_the_gradient_of_their_sum(row, key):
    with precision(row.dtype):
        x = build(row)
        z, grad = jax.jit(draw_and_gradient, static_argnums=2)(x, key, (2, 5))
        assert z.shape == (2, 5, *x.shape)
        np.testing.assert_array_equal(exact(grad.mean), 10.0)
        chex.assert_tree_all_finite((z, grad))


@table
def test_the_draws_are_independent_and_normal(row, key):
    # Kolmogorov-Smirnov over n draws of each element; by the Dvoretzky-Kiefer-Wolfowitz inequality
    # a distance above sqrt(log(2/a) / 2n) has probability below a = 1e-9. The correlations are
    # z-tests at 6.5 sigma: 1e-10 each.
    n = 20_000
    with precision(row.dtype):
        x = build(row)
        z = exact(jax.jit(lambda x, key: x.sample(key, (n,)))(x, key)).reshape(n, -1)
        mean, std = exact(x.mean).ravel(), true_std(x).ravel()
        # Where the mean swallows the deviation, or std is 0, rounding decides (see the laws above).
        seen = std > 1e3 * ulp(x.dtype) * abs(mean)
    t = (z[:, seen] - mean[seen]) / std[seen]
    for element in t.T:
        distance = scipy.stats.kstest(element, scipy.stats.norm.cdf).statistic
        assert distance < math.sqrt(math.log(2 / 1e-9) / (2 * n))
    neighbours = np.concatenate([t[1:], t[:-1]], axis=1)  # each element, and its next draw
    correlation = np.corrcoef(neighbours.T) - np.eye(neighbours.shape[1]) if t.size else np.zeros(1)
    assert abs(correlation).max() < 6.5 / math.sqrt(n)
    np.testing.assert_array_equal(z[:, std == 0], np.broadcast_to(mean, z.shape)[:, std == 0])


INTEGRANDS = {
    "square": (jnp.square, -1.0, 2.0),
    "sine": (lambda z: jnp.sin(3 * z), 1.5, 0.01),
    "tanh": (jnp.tanh, -1.0, 2.0),
    "relu": (jax.nn.relu, -1.0, 2.0),
    "relu, mostly on": (jax.nn.relu, 0.3, 0.5),
    "bump": (lambda z: jnp.exp(-jnp.square(z)), 0.3, 0.5),
}


@pytest.mark.parametrize(("f", "mean", "var"), INTEGRANDS.values(), ids=INTEGRANDS)
def test_the_gradient_of_an_expectation_is_unbiased(f, mean, var, key):
    # Truth: quadrature of E f and of its score-function derivatives, which use neither f' nor a
    # draw. z-tests at 6 sigma: false alarm 2e-9 each. A gradient 10 % off is 10 sigma off or more.
    n = 100_000
    x = sn.Gaussian(jnp.full(n, mean, "float32"), jnp.full(n, var, "float32"))
    fz, pullback = jax.vjp(jax.jit(lambda x: f(x.sample(key))), x)
    (grad,) = pullback(jnp.ones_like(fz))
    mean, var = float(x.mean[0]), float(x.var[0])
    t, step = np.linspace(-13, 13, 400_001, retstep=True)
    weight = np.exp(-t * t / 2) / math.sqrt(2 * math.pi) * step
    with jax.enable_x64(True):
        weight *= exact(f(jnp.asarray(mean + math.sqrt(var) * t)))
    z_test(exact(fz), weight.sum())
    z_test(exact(grad.mean), (weight * t).sum() / math.sqrt(var))
    z_test(exact(grad.var), (weight * (t * t - 1)).sum() / (2 * var))


def z_test(draws, truth):
    error = draws.std() / math.sqrt(draws.size)
    assert abs(draws.mean() - truth) < 6 * error, (draws.mean(), truth, error)
