"""Derivatives of the derivatives of E and Var, which the gradient of an "adjoint" variance takes.

Truth: central differences of the first derivatives, in float64.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _compile import QUICKLY

import stochastic_net as sn

pytestmark = pytest.mark.law

FUNCTIONS = {
    "tanh": jnp.tanh,
    "silu": jax.nn.silu,
    "elu": jax.nn.elu,
    "relu": jax.nn.relu,
    "sine": jnp.sin,
}
MEAN = np.array([-2.3, -0.4, 0.1, 0.7, 3.1])
STD = np.array([2e-3, 0.02, 0.13, 0.4, 0.8, 2.2, 9.0])  # of every kind of nodes
STEP = 1e-5  # in deviations, and in parts of the variance


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_second_derivatives_are_those_of_the_first(function):
    def moments(mean, var):
        out = sn.propagate(function)(sn.Gaussian(mean, var))
        return out.mean, out.var

    def first(*pair):
        """By mean and by variance, times s and v: of one size, whatever the width."""
        one, zero = jnp.ones_like(pair[0]), jnp.zeros_like(pair[0])
        pushed = jax.linearize(moments, *pair)[1]
        by_mean, by_var = pushed(one, zero), pushed(zero, one)
        return jnp.stack(
            [*(jnp.sqrt(pair[1]) * x for x in by_mean), *(pair[1] * x for x in by_var)]
        )

    @jax.jit(compiler_options=QUICKLY)
    def everything(mean, var):
        value, pull = jax.vjp(first, mean, var)
        pulled = [pull(jnp.zeros_like(value).at[k].set(1.0)) for k in range(4)]
        return value, [jnp.stack(x) for x in zip(*pulled, strict=True)]

    with jax.enable_x64(True):
        std, mean = (jnp.asarray(x.ravel()) for x in np.meshgrid(STD, MEAN))
        var, zero = std * std, jnp.zeros_like(std)
        value, second = everything(mean, var)
        found = [x * unit[None] for x, unit in zip(second, (std, var), strict=True)]
        moved = [(STEP * std, zero), (zero, STEP * var)]
        truth = [
            (everything(mean + dm, var + dv)[0] - everything(mean - dm, var - dv)[0]) / (2 * STEP)
            for dm, dv in moved
        ]
    scale = np.abs(np.asarray(value)).max(0)  # of one Gaussian
    for one, two in zip(found, truth, strict=True):
        assert (np.abs(one - two) <= 3e-5 * scale + 1e-12).all()


NESTED = {
    "known numbers": lambda x, a: jnp.tanh(x),
    "a learned number": lambda x, a: x * jax.nn.sigmoid(a * x),
    "a derivative in the moments": lambda x, a: jnp.logaddexp(x, x[::-1]),
}


@pytest.mark.parametrize("f", NESTED.values(), ids=NESTED)
def test_a_gradient_of_a_gradient_holds_few_arrays(f):
    """Pulled back node by node it held 14,000, 2,300 and 77,000 of the size of the input."""
    size = 20_000

    def slope(mean, var, a):
        total = lambda m: sn.propagate(lambda x: f(x, a))(sn.Gaussian(m, var)).mean.sum()  # noqa: E731
        return jnp.square(jax.grad(total)(mean)).sum()

    like = jax.ShapeDtypeStruct((size,), "float32"), jax.ShapeDtypeStruct((), "float32")
    compiled = jax.jit(jax.grad(slope, (0, 1))).lower(like[0], *like).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 400 * 4 * size
