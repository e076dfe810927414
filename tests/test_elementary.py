"""The float32 functions of the hot loops, against long doubles."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from stochastic_net.random import _elementary as elementary
from stochastic_net.random._normal_quantile import normal_quantile

DICE = np.random.default_rng(0)
ARGUMENTS = np.float32(
    [*DICE.uniform(-87, 88, 50_000), *DICE.normal(size=50_000), *DICE.normal(size=9_000) * 1e-3]
)
ABOVE_MINUS_ONE = np.float32(
    [
        *np.exp(DICE.uniform(-30, 80, 50_000)),
        *-np.exp(-DICE.uniform(0.01, 40, 50_000)),
        *DICE.uniform(-0.99, 3, 50_000),
    ]
)
POSITIVE = np.float32(np.exp2(DICE.uniform(-126, 126, 50_000)))
FUNCTIONS = {  # name: arguments, truth, bound of the relative error
    "exp": (ARGUMENTS, np.exp, lambda x: 3e-7 + 1e-7 * abs(x)),
    "expm1": (ARGUMENTS, np.expm1, lambda _: 2e-7),
    "log1p": (ABOVE_MINUS_ONE, np.log1p, lambda _: 2e-7),
    "exp2": (np.float32(DICE.uniform(-126, 127, 50_000)), np.exp2, lambda _: 3e-7),
    "log": (POSITIVE, np.log, lambda _: 2e-7),
    "rough_log": (POSITIVE, np.log, lambda x: 1.3e-4 / abs(np.log(x))),
    "log2": (POSITIVE, np.log2, lambda x: 1e-7 + 3.5e-7 / abs(np.log2(x))),
    "full_exp": (ARGUMENTS, np.exp, lambda _: 2e-7),
    "root": (POSITIVE, np.sqrt, lambda _: 1e-7),
    "reciprocal": (POSITIVE, lambda x: 1 / x, lambda _: 2e-7),
    "inverse_root": (POSITIVE, lambda x: 1 / np.sqrt(x), lambda _: 2e-7),
    "exp_less_line": (
        ARGUMENTS,
        lambda x: np.expm1(x) - x,
        lambda _: 5e-7,
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_relative_errors(name):
    x, truth, bound = FUNCTIONS[name]
    expected = truth(x.astype(np.longdouble))
    function = getattr(elementary, name)
    for got in (jax.jit(function)(x), function(jnp.asarray(x)), jax.vmap(function)(x)):
        error = abs(np.asarray(got, np.longdouble) - expected)
        assert (error <= bound(x.astype(float)) * abs(expected)).all()


@pytest.mark.parametrize("name", ["exp", "expm1", "log1p"])
def test_derivatives_nan_and_float64(name):
    ours, theirs = getattr(elementary, name), getattr(jnp, name)
    x = jnp.linspace(-0.9, 5.0, 50)
    np.testing.assert_allclose(
        jax.vmap(jax.grad(ours))(x), jax.vmap(jax.grad(theirs))(x), rtol=2e-6
    )
    assert jnp.isnan(ours(jnp.float32(jnp.nan)))
    with jax.enable_x64(True):
        wide = jnp.linspace(-0.9, 5.0, 50)
        np.testing.assert_array_equal(ours(wide), theirs(wide))


def test_the_normal_quantile_of_every_cell():
    cells = (np.arange(2**23, dtype=np.float32)[::37] + np.float32(0.5)) * np.float32(2.0**-23)
    expected = scipy.special.ndtri(cells.astype(float))
    for got in (jax.jit(normal_quantile)(cells), normal_quantile(jnp.asarray(cells))):
        np.testing.assert_allclose(got, expected, rtol=4e-7)
    with jax.enable_x64(True):
        wide = jnp.asarray(cells[:100].astype(float))
        np.testing.assert_allclose(normal_quantile(wide), expected[:100], rtol=1e-13)


@pytest.mark.parametrize("name", ["exp2", "log", "log2", "rough_log"])
def test_derivatives_to_second_order(name):
    """They are made by bits, which have none."""
    ours, theirs = getattr(elementary, name), getattr(jnp, name.removeprefix("rough_"))
    x = jnp.linspace(0.1, 5.0, 50)
    for order in (jax.grad, lambda f: jax.grad(jax.grad(f))):
        np.testing.assert_allclose(jax.vmap(order(ours))(x), jax.vmap(order(theirs))(x), rtol=1e-6)


@pytest.mark.parametrize("x64", [False, True])
def test_a_scaled_power_of_two_and_its_derivatives(x64):
    with jax.enable_x64(x64):
        y, scale = jnp.linspace(-20.0, 3.0, 40), jnp.linspace(0.03, 7.0, 40)
        of = lambda f: jax.vmap(jax.value_and_grad(f, (0, 1)))(y, scale)  # noqa: E731
        ours, theirs = of(elementary.exp2), of(lambda y, scale: scale * jnp.exp2(y))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), ours, theirs)
