"""Functions that are smooth between known places: against the nodes that are right at every width.

A number that is not known while the program is traced takes those.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _compile import QUICKLY

import stochastic_net as sn
from stochastic_net.moments._integrals import pieces

pytestmark = pytest.mark.law

FUNCTIONS = {
    "elu": jax.nn.elu,
    "selu": jax.nn.selu,
    "celu": jax.nn.celu,
    "hard swish": jax.nn.hard_swish,
    "sparse plus": jax.nn.sparse_plus,
    "relu squared": lambda x: jnp.square(jax.nn.relu(x)),
    "soft sign": jax.nn.soft_sign,
    "a jump and a slope": lambda x: jnp.where(x > 0.5, jnp.tanh(x), 0.25 * x),
}


@pytest.fixture
def asked(monkeypatch):
    """What is found for each function that is asked about, or None."""
    found = []

    def seen(*args):
        found.append(pieces.pieces_of(*args))
        return found[-1]

    monkeypatch.setattr("stochastic_net.moments._integrals.quadrature.pieces_of", seen)
    return found


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_both_nodes_agree_and_so_do_their_derivatives(function, asked):
    std = np.geomspace(3e-3, 6.0, 30, dtype=np.float32)
    mean = np.concatenate(
        [np.linspace(-4, 4, 18), [0, 0, 0.5, 0.5, -3, 3, -1, 1, 0.01, -0.01, 7, -7]]
    )
    x = sn.Gaussian(jnp.asarray(mean, jnp.float32), jnp.asarray(std * std))

    def known(x):
        out = sn.propagate(function)(x)
        return out.mean, out.std

    def unknown(x, one):
        out = sn.propagate(lambda u: function(u) * one)(x)
        return out.mean, out.std

    def slopes(f):
        return lambda x, *rest: jax.jvp(
            lambda x: f(x, *rest), (x,), (sn.Gaussian(1 + x.var * 0, x.var),)
        )

    fast, slow = (
        jax.jit(slopes(known))(x),
        jax.jit(slopes(unknown), compiler_options=QUICKLY)(x, jnp.ones(mean.shape, "float32")),
    )
    assert asked[0] is not None
    assert asked[-1] is None
    assert 0.5 <= asked[0].reach <= 5.0
    chex.assert_trees_all_close(fast[0], slow[0], rtol=1e-5, atol=2e-6)
    chex.assert_trees_all_close(fast[1], slow[1], rtol=2e-4, atol=2e-5)
    chex.assert_trees_all_close(known(x), fast[0], rtol=1e-5, atol=1e-6)  # not under jit


def test_the_rule_is_not_taken_for_what_it_is_wrong_for(asked):
    x = sn.Gaussian(jnp.zeros(3), jnp.ones(3))
    sn.propagate(lambda u: jnp.where(u > 0, jnp.sin(200 * u), u))(x)
    assert asked == [None]


def test_a_tail_that_dies_away_keeps_its_digits():
    """Var elu(u) is that of e^u far below 0, at every deviation."""
    std = np.geomspace(0.1, 2.0, 20)
    x = sn.Gaussian(jnp.full(20, -30.0), jnp.asarray(std * std, jnp.float32))
    var = std * std
    expected = np.exp(-60 + var) * np.expm1(var)
    np.testing.assert_allclose(sn.propagate(jax.nn.elu)(x).var, expected, rtol=2e-5)


def test_a_number_that_is_spread_stays_known_beside_other_arrays():
    mean, var = jnp.linspace(-1.0, 1.0, 6).reshape(2, 3), jnp.full((2, 3), 0.3)
    x = sn.Gaussian(mean, var)
    halves = jnp.full((2, 3), 0.5)
    f = jax.jit(sn.propagate(lambda u: jax.nn.elu(u * halves) + jnp.broadcast_to(2.0, (2, 3))))
    expected = sn.propagate(jax.nn.elu)(sn.Gaussian(mean / 2, var / 4))
    chex.assert_trees_all_close(f(x).mean, expected.mean + 2, rtol=1e-6)
    chex.assert_trees_all_close(f(x).var, expected.var, rtol=1e-5)
