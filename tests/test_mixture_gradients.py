"""Gradients through draws of mixtures, in the weights too: truth is quadrature.

Statistical tests have fixed keys; each compares one number at 5.5 standard errors, a false alarm
with probability 4e-8, and the test_vector files make about 400 such comparisons: 2e-5 for them all.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from _vectors import FAMILIES, LOGITS, MEANS, VARS, D, a, check_mean, draws_gradient, pair

pytestmark = pytest.mark.law

MIXTURES = {
    "gaussian": lambda: D.Mixture(a(LOGITS, "float32"), pair()),
    "laplace": lambda: D.Mixture(
        a(LOGITS, "float32"), D.Laplace(a(MEANS, "float32"), a(VARS, "float32"))
    ),
    "gamma": lambda: D.Mixture(
        a(LOGITS, "float32"), D.Gamma(jnp.array([0.8, 3.0, 9.0]), jnp.array([1.0, 2.0, 1.5]))
    ),
    "log-normal": lambda: D.Mixture(
        a(LOGITS, "float32"), D.LogNormal(a(MEANS / 4, "float32"), jnp.array([0.3, 0.5, 0.2]))
    ),
    "beta": lambda: D.Mixture(
        a(LOGITS, "float32"), D.Beta(jnp.array([0.8, 3.0, 9.0]), jnp.array([0.7, 2.0, 1.5]))
    ),
    "t": lambda: D.Mixture(
        a(LOGITS, "float32"),
        D.StudentT(jnp.array([7.0, 9.0, 30.0]), a(MEANS, "float32"), jnp.ones(3)),
    ),
}
FUNCTIONS = {
    "sine": lambda x: jnp.sin(x) + 0.3 * x + 0.3 * jnp.cos(1.3 * x),
    "square": lambda x: 0.1 * x * x,
    "bump": lambda x: jnp.exp(-jnp.square(x - 1)),
}


@pytest.mark.parametrize("build", MIXTURES.values(), ids=MIXTURES)
def test_mixture_gradients_are_unbiased_the_weights_too(build, key):
    d = build()
    s, x, log_slope = grid(d.components)
    width = (s[-1] - s[0]) / (s.size - 1)

    def functions(x):
        return jnp.stack([f(x) for f in FUNCTIONS.values()])

    def expected(d):
        mass = jnp.exp(d.log_prob(x) + log_slope) * width
        return (functions(x) * mass[None]).sum(-1)

    truth = jax.jit(jax.jacobian(expected))(d)
    assert abs(np.asarray(truth.logits)).min() > 1e-3  # what others return 0 for
    got = draws_gradient(d, functions, key, 10_000)
    for i in range(len(FUNCTIONS)):
        jax.tree.map(lambda ours, true, i=i: check_mean(ours[i], true[i]), got, truth)


def grid(family):
    """A coordinate in which nothing is singular, the value, and the logarithm of its slope."""
    if isinstance(family, D.Gamma | D.LogNormal):
        s = jnp.linspace(-30.0, 4.0, 20_001)
        return s, jnp.exp(s), s
    s = jnp.linspace(-45.0, 45.0, 40_001)
    if not isinstance(family, D.Beta):
        return s, s, jnp.zeros_like(s)
    s = s[s < 16]  # where 1 - x is 0
    return s, jax.nn.sigmoid(s), jax.nn.log_sigmoid(s) + jax.nn.log_sigmoid(-s)


def test_mixture_of_vectors_gradients_are_unbiased(key):
    d = FAMILIES["mixture of vectors"]()

    def expected(d):
        w, m, v = jax.nn.softmax(d.logits), d.components.mean, d.components.var
        product = jnp.sin(m[:, 0]) * jnp.exp(-v[:, 0] / 2) * m[:, 1]
        return (w * (product + m[:, 1] ** 2 + v[:, 1])).sum()

    got = draws_gradient(d, lambda z: jnp.sin(z[0]) * z[1] + z[1] ** 2, key, 40_000)
    jax.tree.map(check_mean, got, jax.grad(expected)(d))


@pytest.mark.parametrize("q", [1e-6, 1e-3, 0.3, 0.5, 0.8, 0.999, 1 - 1e-6])
def test_mixture_draws_move_as_their_quantiles_do(q):
    from stochastic_net.distributions._mixture_gradient import move

    w = np.exp(LOGITS) / np.exp(LOGITS).sum()
    law = scipy.stats.norm(MEANS, np.sqrt(VARS))
    z = scipy.optimize.brentq(lambda z: (w * law.cdf(z)).sum() - q, -30, 30, xtol=1e-12)
    z = float(np.float32(z))
    density = (w * law.pdf(z)).sum()
    t = (z - MEANS) / np.sqrt(VARS)
    side = law.cdf(z) if q < 0.6 else -law.sf(z)
    truth = (
        -w * (side - (w * side).sum()) / density,
        w * law.pdf(z) / density,
        w * law.pdf(z) * t / (2 * np.sqrt(VARS)) / density,
    )
    d = FAMILIES["mixture"]()
    grad = jax.grad(lambda d: move(jnp.float32(z), d.logits, d.components))(d)
    for ours, exact in zip(jax.tree.leaves(grad), truth, strict=True):
        np.testing.assert_allclose(ours, exact, rtol=0, atol=2e-5 * abs(exact).max())
