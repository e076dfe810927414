"""A Gaussian as a value: arithmetic, dtypes, a pytree."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _gaussians import C, X, Y, build, exact, grid, precision, table, ulp

import stochastic_net as sn

ARITHMETIC = {  # the operation; the mean and the variance it gives to X (and Y)
    "x + c": (lambda x, y: x + 1.5, X[0] + 1.5, X[1]),
    "c + x": (lambda x, y: 1.5 + x, X[0] + 1.5, X[1]),
    "x - c": (lambda x, y: x - 1.5, X[0] - 1.5, X[1]),
    "c - x": (lambda x, y: 1.5 - x, 1.5 - X[0], X[1]),
    "-x": (lambda x, y: -x, -X[0], X[1]),
    "x * c": (lambda x, y: x * -3, X[0] * -3, X[1] * 9),
    "c * x": (lambda x, y: -3 * x, X[0] * -3, X[1] * 9),
    "x / c": (lambda x, y: x / -4, X[0] / -4, X[1] / 16),
    "x * 0": (lambda x, y: x * 0, X[0] * 0, X[1] * 0),
    "numpy on the right": (lambda x, y: x * C, X[0] * C, X[1] * C**2),
    "numpy + x": (lambda x, y: C + x, C + X[0], X[1]),
    "numpy - x": (lambda x, y: C - x, C - X[0], X[1]),
    "numpy * x": (lambda x, y: C * x, X[0] * C, X[1] * C**2),
    "numpy scalar * x": (lambda x, y: np.float32(2) * x, X[0] * 2, X[1] * 4),
    "jax - x": (lambda x, y: jnp.asarray(C) - x, C - X[0], X[1]),
    "jax * x": (lambda x, y: jnp.asarray(C) * x, X[0] * C, X[1] * C**2),
    "a repeated constant": (lambda x, y: x + C[:1], X[0] + C[0], X[1]),
    "x + y": (lambda x, y: x + y, X[0] + Y[0], X[1] + Y[1]),
    "x - y": (lambda x, y: x - y, X[0] - Y[0], X[1] + Y[1]),
    "affine": (lambda x, y: (2 * x - y) / 2 + 1, X[0] - Y[0] / 2 + 1, X[1] + Y[1] / 4),
}


@pytest.mark.parametrize(("f", "mean", "var"), ARITHMETIC.values(), ids=ARITHMETIC)
def test_arithmetic_gives_the_gaussian_of_the_result(f, mean, var):
    for transform in (lambda f: f, jax.jit):
        out = transform(f)(sn.Gaussian(*X), sn.Gaussian(*Y))
        assert isinstance(out, sn.Gaussian)
        np.testing.assert_allclose(out.mean, mean, rtol=1e-6)
        np.testing.assert_allclose(out.var, var, rtol=1e-6)


@table
def test_a_python_number_keeps_the_dtype(row):
    with precision(row.dtype):
        assert (2 * build(row._replace(var=np.zeros_like(row.var))) + 1).dtype == row.dtype


@table
def test_a_gaussian_is_a_pytree(row):
    with precision(row.dtype):
        x = build(row)
        leaves, treedef = jax.tree.flatten(x)
        assert all(leaf is part for leaf, part in zip(leaves, (x.mean, x.var), strict=True))
        paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(x)]
        assert paths == [".mean", ".var"]
        again = jax.tree.unflatten(treedef, leaves)
        jitted = jax.jit(lambda x: x)(x)
        shapes = jax.eval_shape(lambda x: x, x)
        for y in (again, jitted, jax.tree.map(lambda leaf: leaf, x)):
            assert type(y) is sn.Gaussian
            chex.assert_trees_all_equal(y, x)
        assert (shapes.shape, shapes.dtype) == (x.shape, x.dtype) == (row.mean.shape, row.dtype)
        assert jax.tree.unflatten(treedef, ["anything", None]).var is None  # JAX needs it unchecked


def test_a_gaussian_is_mapped_over_any_axis_and_carried_through_a_loop(key):
    x = build(grid("float32", (4, 2)))
    turned = jax.vmap(lambda x: 2 * x, in_axes=1, out_axes=0)(x)
    np.testing.assert_array_equal(turned.mean, 2 * x.mean.T)
    np.testing.assert_array_equal(turned.var, 4 * x.var.T)

    def step(x, key):
        return x + 1, x.sample(key)

    last, draws = jax.lax.scan(step, x, jax.random.split(key, 5))
    np.testing.assert_allclose(last.mean, x.mean + 5, rtol=1e-6)
    np.testing.assert_array_equal(last.var, x.var)
    assert draws.shape == (5, 4, 2)


def test_a_gaussian_is_frozen_and_shows_what_it_is():
    x = sn.Gaussian(*X)
    with pytest.raises(dataclasses.FrozenInstanceError):
        x.mean = x.var
    assert repr(x).startswith("Gaussian(mean=Array([-1. ,  0.5,  2. ]")
    assert dataclasses.replace(x, var=x.var * 2).var[2] == 8
    with pytest.raises(ValueError, match="one shape"):
        dataclasses.replace(x, var=x.var[:2])


def test_mixed_dtypes_are_promoted_and_plain_numbers_are_floats():
    x = sn.Gaussian(jnp.zeros(3, "bfloat16"), jnp.ones(3, "float32"))
    assert x.mean.dtype == x.var.dtype == "float32"
    assert sn.Gaussian(0.0, 1.0).dtype == jnp.result_type(float)


@table
def test_from_std_and_from_log_var(row):
    with precision(row.dtype):
        std = jnp.asarray(np.minimum(np.sqrt(row.var), 100.0), row.dtype)
        mean = jnp.asarray(row.mean, row.dtype)
        x = sn.Gaussian.from_std(mean, std)
        np.testing.assert_array_equal(x.var, std * std)
        log_var = jnp.clip(jnp.log(jnp.asarray(row.var, row.dtype)), -10, 10)
        y = sn.Gaussian.from_log_var(mean, log_var)
        np.testing.assert_allclose(exact(y.var), np.exp(exact(log_var)), rtol=2 * ulp(row.dtype))
        for z in (x, y):
            assert z.dtype == row.dtype
            np.testing.assert_array_equal(z.mean, mean)
