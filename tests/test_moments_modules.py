"""What users hand to `propagate`: modules, options, gradients, casts, odd arrays."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _dice import single
from flax import linen, nnx
from jax import lax

import stochastic_net as sn

X = sn.Gaussian(jnp.array([0.3, -1.0, 0.5]), jnp.full(3, 0.2))


class RandomWeights(nnx.Module):
    def __init__(self):
        self.w = nnx.Param(sn.Gaussian(jnp.ones((3, 2)), jnp.full((3, 2), 0.1)))

    def __call__(self, x):
        return jax.nn.relu(x @ self.w[...])


class Linen(linen.Module):
    @linen.compact
    def __call__(self, x, train=True):
        x = linen.Dropout(0.5, deterministic=not train)(linen.Dense(4)(x))
        return linen.relu(x)


def test_a_recurrent_module_that_counts_is_propagated():
    rnn = nnx.RNN(nnx.GRUCell(3, 4, rngs=nnx.Rngs(0)))
    x = sn.Gaussian(jnp.ones((1, 4, 3)), jnp.full((1, 4, 3), 1e-8))
    got = jax.jit(sn.propagate(rnn))(x)
    chex.assert_trees_all_close(got.mean, rnn(x.mean), atol=1e-5)
    chex.assert_trees_all_close(sn.nn.Propagate(rnn)(x), got, rtol=1e-5)


def test_a_batch_norm_in_training_keeps_its_averages():
    norm = nnx.BatchNorm(3, rngs=nnx.Rngs(0))
    before = jax.tree.map(jnp.copy, nnx.state(norm))
    sn.propagate(norm)(sn.Gaussian(jnp.ones((4, 3)), jnp.ones((4, 3))))
    chex.assert_trees_all_equal(nnx.state(norm), before)


def test_options_of_linen_are_handed_on():
    net, x = Linen(), sn.Gaussian(jnp.ones((1, 3)), jnp.full((1, 3), 0.1))
    params = net.init(jax.random.key(0), x.mean, train=False)
    got = sn.propagate(net.apply)(params, x, train=False, method="__call__")
    chex.assert_trees_all_close(
        got, sn.propagate(lambda x: net.apply(params, x, train=False))(x), rtol=1e-6
    )


def test_random_weights_have_a_budget_and_are_checked():
    net, x = RandomWeights(), jnp.ones((1, 3))
    found = sn.moments.budget(net)(x)
    chex.assert_trees_all_close(found.total, sn.propagate(net, "adjoint")(x).var, rtol=1e-5)
    shares = found.inputs[0].w[...]
    assert shares.shape == (1, 2, 3, 2)
    chex.assert_trees_all_close(shares.sum((2, 3)) + sum(found.layers.values()), found.total)
    assert sn.check_moments(net, x, jax.random.key(0), num_samples=512).layers
    labels = sn.moments.layers(net, x).labels
    assert len(labels) == 1
    assert "matrix product" in labels[0]


def test_the_layers_of_a_module_at_a_point():
    net = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    found = sn.moments.layers(net, X)
    chex.assert_trees_all_close(found.at(X.mean)[0] + net.bias[...], net(X.mean), rtol=1e-6)


def test_a_gradient_is_a_function_like_any_other():
    """Of x^2 + sin x, whose two terms JAX adds up by an operation of its own."""
    mean, var = np.array([0.3, -1.0, 0.5, 2.0]), np.array([0.2, 1.0, 1.7, 0.1])
    got = sn.propagate(jax.grad(lambda x: (x**2 + jnp.sin(x)).sum()))(
        sn.Gaussian(single(mean), single(var))
    )
    decay, gap = np.exp(-var / 2), -np.expm1(-var)
    of_wave = gap * (gap / 2 + decay**2 * np.sin(mean) ** 2)
    crossed = -var * decay * np.sin(mean)  # Stein's lemma: Cov(X, cos X) = -Var E sin X
    chex.assert_trees_all_close(got.mean, single(2 * mean + decay * np.cos(mean)), rtol=1e-5)
    chex.assert_trees_all_close(got.var, single(4 * var + 4 * crossed + of_wave), rtol=1e-5)


def test_a_barrier_does_not_part_a_composition():
    got = sn.propagate(lambda x: x * lax.optimization_barrier(jax.nn.sigmoid(x)))(X)
    chex.assert_trees_all_close(got, sn.propagate(jax.nn.silu)(X), rtol=1e-6)


# what a comparison or rounding gives is a number where it is used as one
CASTS = {
    "masked by hand": (lambda x: x * (x > 0).astype(x.dtype), jax.nn.relu),
    "step": (lambda x: (x > 0).astype(x.dtype), lambda x: jnp.where(x > 0, 1.0, 0.0)),
    "step added": (lambda x: x + (x > 0).astype(x.dtype), lambda x: jnp.where(x > 0, x + 1, x)),
    "whole": (
        lambda x: jnp.round(x).astype(jnp.int32).astype(x.dtype) * 2.0,
        lambda x: jnp.round(x) * 2.0,
    ),
}


@pytest.mark.parametrize("name", CASTS)
def test_comparisons_made_numbers(name):
    f, same = CASTS[name]
    chex.assert_trees_all_close(sn.propagate(f)(X), sn.propagate(same)(X), rtol=1e-5, atol=1e-6)


def test_what_is_repeated_is_the_same_noise():
    x, scales = sn.Gaussian(jnp.array(0.5), jnp.array(1.0)), jnp.array([1.0, 2.0, 3.0])
    spread = jax.tree.map(lambda a: jnp.full(3, a), x)

    def f(x):
        return x * jax.nn.sigmoid(scales * x)

    chex.assert_trees_all_close(sn.propagate(f)(x), sn.propagate(f)(spread), rtol=1e-5)
    chex.assert_trees_all_close(
        sn.propagate(lambda x: scales * x - scales * x)(x).var, jnp.zeros(3), atol=1e-12
    )


VARIANCES = {
    "standardize": (
        jax.nn.standardize,
        lambda x: (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True),
    ),
    "axes kept": (
        lambda x: jnp.mean(x**2, -1, keepdims=True) - jnp.mean(x, -1, keepdims=True) ** 2,
        lambda x: x.var(-1, keepdims=True),
    ),
}


@pytest.mark.parametrize("shape", [(2, 32), (8, 8)])
@pytest.mark.parametrize("name", VARIANCES)
def test_variances_with_their_axes_kept(name, shape):
    f, same = VARIANCES[name]
    mean = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    x = sn.Gaussian(jnp.asarray(mean), jnp.full(shape, 0.2))
    got, z = sn.propagate(f)(x), same(x.sample(jax.random.key(0), (20_000,)))
    assert got.shape == z.shape[1:]
    assert (abs(got.mean - z.mean(0)) < 0.1 * z.std(0)).all()
    assert (abs(jnp.sqrt(got.var) / z.std(0) - 1) < 0.15).all()


@pytest.mark.parametrize("covariance", ["diagonal", "adjoint", "full"])
@pytest.mark.parametrize("f", [jnp.tanh, jax.nn.relu, jnp.abs], ids=["tanh", "relu", "abs"])
def test_empty_arrays(f, covariance):
    empty = sn.Gaussian(jnp.zeros((0, 3)), jnp.zeros((0, 3)))
    assert sn.propagate(f, covariance)(empty).shape == (0, 3)


@pytest.mark.parametrize("covariance", ["diagonal", "adjoint", "full"])
def test_nothing_random(covariance):
    chex.assert_trees_all_equal(sn.propagate(jnp.sin, covariance)(X.mean), jnp.sin(X.mean))


def test_a_half_scale_that_overflows_only_when_squared():
    x = sn.Gaussian(jnp.array([1.0], jnp.float16), jnp.array([0.01], jnp.float16))
    for way in (lambda f: f, jax.jit):
        got = way(sn.propagate(lambda x: x * jnp.float16(300)))(x)
        assert abs(got.var[0] - 900) < 5


@pytest.mark.parametrize("otherwise", ["linearize", "sample"])
def test_complex_results_are_refused(otherwise):
    key = {"key": jax.random.key(0)} if otherwise == "sample" else {}
    f = sn.propagate(lambda x: jnp.abs(jnp.fft.fft(x)), otherwise=otherwise, **key)
    with pytest.raises(sn.moments.NoRule, match="complex"):
        f(X)
