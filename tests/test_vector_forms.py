"""Arguments of laws of vectors, matrices and mixtures, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _vectors import LOC, TRIL, D, a, pair


def test_from_covariance_is_its_cholesky_factor():
    d = D.MultivariateGaussian.from_covariance(a(LOC, "float32"), a(TRIL @ TRIL.T, "float32"))
    np.testing.assert_allclose(d.scale_tril, TRIL, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(d.covariance, TRIL @ TRIL.T, rtol=1e-5)


def bad(f, message, error=ValueError):
    return pytest.param(f, error, message)


EYE = jnp.eye(2)
ERRORS = {
    "upper": bad(lambda: D.MultivariateGaussian(jnp.zeros(2), EYE.at[0, 1].set(1.0)), "triangular"),
    "sign": bad(lambda: D.MultivariateGaussian(jnp.zeros(2), -EYE), "positive diagonal"),
    "nan": bad(lambda: D.MultivariateGaussian(jnp.zeros(2), EYE * jnp.nan), "scale_tril"),
    "oblong": bad(lambda: D.MultivariateGaussian(jnp.zeros(2), jnp.ones((2, 3))), "square"),
    "size": bad(lambda: D.MultivariateGaussian(jnp.zeros(3), EYE), r"\(\.\.\., D, D\), got \(3,\)"),
    "rank": bad(lambda: D.MultivariateGaussian(0.0, EYE), "needs 1 or more axes"),
    "indefinite": bad(
        lambda: D.MultivariateGaussian.from_covariance(jnp.zeros(2), EYE - 2.0), "positive definite"
    ),
    "skew": bad(
        lambda: D.MultivariateGaussian.from_covariance(jnp.zeros(2), EYE.at[0, 1].set(0.5)),
        "symmetric",
    ),
    "factor": bad(lambda: D.LowRankGaussian(jnp.zeros(2), jnp.ones((3, 1)), jnp.ones(2)), "got"),
    "diagonal": bad(lambda: D.LowRankGaussian(jnp.zeros(2), EYE, jnp.zeros(2)), "cov_diag"),
    "dirichlet": bad(lambda: D.Dirichlet(jnp.array([1.0, 0.0])), "positive"),
    "degrees": bad(lambda: D.Wishart(1.0, EYE), r"above D - 1 = 1"),
    "wishart": bad(lambda: D.Wishart(3.0, jnp.ones((2, 3))), "square"),
    "lkj": bad(lambda: D.LKJCholesky(1, 1.0), "int of 2 or more"),
    "lkj float": bad(lambda: D.LKJCholesky(2.0, 1.0), "int of 2 or more"),
    "length": bad(lambda: D.VonMisesFisher(jnp.ones(2), 1.0), "mean_direction"),
    "line": bad(lambda: D.VonMisesFisher(jnp.ones(1), 1.0), "d >= 2"),
    "kappa": bad(lambda: D.VonMisesFisher(jnp.array([1.0, 0.0]), -1.0), "not negative"),
    "classes": bad(lambda: D.GumbelSoftmax(1.0, jnp.zeros(1)), "K >= 2"),
    "mixture": bad(lambda: D.Mixture(jnp.zeros(2), pair()), r"got \(2,\) and a Gaussian"),
    "joint mixture": bad(
        lambda: D.Mixture(jnp.zeros(1), D.Dirichlet(jnp.ones((1, 2)))), "components of numbers"
    ),
    "weights": bad(lambda: D.Mixture(jnp.full(3, -jnp.inf), pair()), "not all of them -inf"),
    "integers": bad(lambda: D.Mixture(jnp.zeros(3, int), pair()), "floating", TypeError),
}


@pytest.mark.parametrize(("f", "error", "message"), ERRORS.values(), ids=ERRORS)
def test_errors_say_what_is_wrong(f, error, message):
    with pytest.raises(error, match=message):
        f()


def test_a_mixture_takes_never_and_refuses_what_has_no_gradient(key):
    never = D.Mixture(jnp.array([0.0, -jnp.inf, 0.0]), pair())
    x = jax.jit(lambda d: d.sample(key, (1000,)))(never)
    loss = lambda d: d.sample(jax.random.key(1), (9,)).sum() + d.log_prob(x).sum()  # noqa: E731
    grad = jax.jit(jax.grad(loss))(never)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves((x, grad)))
    counts = D.Mixture(jnp.zeros(2), D.Poisson(jnp.array([1.0, 9.0])))
    assert jnp.issubdtype(counts.sample(jax.random.key(2), (3,)).dtype, jnp.integer)
    with pytest.raises(TypeError, match="discrete"):
        jax.grad(lambda d: d.sample(jax.random.key(3)).astype("float32"))(counts)
    angles = D.Mixture(jnp.zeros(2), D.VonMises(jnp.zeros(2), jnp.ones(2)))
    with pytest.raises(NotImplementedError, match="cdf"):
        jax.grad(lambda d: d.sample(jax.random.key(3)))(angles)


def test_a_static_dimension_is_part_of_the_structure():
    three, four = D.LKJCholesky(3, 1.0), D.LKJCholesky(4, 1.0)
    assert jax.tree.structure(three) != jax.tree.structure(four)
    assert jax.jit(lambda d: d.sample(jax.random.key(0)))(four).shape == (4, 4)
    assert jax.tree.map(lambda x: 2 * x, four).dimension == 4
