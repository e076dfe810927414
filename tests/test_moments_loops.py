"""Loops and branches in the room `moments`.

Truth: the steps written out; draws; finite differences in float64.
"""

import dataclasses
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _dice import RNG, single, the_same_numbers  # noqa: F401
from jax import lax

import stochastic_net as sn


def pair(mean, var):
    return sn.Gaussian(jnp.asarray(single(mean)), jnp.asarray(single(var)))


def twice(f, x):
    return lax.scan(lambda c, _: (f(c), None), x, length=2)[0]


@pytest.mark.law
@pytest.mark.parametrize("covariance", ["adjoint", "full"])
def test_a_scan_in_a_scan_is_its_steps(covariance):
    x = pair([1.0, -2.0], [0.5, 1.0])
    step = lambda c: jnp.tanh(c @ jnp.array([[0.5, 1.0], [1.0, 0.5]]))  # noqa: E731
    last = lambda c: jax.nn.relu(c @ jnp.array([[1.0], [0.3]]))[0]  # noqa: E731

    def rolled(x):
        return last(twice(lambda c: step(twice(step, c)), step(x)))

    def unrolled(x):
        for _ in range(7):
            x = step(x)
        return last(x)

    one, two = (sn.propagate(f, covariance)(x) for f in (rolled, unrolled))
    chex.assert_trees_all_close(one, two, rtol=1e-5)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("covariance", ["adjoint", "full"])
def test_a_scan_that_is_not_linear_is_its_steps(covariance, reverse):
    weights = jnp.asarray(single(RNG.normal(size=(3, 3))))

    def cell(h, x):
        t, number = x
        return jnp.tanh(h @ weights + number * t), (2 * h, number + 1)

    def rolled(x, numbers):
        return lax.scan(cell, jnp.zeros(3), (x, numbers), reverse=reverse)

    def unrolled(x, numbers):
        h, found = jnp.zeros(3), []
        steps = range(len(x))
        for k in reversed(steps) if reverse else steps:
            h, y = cell(h, (x[k], numbers[k]))
            found.append(y)
        found = found[::-1] if reverse else found
        return h, tuple(jnp.stack(ys) for ys in zip(*found, strict=True))

    x, numbers = pair(RNG.normal(size=(3, 3)), np.full((3, 3), 0.3)), jnp.arange(3.0)
    one, two = (jax.jit(sn.propagate(f, covariance))(x, numbers) for f in (rolled, unrolled))
    chex.assert_trees_all_close(one, two, rtol=1e-5, atol=1e-6)


def test_the_branch_that_is_known_to_be_taken():
    def f(x):
        return lax.cond(x.shape[0] > 1, jax.nn.relu, jnp.sin, x)

    x = pair([1.0, 2.0], [1.0, 1.0])
    got, relu = (sn.propagate(g, "adjoint")(x) for g in (f, jax.nn.relu))
    chex.assert_trees_all_equal(got, relu)


@pytest.mark.parametrize(
    "f",
    [
        lambda x, n: lax.cond(n > 1, jax.nn.relu, jnp.sin, x),
        lambda x, n: lax.fori_loop(0, n, lambda _, c: jnp.tanh(c), x),
        lambda x, n: lax.fori_loop(0, n, lambda _, c: twice(jnp.tanh, c), x),
    ],
)
def test_adjoint_refuses_what_is_not_linear_inside_branches_and_loops(f):
    with pytest.raises(sn.moments.NoRule, match="only what is linear inside it"):
        jax.jit(sn.propagate(f, "adjoint"))(pair([1.0, 2.0], [1.0, 1.0]), jnp.array(2))


@pytest.mark.parametrize("covariance", ["diagonal", "adjoint", "full"])
@pytest.mark.parametrize("step", [jnp.add, lambda c, t: jnp.sin(c + t)], ids=["linear", "sine"])
def test_a_scan_of_nothing(covariance, step):
    x = pair([1.0, 2.0], [1.0, 3.0])
    f = lambda x: lax.scan(lambda c, t: (step(c, t), c), x[0], x[:0])  # noqa: E731
    carry, ys = sn.propagate(f, covariance)(x)
    chex.assert_trees_all_equal(carry, sn.Gaussian(jnp.array(1.0), jnp.array(1.0)))
    assert {a.shape for a in jax.tree.leaves(ys)} == {(0,)}


def gated(x):
    """A recurrent network of a gate and a memory: what it multiplies is correlated."""
    weights = jnp.asarray(np.linspace(-0.9, 1.1, 9).reshape(3, 3), x.dtype)

    def cell(carry, t):
        h, memory = carry
        gate = jax.nn.sigmoid(h @ weights + t)
        memory = gate * memory + (1 - gate) * jnp.tanh(t - h @ weights.T)
        h = jnp.tanh(memory)
        return (h, memory), h

    start = jnp.zeros(3, x.dtype)
    return lax.scan(cell, (start, start), x)[1][-2:].sum(0)


