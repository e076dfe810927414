"""Laws of vectors and matrices, and mixtures: what the test_vector files try, and how."""

import contextlib
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stochastic_net as sn

D = sn.distributions
SIGMAS = 5.5
LOC = np.array([1.0, -2.0, 3.0])
TRIL = np.array([[1.0, 0.0, 0.0], [0.4, 0.5, 0.0], [-0.3, 0.8, 2.0]])
FACTOR = np.array([[1.0, 0.3], [-0.5, 0.7], [0.2, -1.1]])
DIAG = np.array([0.3, 0.1, 0.6])
ALPHA = np.array([0.5, 1.0, 3.0])
LOGITS = np.array([0.3, -0.5, 0.1])
MEANS, VARS = np.array([-2.0, 0.5, 3.0]), np.array([0.5, 1.0, 2.0])


def unit(*x):
    return np.array(x) / np.linalg.norm(x)


MU = unit(0.3, -1.2, 0.5, 0.8, -0.1)


def pair(dtype="float32"):
    return sn.Gaussian(jnp.asarray(MEANS, dtype), jnp.asarray(VARS, dtype))


def vector_pair(dtype="float32"):
    mean = np.stack([MEANS, MEANS[::-1] / 2], -1)
    return sn.Gaussian(jnp.asarray(mean, dtype), jnp.asarray(np.stack([VARS, VARS], -1), dtype))


def a(x, dtype):
    return jnp.asarray(x, dtype)


FAMILIES = {
    "gaussian": lambda t="float32": D.MultivariateGaussian(a(LOC, t), a(TRIL, t)),
    "low rank": lambda t="float32": D.LowRankGaussian(a(LOC, t), a(FACTOR, t), a(DIAG, t)),
    "dirichlet": lambda t="float32": D.Dirichlet(a(ALPHA, t)),
    "wishart": lambda t="float32": D.Wishart(a(4.5, t), a(TRIL, t)),
    "lkj": lambda t="float32": D.LKJCholesky(4, a(2.5, t)),
    "von mises-fisher": lambda t="float32": D.VonMisesFisher(rounded_direction(t), a(2.0, t)),
    "gumbel-softmax": lambda t="float32": D.GumbelSoftmax(a(0.7, t), a(LOGITS, t)),
    "mixture": lambda t="float32": D.Mixture(a(LOGITS, t), pair(t)),
    "mixture of vectors": lambda t="float32": D.Mixture(a(LOGITS, t), vector_pair(t)),
}
families = pytest.mark.parametrize("build", FAMILIES.values(), ids=FAMILIES)


def rounded_direction(dtype):
    """In few bits, so that it has length 1 in every dtype."""
    return a([0.0, 0.6, -0.8], dtype)


def precision(dtype):
    return jax.enable_x64(True) if dtype == "float64" else contextlib.nullcontext()


def check(estimate, error, truth):
    """A z-test of each number; `error` is one standard error of the estimate."""
    estimate, error, truth = (np.asarray(x, np.float64) for x in (estimate, error, truth))
    slack = 2e-6 * (1 + abs(truth))  # of float32
    z = abs(estimate - truth) / (error + slack / SIGMAS)
    assert (z <= SIGMAS).all(), (estimate, error, truth)


def check_mean(values, truth):
    values = np.asarray(values, np.float64)
    check(values.mean(0), values.std(0) / math.sqrt(len(values)), truth)


# Gradients.


def draws_gradient(d, f, key, n):
    """The gradient of f of each of n draws by each leaf; an f of shape (m,) has m of them, first.

    Every draw has parameters of its own, so that one pass backwards gives all gradients.
    """
    size = jax.eval_shape(lambda d, k: f(d.sample(k)), d, key).shape

    @jax.jit
    def gradients(wide, key):
        values, pullback = jax.vjp(lambda d: jax.vmap(f)(d.sample(key)), wide)
        # One by one: XLA on CPU of JAX 0.10 gives wrong sums over the middle axis of large arrays.
        basis = jnp.eye(math.prod(size)).reshape(-1, 1, *size)
        parts = [pullback(jnp.broadcast_to(one, values.shape))[0] for one in basis]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *parts)

    got = gradients(jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (n, *leaf.shape)), d), key)
    return got if size else jax.tree.map(lambda leaf: leaf[0], got)


def slopes(draw, x):
    """The derivative of each of 20,000 draws by its own copy of the number x."""
    many = jnp.full(20_000, x)
    return jax.jit(lambda x: jax.jvp(draw, (x,), (jnp.ones_like(x),))[1])(many)
