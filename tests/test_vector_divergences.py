"""Divergences of laws of vectors and matrices: the mean log ratio of draws, and float64.

Statistical tests have fixed keys; each compares one number at 5.5 standard errors, a false alarm
with probability 4e-8, and the test_vector files make about 400 such comparisons: 2e-5 for them all.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _vectors import FACTOR, FAMILIES, D, a, check_mean, rounded_direction

import stochastic_net as sn

pytestmark = pytest.mark.law


def nearly(d, by):
    """The same distribution, its parameters a little larger."""
    return jax.tree.map(lambda leaf: leaf * (1 + by), d)


def others():
    tril = np.array([[0.8, 0.0, 0.0], [-0.4, 0.9, 0.0], [0.2, 0.1, 1.1]])
    return {
        "gaussian": D.MultivariateGaussian(jnp.ones(3), a(tril, "float32")),
        "low rank": D.LowRankGaussian(jnp.ones(3), a(FACTOR * 0.7, "float32"), jnp.ones(3)),
        "pair": sn.Gaussian(jnp.ones(3), jnp.array([0.5, 1.0, 3.0])),
        "dirichlet": D.Dirichlet(jnp.array([2.0, 0.7, 1.5])),
        "wishart": D.Wishart(6.0, a(tril, "float32")),
        "lkj": D.LKJCholesky(4, 1.2),
        "von mises-fisher": D.VonMisesFisher(jnp.array([0.0, -0.8, 0.6]), 5.0),
    }


KL = [
    ("gaussian", "gaussian"),
    ("gaussian", "low rank"),
    ("low rank", "gaussian"),
    ("low rank", "low rank"),
    ("gaussian", "pair"),
    ("low rank", "pair"),
    ("dirichlet", "dirichlet"),
    ("wishart", "wishart"),
    ("lkj", "lkj"),
    ("von mises-fisher", "von mises-fisher"),
]


@pytest.mark.parametrize(("p", "q"), KL)
def test_kl_is_the_mean_log_ratio_and_zero_for_the_same_law(p, q, key):
    d, other = FAMILIES[p](), others()[q]

    @jax.jit
    def compare(d, other):
        x = d.sample(key, (100_000,))
        log_q = other.log_prob(x).sum(-1) if q == "pair" else other.log_prob(x)
        return d.log_prob(x) - log_q, sn.kl(d, other)

    check_mean(*compare(d, other))
    if p == q:
        assert jax.jit(sn.kl)(d, d) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("q", ["gaussian", "low rank"])
def test_kl_from_a_pair_to_a_joint_law(q, key):
    p, other = others()["pair"], FAMILIES[q]()
    x = p.sample(key, (100_000,))
    check_mean(p.log_prob(x).sum(-1) - other.log_prob(x), sn.kl(p, other))
    point = sn.Gaussian(jnp.ones(3), jnp.array([1.0, 0.0, 1.0]))
    assert sn.kl(point, other) == sn.kl(other, point) == jnp.inf


@pytest.mark.parametrize("by", [1e-2, 1e-3])
@pytest.mark.parametrize("name", ["gaussian", "low rank", "dirichlet", "wishart", "lkj", "vmf"])
def test_kl_keeps_its_digits_where_the_two_nearly_agree(name, by):
    def build(dtype):
        if name == "vmf":
            return D.VonMisesFisher(rounded_direction(dtype), a(2.0, dtype))
        return FAMILIES[name](dtype)

    def shifted(d):
        if name == "vmf":
            return D.VonMisesFisher(d.mean_direction, d.concentration * (1 + by))
        return nearly(d, by)

    p, q = build("float32"), shifted(build("float32"))
    kl = jax.jit(sn.kl)
    ours = float(kl(p, q))
    with jax.enable_x64(True):
        p, q = (jax.tree.map(lambda x: jnp.asarray(np.asarray(x), "float64"), d) for d in (p, q))
        truth = float(kl(p, q))
    assert truth > 0
    # Stirling's errors still cancel where gamma functions are compared.
    exact = name in ("gaussian", "low rank", "vmf")
    np.testing.assert_allclose(ours, truth, rtol=2e-3, atol=0 if exact else 1e-6)


def test_kl_of_joint_laws_and_pairs_broadcasts_over_the_batch():
    d = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), FAMILIES["low rank"]())
    scalar = sn.Gaussian(0.0, 1.0)
    wide = sn.Gaussian(jnp.zeros((2, 3)), jnp.ones((2, 3)))
    np.testing.assert_array_equal(sn.kl(d, scalar), sn.kl(d, wide))
    assert sn.kl(d, scalar).shape == (2,)
    assert sn.kl(scalar, d).shape == (2,)
    with pytest.raises(ValueError, match=r"last axis must be the event \(3,\)"):
        sn.kl(d, sn.Gaussian(jnp.zeros(2), jnp.ones(2)))
    with pytest.raises(ValueError, match="one event shape"):
        sn.kl(D.LKJCholesky(3, 1.0), D.LKJCholesky(4, 1.0))