@pytest.mark.law
def test_a_recurrent_network_against_draws():
    """Without the covariances one of its deviations is 1.9 times too large."""
    x = pair(np.random.default_rng(0).normal(size=(8, 3)), np.full((8, 3), 0.03))
    values = jax.jit(jax.vmap(gated))(x.sample(jax.random.key(0), (100_000,)))
    first, std = values.mean(0), values.std(0)
    full, lone = sn.propagate(gated, "full"), jax.jit(sn.propagate(gated))(x)

    @jax.jit
    def run(x):
        mapped = jax.vmap(full)(jax.tree.map(lambda a: a[None], x))
        return full(x), sn.moments.covariance(gated)(x), mapped

    got, matrix, mapped = run(x)
    plain = abs(gated(x.mean) - first) / std
    assert (abs(got.mean - first) / std).max() < plain.max() / 10
    np.testing.assert_allclose(np.sqrt(got.var), std, rtol=0.07)
    assert (np.sqrt(lone.var) > 1.5 * std).any()
    own = np.sqrt(np.diag(matrix))
    np.testing.assert_allclose(matrix / np.outer(own, own), np.corrcoef(values.T), atol=0.05)
    chex.assert_trees_all_close(jax.tree.map(lambda a: a[0], mapped), got, rtol=1e-5)


def test_the_gradient_through_a_loop_with_its_covariances():
    def f(x):
        weights = jnp.asarray([[0.5, -0.8], [1.0, 0.3]], x.dtype)

        def cell(carry, t):
            h, total = carry
            h = jax.nn.relu(h @ weights + t)
            return (h, total + h * t), h

        start = jnp.zeros(2, x.dtype)
        return lax.scan(cell, (start, start), x)[0][1]

    with jax.enable_x64(True):
        x = sn.Gaussian(jnp.asarray(RNG.normal(size=(3, 2))), jnp.full((3, 2), 0.2))
        total = jax.jit(lambda x: sn.propagate(f, "full")(x).var.sum())
        slope = jax.jit(jax.grad(total))(x)
        for name in ("mean", "var"):
            step = jnp.zeros((3, 2)).at[1, 0].set(1e-5)
            moved = lambda s: {name: getattr(x, name) + s * step}  # noqa: B023, E731
            ends = [total(dataclasses.replace(x, **moved(s))) for s in (1, -1)]
            truth = (ends[0] - ends[1]) / 2e-5
            np.testing.assert_allclose(getattr(slope, name)[1, 0], truth, rtol=1e-5)


COEFFICIENTS = np.array([0.2, -1.0, 0.5, 2.0], np.float32)


def newton(x):
    """The root of 1 + x^2, from 2 on."""
    start = 2 * jnp.ones_like(x)
    return lax.fori_loop(0, 4, lambda _, y: y - (y * y - (1 + x * x)) / (2 * y), start)


def horner(x, reverse):
    def step(carry, coefficient):
        return carry * x + coefficient, jax.nn.relu(carry)

    return lax.scan(step, jnp.zeros_like(x), COEFFICIENTS, reverse=reverse)


ONE_FUNCTION = {
    "polyval": partial(jnp.polyval, COEFFICIENTS),
    "newton": newton,
    "horner": lambda x: horner(x, False)[0],
    "backwards": lambda x: horner(x, True)[0],
    "its steps": lambda x: horner(x, False)[1],
    "its steps backwards": lambda x: horner(x, True)[1],
}


@pytest.mark.parametrize("covariance", ["diagonal", "adjoint"])
@pytest.mark.parametrize("name", ONE_FUNCTION)
def test_a_short_loop_is_one_function_of_its_start(name, covariance):
    f, x = ONE_FUNCTION[name], sn.Gaussian(jnp.array([-1.0, 0.3, 2.0]), jnp.full(3, 0.09))
    away = np.linspace(-8, 8, 4001)
    weights = np.exp(-away * away / 2)
    weights = weights / weights.sum()
    values = jax.vmap(f)(jnp.asarray(np.asarray(x.mean) + 0.3 * away[:, None], jnp.float32))
    first, second = (np.tensordot(weights, np.asarray(values, float) ** k, 1) for k in (1, 2))
    got = jax.jit(sn.propagate(f, covariance))(x)
    chex.assert_trees_all_close(got.mean, jnp.float32(first), rtol=1e-5, atol=1e-5)
    chex.assert_trees_all_close(got.var, jnp.float32(second - first**2), rtol=1e-4, atol=1e-5)


def test_many_steps_of_one_function_are_traced_in_no_time():
    def f(x):
        for _ in range(40):  # 4 to the 40th applications, if each part were applied anew
            x = x - (x * x - 1) / (2 * x * x + 1)
        return x

    got = sn.propagate(f)(sn.Gaussian(jnp.array([2.0]), jnp.array([0.01])))
    chex.assert_trees_all_close(got, sn.Gaussian(jnp.array([1.0]), jnp.array([0.0])), atol=1e-3)


def test_a_chain_longer_than_the_stack_is_deep():
    def f(x):
        for _ in range(500):
            x = 0.5 * jnp.sin(x) + 0.5
        return x

    seen = jax.make_jaxpr(lambda m: sn.propagate(f)(sn.Gaussian(m, jnp.ones(1))).mean)(jnp.ones(1))
    assert seen.jaxpr.eqns
