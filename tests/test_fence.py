"""A fence is the identity, in every transformation, and what is behind it is computed once."""

import re

import chex
import jax
import jax.numpy as jnp
import pytest

from stochastic_net.random._fence import both, once

X, Y = jnp.linspace(-1.0, 2.0, 12).reshape(3, 4), jnp.linspace(0.5, 1.5, 12).reshape(3, 4)


def fenced(x, y):
    x, y = both(x * y, jnp.sin(y))
    return once(x * x) + y * x


def free(x, y):
    x, y = x * y, jnp.sin(y)
    return x * x + y * x


WAYS = {
    "eager": lambda f: f,
    "jit": jax.jit,
    "vmap": jax.vmap,
    "vmap of one": lambda f: jax.vmap(f, (1, None), 1),
    "vmap of the other": lambda f: jax.vmap(f, (None, 0)),
    "jvp": lambda f: lambda x, y: jax.jvp(f, (x, y), (y, x)),
    "jvp by one": lambda f: lambda x, y: jax.jvp(lambda y: f(x, y), (y,), (x,)),
    "gradient": lambda f: jax.jit(jax.grad(lambda x, y: f(x, y).sum(), (0, 1))),
    "hessian": lambda f: jax.hessian(lambda x, y: f(x, y)[0, 1], (0, 1)),
    "remat": jax.checkpoint,
}


@pytest.mark.parametrize("way", WAYS)
def test_a_fence_is_the_identity(way):
    x, y = (X, Y[:, 0]) if way == "vmap of one" else (X[0], Y) if "other" in way else (X, Y)
    chex.assert_trees_all_close(WAYS[way](fenced)(x, y), WAYS[way](free)(x, y), rtol=1e-6)


def test_integers_pass():
    words = jnp.arange(5, dtype=jnp.uint32)
    chex.assert_trees_all_equal(jax.jit(once)(words), words)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="on a CPU alone are there fences")
def test_what_is_behind_a_fence_is_computed_once():
    """Two passes read in their own order what a third has computed, or compute it themselves."""

    def products(shared):
        def f(x):
            y = shared(((x * x + 1) * x + 1) * x)
            return y[::-1] + 1, y[:, ::-1] + 1

        text = jax.jit(f).lower(jnp.ones((300, 400))).compile().as_text()
        return len(re.findall(r"= \S+ multiply\(", text))

    assert products(once) == 3 < products(lambda y: y)
