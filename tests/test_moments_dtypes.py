"""Networks that change their floats on the way: a value in another dtype has the same noise."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import stochastic_net as sn

SHAPE = (3, 6, 8)
MASK = np.arange(8) < 5


def wide(x):
    return x.astype(jnp.float32)


def pair(dtype="float32", var=0.3):
    mean = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    return sn.Gaussian(jnp.asarray(mean, dtype), jnp.full(SHAPE, var, dtype))


def both(norm, *args, **kwargs):
    """A norm that computes in 16 bits where it can, and the same in float32."""
    make = lambda dtype: norm(*args, dtype=dtype, rngs=nnx.Rngs(0), **kwargs)  # noqa: E731
    return make(jnp.bfloat16), make(jnp.float32)


# in 16 bits with steps in float32, and the same in float32 alone
CASES = {
    "layer norm": both(nnx.LayerNorm, 8),
    "group norm": both(nnx.GroupNorm, 8, num_groups=2),
    "RMS norm": both(nnx.RMSNorm, 8),
    "silu": (lambda x: x * jax.nn.sigmoid(wide(x)).astype(x.dtype), nnx.silu),
    "silu, the product too": (
        lambda x: (wide(x) * wide(jax.nn.sigmoid(x))).astype(x.dtype),
        nnx.silu,
    ),
    "residual": (lambda x: x + nnx.relu(wide(x)).astype(x.dtype), lambda x: x + nnx.relu(x)),
    "less tanh": (lambda x: wide(x) - wide(jnp.tanh(x)), lambda x: x - jnp.tanh(x)),
    "standardize": (jax.nn.standardize, jax.nn.standardize),
    "less its mean": 2 * (lambda x: x - x.mean(-1, keepdims=True),),
    "clipped maximum": (
        lambda x: wide(jnp.clip(x, -1, 1)).max(-1),
        lambda x: jnp.clip(x, -1, 1).max(-1),
    ),
    "softmax": (lambda x: jax.nn.softmax(wide(x)).astype(x.dtype), jax.nn.softmax),
    "quotient of exponentials": (
        lambda x: (lambda e: wide(e) / wide(e).sum(-1, keepdims=True))(jnp.exp(x)),
        jax.nn.softmax,
    ),
    "log of their sum": (
        lambda x: jnp.log(wide(jnp.exp(x)).sum(-1)),
        lambda x: jax.nn.logsumexp(x, -1),
    ),
    "masked": (
        lambda x: jax.nn.softmax(wide(jnp.where(MASK, x, -1e9))),
        lambda x: jax.nn.softmax(jnp.where(MASK, x, -1e9)),
    ),
}


def assert_is_as_in_32(name, covariance):
    mixed, alone = CASES[name]
    want = jax.jit(sn.propagate(alone, covariance))(pair())
    got = jax.jit(sn.propagate(mixed, covariance))(pair("bfloat16"))
    assert got.mean.dtype == jax.eval_shape(mixed, pair("bfloat16").mean).dtype
    typical = jnp.sqrt(want.var).mean()
    assert jnp.abs(wide(got.mean) - want.mean).max() < 0.02 * jnp.maximum(typical, 1)
    chex.assert_trees_all_close(wide(got.var), want.var, rtol=0.06, atol=1e-3 * typical**2)
    return got


@pytest.mark.relaxed
@pytest.mark.parametrize("name", CASES)
def test_in_16_bits_as_in_32(name):
    got, run = assert_is_as_in_32(name, "diagonal"), sn.propagate(CASES[name][0])
    chex.assert_trees_all_close(run(pair("bfloat16")), got, rtol=0.02, atol=1e-2)
    each = jax.vmap(run)(jax.tree.map(lambda a: a[:, None], pair("bfloat16")))
    chex.assert_trees_all_close(jax.tree.map(lambda a: a[:, 0], each), got, rtol=0.02, atol=1e-2)


@pytest.mark.relaxed
@pytest.mark.parametrize("name", ["layer norm", "residual", "standardize"])
def test_its_covariances_too(name):
    assert_is_as_in_32(name, "adjoint")


BACK = {
    "from 16 bits": ("bfloat16", lambda x: wide(x).astype(x.dtype) - x),
    "from 32": ("float32", lambda x: wide(x.astype(jnp.bfloat16)) - x),
    "a function": ("float16", lambda x: wide(jnp.tanh(x)).astype(x.dtype) - jnp.tanh(x)),
    "twice": ("float32", lambda x: wide(x.astype(jnp.bfloat16).astype(jnp.float16)) - x),
    "scaled": ("bfloat16", lambda x: (2 * wide(x)).astype(x.dtype) - 2 * x),
    "spread": ("bfloat16", lambda x: (x[:, None] + wide(-x)[:, None]).astype(x.dtype)),
}


@pytest.mark.relaxed
@pytest.mark.parametrize("covariance", ["diagonal", "adjoint", "full"])
@pytest.mark.parametrize("name", BACK)
def test_there_and_back_nothing_is_left(name, covariance):
    dtype, f = BACK[name]
    x = jax.tree.map(lambda a: a[0, 0], pair(dtype))
    got = jax.jit(sn.propagate(f, covariance))(x)
    chex.assert_trees_all_close(wide(got.var), jnp.zeros_like(wide(got.var)), atol=1e-6)


def test_in_64_bits():
    with jax.enable_x64(True):
        mean = np.linspace(-3, 3, 7)
        x = sn.Gaussian(jnp.asarray(mean), jnp.full(7, 0.3))
        for f in (nnx.silu, jnp.tanh, lambda u: jnp.clip(u, -1, 1) * u):
            mixed = lambda u, f=f: f(u.astype(jnp.float32)).astype(jnp.float64)  # noqa: E731
            got, want = jax.jit(sn.propagate(mixed))(x), sn.propagate(f)(x)
            assert got.var.dtype == jnp.float64
            chex.assert_trees_all_close(got, want, rtol=1e-5, atol=1e-6)


def test_a_gradient_goes_through():
    f = lambda x: (x * jax.nn.sigmoid(wide(x)).astype(x.dtype)).astype(jnp.float32)  # noqa: E731
    loss = lambda f, x: (lambda y: (y.mean + y.var).sum())(sn.propagate(f)(x))  # noqa: E731
    got = jax.jit(jax.grad(lambda x: loss(f, x)))(pair("bfloat16"))
    want = jax.grad(lambda x: loss(nnx.silu, x))(pair())
    chex.assert_trees_all_close(jax.tree.map(wide, got), want, rtol=0.05, atol=0.03)
