"""`sn.sample` of trees, and distributions of others."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _gaussians import X
from flax import nnx

import stochastic_net as sn


class Duck:
    """A distribution of NumPyro's kind: no pytree, its second argument has another name."""

    def sample(self, key, sample_shape=()):
        return jax.random.uniform(key, (*sample_shape, 4), "float32")

    def log_prob(self, value):
        return jnp.zeros_like(value)


class Bayesian(nnx.Module):
    """A module one of whose parameters is a distribution."""

    def __init__(self):
        self.kernel = nnx.Param(sn.Gaussian(*X))
        self.bias = nnx.Param(jnp.zeros(2, "float32"))


TREES = {
    "dict": lambda x: {"kernel": x, "bias": np.zeros(2, "float32")},
    "tuple": lambda x: (x, 3.0, None, x),
    "nested": lambda x: {"layers": [{"w": x}, {"w": x, "n": 3}]},
    "state": lambda x: nnx.state(Bayesian()),
    "module": lambda x: Bayesian(),
    "not a Gaussian": lambda x: [Duck(), x, jnp.ones(3, "float32")],
}


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_every_distribution_in_a_tree_is_drawn_and_nothing_else(tree):
    tree = tree(sn.Gaussian(*X))
    drawn = sn.sample(tree, jax.random.key(5))
    before = jax.tree.leaves(tree, is_leaf=is_distribution)
    after = jax.tree.leaves(drawn)
    draws = []
    for old, new in zip(before, after, strict=True):
        if is_distribution(old):
            assert isinstance(new, jax.Array)
            draws += [new.tolist()]
        else:
            assert new is old
    assert 0 < len(draws) == len(set(map(str, draws)))  # no two places share their noise


def is_distribution(node):
    return isinstance(node, sn.Gaussian | Duck)


def test_what_a_place_draws_depends_on_nothing_else_in_the_tree():
    x = sn.Gaussian(*X)
    alone = sn.sample({"b": x}, jax.random.key(5))["b"]
    together = jax.jit(sn.sample)({"a": x, "b": x, "c": {"b": x}}, jax.random.key(5))
    np.testing.assert_allclose(together["b"], alone, rtol=1e-6)
    itself = sn.sample(x, jax.random.key(5))
    np.testing.assert_array_equal(itself, x.sample(jax.random.key(5)))


def test_the_gradient_reaches_a_distribution_inside_a_module(key):
    grad = jax.jit(jax.grad(lambda m, key: sn.sample(m, key).kernel[...].sum()))(Bayesian(), key)
    (to_kernel,) = (g for g in jax.tree.leaves(grad, is_leaf=is_distribution) if is_distribution(g))
    np.testing.assert_array_equal(to_kernel.mean, 1.0)
    assert (to_kernel.var != 0).all()


def test_the_divergence_of_a_new_type_is_one_function_away():
    @sn.distributions.kl_rule(Duck, sn.Gaussian)
    def _(p, q):
        return q.var

    assert sn.kl(Duck(), sn.Gaussian(*X))[0] == 0.25
    with pytest.raises(TypeError, match="no KL divergence is known from Gaussian to Duck"):
        sn.kl(sn.Gaussian(*X), Duck())
