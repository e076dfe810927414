"""Gradients of expectations through the samplers: unbiased, of little variance."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from _samplers import FALSE_ALARM, SAMPLERS, sampler

import stochastic_net as sn
from stochastic_net.random._beta_gradient import logit_beta_derivative

pytestmark = pytest.mark.law

TESTS = {
    "sin": np.sin,
    "bounded": lambda x: x / (1 + abs(x)),
    "bump": lambda x: np.exp(-0.5 * (x - 1) ** 2),
}
JAX_TESTS = {
    "sin": jnp.sin,
    "bounded": lambda x: x / (1 + jnp.abs(x)),
    "bump": lambda x: jnp.exp(-0.5 * (x - 1) ** 2),
}
UNBIASED = [
    ("gamma", (0.3,)),
    ("gamma", (4.0,)),
    ("loggamma", (0.2,)),
    ("chisquare", (3.0,)),
    ("inverse_gamma", (2.5,)),
    ("generalized_normal", (1.5,)),
    ("beta", (0.4, 1.7)),
    ("beta", (5.0, 3.0)),
    ("f", (4.0, 6.0)),
    ("t", (1.5,)),
    ("t", (4.0,)),
]


@functools.cache
def unit_quadrature():
    """Nodes u, 1 - u and weights on (0, 1), with both ends refined."""
    nodes, weights = np.polynomial.legendre.leggauss(600)
    sine = np.sin(np.pi / 2 * nodes)
    return (1 + sine) / 2, (1 - sine) / 2, np.pi / 4 * weights * np.cos(np.pi / 2 * nodes)


def true_gradient(law, row, index, f):
    """d E f / d parameter: quadrature over the quantile, and a central difference of order four."""

    u, complement, weights = unit_quadrature()

    def expectation(value):
        dist = law(*row[:index], value, *row[index + 1 :])
        return np.sum(weights * f(np.where(u < 0.5, dist.ppf(u), dist.isf(complement))))

    h = 0.02 * row[index]
    values = [expectation(row[index] + k * h) for k in (-2, -1, 1, 2)]
    return np.dot(values, [1, -8, 8, -1]) / (12 * h)


@functools.cache
def gradients_over(name):
    """Of the three functions by each parameter, one draw a key; compiled once a sampler."""

    def one(key, row):
        draw, slopes = jax.value_and_grad(lambda row: sampler(name)(key, *row))(row)
        return jnp.stack([jax.grad(f)(draw) * jnp.stack(slopes) for f in JAX_TESTS.values()])

    return jax.jit(jax.vmap(one, (0, None)))


@pytest.mark.parametrize(("name", "row"), UNBIASED, ids=str)
def test_gradients_are_unbiased(name, row):
    """z-tests over 20,000 keys, three functions, every parameter; whole table at 1e-4."""
    comparisons = sum(len(row) for _, row in UNBIASED) * len(TESTS)
    threshold = scipy.stats.norm.isf(FALSE_ALARM / comparisons / 2)
    keys = jax.random.split(jax.random.key(7), 20_000)
    sample = np.asarray(gradients_over(name)(keys, tuple(map(jnp.float32, row))), np.float64)
    error = sample.std(0) / np.sqrt(len(keys))
    law = SAMPLERS[name][0]
    expected = [[true_gradient(law, row, i, f) for i in range(len(row))] for f in TESTS.values()]
    z = (sample.mean(0) - expected) / error
    assert np.abs(z).max() < threshold, z


def test_dirichlet_of_two_is_beta():
    """x_1 ~ Beta(alpha_1, alpha_2), with the beta's own derivatives at that draw."""
    alpha = jnp.array([0.7, 2.3])

    def draw(alpha):
        return sn.random.dirichlet(jax.random.key(0), alpha, (500,))

    x, jacobian = draw(alpha), jax.jacfwd(draw)(alpha)
    u = scipy.stats.beta(0.7, 2.3).cdf(np.asarray(x[:, 0], float))
    assert scipy.stats.kstest(u, "uniform").pvalue > FALSE_ALARM
    by_a = logit_beta_derivative(*jnp.broadcast_arrays(alpha[0], alpha[1], x[:, 0], x[:, 1]))
    by_b = -logit_beta_derivative(*jnp.broadcast_arrays(alpha[1], alpha[0], x[:, 1], x[:, 0]))
    expected = jnp.stack([x[:, 0] * x[:, 1] * by for by in (by_a, by_b)], -1)
    chex.assert_trees_all_close(jacobian[:, 0], expected, rtol=1e-4)
    chex.assert_trees_all_close(jacobian.sum(1), jnp.zeros_like(x), atol=1e-6)


def test_dirichlet_of_ten_moves_its_moments():
    """Means, and gradients of E x_j^2 and E log x_j by each alpha_i, in closed form: z-tests."""
    alpha = jnp.asarray(np.exp(np.linspace(-2, 2, 10)), jnp.float32)
    keys = jax.random.split(jax.random.key(1), 20_000)

    @jax.jit
    @jax.vmap
    def gradient(key):
        x, pullback = jax.vjp(lambda alpha: sn.random.dirichlet(key, alpha), alpha)
        return jnp.stack(
            [jax.vmap(lambda c: pullback(c)[0])(jnp.diag(d)) for d in (2 * x, 1 / x)]
        ), x

    sample, x = map(np.asarray, gradient(keys))
    np.testing.assert_allclose(x.sum(-1), 1, rtol=1e-6)

    def moments(alpha):
        total = alpha.sum()
        digamma = scipy.special.digamma
        return np.stack(
            [alpha * (alpha + 1) / total / (total + 1), digamma(alpha) - digamma(total)]
        )

    h = 1e-4
    a = np.asarray(alpha, float)
    steps = h * np.eye(10)
    truth = np.stack([(moments(a + s) - moments(a - s)) / (2 * h) for s in steps], -1)
    z = (sample.astype(float).mean(0) - truth) / (sample.std(0) / np.sqrt(len(keys)))
    assert np.abs(z).max() < scipy.stats.norm.isf(FALSE_ALARM / truth.size / 2)


def test_beta_gradient_has_half_the_variance_of_two_gammas():
    """`jax.random.beta` differentiates a ratio of gammas: unbiased, with twice the variance."""

    def spread(beta):
        gradient = jax.vmap(jax.grad(lambda a, key: beta(key, a, 2.0)), in_axes=(None, 0))
        return jnp.var(gradient(1.5, jax.random.split(jax.random.key(0), 4000)))

    assert spread(sn.random.beta) < 0.65 * spread(jax.random.beta)


def test_the_pullback_of_a_dirichlet_under_vmap():
    """XLA on CPU (jaxlib 0.10) gets a sum over entries wrong there from some thousand rows on."""
    alpha = jnp.broadcast_to(jnp.array([0.5, 1.0, 2.0]), (20_000, 3))
    _, pull = jax.vjp(lambda a: sn.random.dirichlet(jax.random.key(31), a), alpha)
    cotangents = jnp.stack([jnp.zeros_like(alpha).at[:, k].set(1.0) for k in range(3)])
    one_by_one = jnp.stack([pull(c)[0] for c in cotangents])
    together = jax.jit(jax.vmap(lambda c: pull(c)[0]))(cotangents)
    np.testing.assert_allclose(together, one_by_one, rtol=1e-5, atol=1e-6)
