"""Draws of vectors, matrices and mixtures: their law, and the same however they are made.

Statistical tests have fixed keys; each compares one number at 5.5 standard errors, a false alarm
with probability 4e-8, and the test_vector files make about 400 such comparisons: 2e-5 for them all.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
from _vectors import FAMILIES, LOGITS, MU, D, check, check_mean, families, precision

from stochastic_net.distributions import _height

pytestmark = pytest.mark.law

N = 200_000


@pytest.mark.parametrize(
    "d",
    [
        *(build() for name, build in FAMILIES.items() if name != "gumbel-softmax"),
        D.LKJCholesky(2, 0.3),
        D.LKJCholesky(3, 50.0),
        D.Wishart(1.2, jnp.array([[1.0, 0.0], [0.5, 1.0]])),
        *(
            D.VonMisesFisher(jnp.asarray(MU[:d] / np.linalg.norm(MU[:d]), "float32"), k)
            for d in (2, 3, 5)
            for k in (0.0, 1.0, 30.0, 1e4)
        ),
    ],
    ids=lambda d: type(d).__name__,
)
def test_draws_have_the_mean_and_the_variance(d, key):
    x = jax.jit(lambda d: d.sample(key, (N,)))(d)
    x = np.asarray(x, np.float64).reshape(N, -1)
    mean, var = (np.asarray(m, np.float64).ravel() for m in (d.mean, d.var))
    rounding = 4e-7 * abs(mean) * np.sqrt(var + 1e-7)
    square = (x - mean) ** 2
    check(x.mean(0), x.std(0) / math.sqrt(N) + 1e-8, mean)
    check(square.mean(0), square.std(0) / math.sqrt(N) + rounding, var)
    for c in ("covariance",) if hasattr(d, "covariance") else ():
        products = (x[:, :, None] - mean[:, None]) * (x[:, None, :] - mean)
        error = products.std(0) / math.sqrt(N) + rounding.max()
        check(products.mean(0), error, getattr(d, c))


def test_argmax_of_gumbel_softmax_is_categorical(key):
    x = np.asarray(FAMILIES["gumbel-softmax"]().sample(key, (N,)))
    check_mean(x.argmax(-1)[:, None] == np.arange(3), np.exp(LOGITS) / np.exp(LOGITS).sum())
    np.testing.assert_allclose(x.sum(-1), 1, rtol=1e-6)


@pytest.mark.parametrize("dimension", [2, 3, 5])
@pytest.mark.parametrize("kappa", [0.0, 20.0, 1e4])
def test_heights_of_von_mises_fisher_draws_have_their_law(dimension, kappa, key):
    t = np.asarray(_height.draw_height(key, jnp.full(N, kappa), dimension), np.float64)
    assert (t > 0).all()
    assert np.unique(t).size > 0.9 * N  # full resolution near w = 1
    m = (dimension - 1) / 2
    y = np.linspace(-70 / min(m, 2), 70 / min(m, 2), 400_001) + math.log(m / (2 * kappa + m))
    z = scipy.special.expit(y)
    log_density = -2 * kappa * z + m * (scipy.special.log_expit(y) + scipy.special.log_expit(-y))
    mass = scipy.integrate.cumulative_simpson(np.exp(log_density - log_density.max()), x=y)
    cdf = np.interp(2 * np.log(t), y[1:], mass / mass[-1])
    # P(D > 3 / sqrt(n)) = 2 exp(-18) = 3e-8
    assert scipy.stats.kstest(cdf, "uniform").statistic < 3 / math.sqrt(N)


@families
def test_a_draw_is_the_same_with_jit_and_under_vmap(build):
    d = build()
    keys = jax.random.split(jax.random.key(3), 4)
    sample = type(d).sample
    eager, jitted = (
        jnp.stack([f(d, key) for key in jax.random.clone(keys)]) for f in (sample, jax.jit(sample))
    )
    mapped = jax.jit(jax.vmap(sample, (None, 0)))(d, jax.random.clone(keys))
    np.testing.assert_allclose(jitted, eager, rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(mapped, eager, rtol=2e-5, atol=2e-6)


@families
@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_dtypes_shapes_and_support(build, dtype):
    with precision(dtype):
        d = build(dtype)
        x = jax.jit(lambda d: d.sample(jax.random.key(4), (5, 2)))(d)
        assert x.dtype == d.dtype == dtype
        assert x.shape == (5, 2, *d.shape)
        log_prob = jax.eval_shape(lambda d: d.log_prob(x), d)
        assert (log_prob.shape, log_prob.dtype) == ((5, 2), dtype)
        inside = d.support.contains(x)
        assert (isinstance(d, D.Wishart) and dtype in ("float16", "bfloat16")) or bool(inside.all())
        loss = lambda d: d.sample(jax.random.key(4), (3,)).astype("float32").sum()  # noqa: E731
        grad = jax.jit(jax.grad(loss))(d)
        assert jax.tree.structure(grad) == jax.tree.structure(d)
        leaves = zip(jax.tree.leaves(grad), jax.tree.leaves(d), strict=True)
        for leaf, like in leaves:
            assert (leaf.shape, leaf.dtype) == (like.shape, like.dtype)
            assert jnp.isfinite(leaf).all()


@families
def test_a_batch_is_its_members(build):
    one = build()
    batch = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), one)
    assert batch.batch_shape == (2,)
    assert batch.event_shape == one.event_shape
    x = jax.jit(lambda d: d.sample(jax.random.key(5), (3,)))(batch)
    assert x.shape == (3, 2, *one.event_shape)
    log_prob = type(one).log_prob
    mapped = jax.jit(jax.vmap(log_prob, (0, 1), 1))(batch, x)
    whole, single = jax.jit(log_prob)(batch, x), jax.jit(log_prob)(one, x[:, 1])
    np.testing.assert_allclose(whole[:, 1], single, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(mapped, whole, rtol=1e-4, atol=1e-5)
