"""Masked logits, attention and maxima: what is masked has no part in anything."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import stochastic_net as sn

KEPT = np.array([True, False, True, True, False])
MASK = np.stack([KEPT, ~KEPT])
SHAPE = MASK.shape


def pair(shape=SHAPE, var=0.3, seed=0):
    mean = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    return sn.Gaussian(jnp.asarray(mean), jnp.full(shape, var))


def kept(x: sn.Gaussian, row: int) -> sn.Gaussian:
    return jax.tree.map(lambda a: a[row, MASK[row]], x)


SOFTMAX = {
    "large": lambda x: jax.nn.softmax(jnp.where(MASK, x, -1e9)),
    "lowest": lambda x: jax.nn.softmax(jnp.where(MASK, x, jnp.finfo(x.dtype).min)),
    "never": lambda x: jax.nn.softmax(jnp.where(MASK, x, -jnp.inf)),
    "added": lambda x: jax.nn.softmax(x + jnp.where(MASK, 0.0, -1e9)),
    "where": lambda x: jax.nn.softmax(x, where=MASK),
    "in the sum": lambda x: (
        lambda e: jnp.where(MASK, e / jnp.sum(e, -1, keepdims=True, where=MASK), 0)
    )(jnp.exp(x)),
    "twice": lambda x: jax.nn.softmax(2.0 * jnp.where(MASK, 0.5 * x, -1e9)),
}


@pytest.mark.parametrize(
    ("name", "covariance"),
    [*((name, "diagonal") for name in SOFTMAX), ("never", "adjoint"), ("never", "full")],
)
def test_a_masked_softmax_is_that_of_what_is_left(name, covariance):
    x = pair()
    got = jax.jit(sn.propagate(SOFTMAX[name], covariance))(x)
    for row in range(2):
        left = sn.propagate(jax.nn.softmax, covariance)(kept(x, row))
        here = jax.tree.map(lambda a, row=row: a[row], got)
        chex.assert_trees_all_close(kept(got, row), left, rtol=2e-5, atol=1e-7)
        assert all((leaf[~MASK[row]] == 0).all() for leaf in jax.tree.leaves(here))


SUMS = {
    "where": lambda x: jax.nn.logsumexp(x, -1, where=MASK),
    "large": lambda x: jax.nn.logsumexp(jnp.where(MASK, x, -1e9), -1),
    "weights": lambda x: jax.nn.logsumexp(x, -1, b=MASK.astype(np.float32)),
}


@pytest.mark.parametrize("name", SUMS)
def test_a_masked_log_sum_exp(name):
    x = pair()
    got = jax.jit(sn.propagate(SUMS[name]))(x)
    for row in range(2):
        left = sn.propagate(jax.nn.logsumexp)(kept(x, row))
        chex.assert_trees_all_close(jax.tree.map(lambda a, row=row: a[row], got), left, rtol=2e-5)


def test_weights_of_a_log_sum_exp_shift_its_logits():
    x, weights = pair((5,)), jnp.array([1.0, 2.0, 0.5, 3.0, 0.1])
    got = sn.propagate(lambda x: jax.nn.logsumexp(x, b=weights))(x)
    chex.assert_trees_all_close(
        got, sn.propagate(lambda x: jax.nn.logsumexp(x + jnp.log(weights)))(x), rtol=1e-5
    )


def test_a_masked_maximum_is_that_of_what_is_left():
    x = pair()
    got = jax.jit(sn.propagate(lambda x: jnp.max(x, -1, where=MASK, initial=-jnp.inf)))(x)
    for row in range(2):
        draws = kept(x, row).sample(jax.random.key(row), (100_000,)).max(-1)
        chex.assert_trees_all_close(got.mean[row], draws.mean(), atol=0.01)
        chex.assert_trees_all_close(jnp.sqrt(got.var[row]), draws.std(), rtol=0.03)


def test_the_first_token_of_causal_attention_sees_itself_alone():
    q, k, v = (pair((1, 4, 2, 3), 0.05, seed) for seed in range(3))

    def attend(q, k, v):
        return jax.nn.dot_product_attention(q, k, v, is_causal=True)

    got = jax.jit(sn.propagate(attend))(q, k, v)
    chex.assert_trees_all_close(got.mean[0, 0], v.mean[0, 0], rtol=1e-5)
    chex.assert_trees_all_close(got.var[0, 0], v.var[0, 0], rtol=1e-4)
    keys = jax.random.split(jax.random.key(0), 3)
    draws = (x.sample(key, (20_000,)) for x, key in zip((q, k, v), keys, strict=True))
    z = jax.vmap(attend)(*draws)
    assert (abs(got.mean - z.mean(0)) < 0.05 * z.std(0)).all()
    away = abs(jnp.sqrt(got.var) / z.std(0) - 1)
    assert jnp.median(away) < 0.1
    assert away.max() < 0.5  # one q goes with all k: forgotten


def test_gradients_behind_a_mask_are_finite_and_those_of_what_is_left():
    x = pair()

    def loss(x, f):
        out = sn.propagate(f)(x)
        return (out.mean[0] * jnp.arange(5.0)).sum() + out.var[0].sum()

    to_x = jax.grad(loss)(x, SOFTMAX["never"])
    weights = jnp.arange(5.0)[KEPT]

    def of_left(x):
        out = sn.propagate(jax.nn.softmax)(x)
        return (out.mean * weights).sum() + out.var.sum()

    chex.assert_trees_all_close(kept(to_x, 0), jax.grad(of_left)(kept(x, 0)), rtol=1e-4, atol=1e-6)
    assert all((leaf[0, ~KEPT] == 0).all() for leaf in jax.tree.leaves(to_x))


def test_a_mask_goes_through_elementwise_operations():
    x = pair()
    got = sn.propagate(lambda x: jnp.tanh(jnp.where(MASK, x, 0.5)) * 2)(x)
    all_of = sn.propagate(lambda x: jnp.tanh(x) * 2)(x)
    chex.assert_trees_all_close(got.mean, jnp.where(MASK, all_of.mean, 2 * np.tanh(0.5)), rtol=1e-6)
    chex.assert_trees_all_close(got.var, jnp.where(MASK, all_of.var, 0), rtol=1e-6)


SHAPED = {
    "relu": jax.nn.relu,
    "soft cap": lambda x: 10 * jnp.tanh(x / 10),
    "silu": jax.nn.silu,
}


@pytest.mark.parametrize("name", SHAPED)
def test_a_softmax_of_functions_is_that_of_their_moments(name):
    x, f = pair((2, 32)), SHAPED[name]
    for way in (lambda f: f, jax.jit):
        got = way(sn.propagate(lambda x: jax.nn.softmax(f(x))))(x)
        chex.assert_trees_all_close(got.mean.sum(-1), jnp.ones(2), rtol=1e-5)
        apart = sn.propagate(jax.nn.softmax)(sn.propagate(f)(x))
        chex.assert_trees_all_close(got, apart, rtol=1e-4)


def test_masked_attention_of_flax():
    rngs = nnx.Rngs(0)
    attention = nnx.MultiHeadAttention(2, 8, decode=False, rngs=rngs)
    mask = nnx.make_causal_mask(jnp.ones((1, 5)))
    x = pair((1, 5, 8), 0.01)
    got = jax.jit(sn.propagate(lambda x: attention(x, mask=mask)))(x)
    z = jax.vmap(lambda x: attention(x, mask=mask))(x.sample(jax.random.key(0), (4_000,)))
    assert (abs(got.mean - z.mean(0)) < 0.4 * z.std(0)).all()
    assert (jnp.sqrt(got.var) / z.std(0) < 2).all()


WEIGHTS = np.array([[0.5, 1.0], [1.0, -0.3]], np.float32)
GATES = {
    "kept or 0": lambda x, y: jnp.where(y @ WEIGHTS > 0.2, x, 0.0),
    "either": lambda x, y: jnp.where(y @ WEIGHTS <= 0.2, x, jnp.sin(x[::-1])),
    "where it is large": lambda x, y: jnp.where(jnp.abs(y @ WEIGHTS) > 1, 1.0, x),
    "both ways": lambda x, y: jnp.where(jnp.logical_and(y > 0, y < 1), x, -2 * x),
}


@pytest.mark.parametrize(
    ("name", "covariance"),
    [*((name, "adjoint") for name in GATES), ("kept or 0", "diagonal"), ("kept or 0", "full")],
)
def test_a_gate_that_another_value_opens(name, covariance):
    x = sn.Gaussian(jnp.array([1.0, -2.0]), jnp.array([0.5, 1.0]))
    y = sn.Gaussian(jnp.array([0.3, 0.1]), jnp.array([1.0, 0.4]))
    got = jax.jit(sn.propagate(GATES[name], covariance))(x, y)
    one, two = (z.sample(jax.random.key(i), (400_000,)) for i, z in enumerate((x, y)))
    draws = np.asarray(jax.vmap(GATES[name])(one, two), float)
    error = draws.std(0) / np.sqrt(len(draws))
    assert (abs(got.mean - draws.mean(0)) < 5 * error).all()
    np.testing.assert_allclose(got.var, draws.var(0), rtol=0.01)


@pytest.mark.relaxed
def test_a_gate_moves_with_what_opens_it():
    with jax.enable_x64(True):
        x, y = (sn.Gaussian(jnp.array([m, 0.4]), jnp.array([0.5, v])) for m, v in ((1, 1), (-2, 2)))
        run = lambda m: sn.propagate(GATES["kept or 0"])(x, sn.Gaussian(m, y.var))  # noqa: E731
        total = jax.jit(lambda m: sum(leaf.sum() for leaf in jax.tree.leaves(run(m))))
        chex.assert_numerical_grads(total, (y.mean,), order=1, atol=1e-6)


def test_a_gate_that_its_own_case_opens_beside_another_is_refused():
    x = sn.Gaussian(jnp.ones(2), jnp.ones(2))
    with pytest.raises(sn.moments.NoRule, match="different random values"):
        sn.propagate(lambda x, y: jnp.where(x > 0, x, y))(x, x)
