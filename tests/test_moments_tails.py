"""Moments where a function dies away or nears a limit, in relative terms, against float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _dice import single
from scipy import special

import stochastic_net as sn

pytestmark = pytest.mark.law


def gelu_by_tanh(x):
    a, b = np.float64(np.float32(np.sqrt(2 / np.pi))), np.float64(np.float32(0.044715))
    return x * special.expit(2 * a * (x + b * x**3))


def elu_above_its_limit(rate, size):
    """Of where(x > 0, x, size (e^(rate x) - 1)), plus `size`."""
    return lambda x: np.where(x > 0, x + size, size * np.exp(np.minimum(rate * x, 0)))


ALPHA, SCALE = 1.6732632423543772, 1.0507009873554805
TAILS = {  # of which the function is told apart: f, in float64 less its limit, the limit
    "gelu": (functools.partial(jax.nn.gelu, approximate=False), lambda x: x * special.ndtr(x), 0),
    "gelu by tanh": (jax.nn.gelu, gelu_by_tanh, 0),
    "log-sigmoid": (
        lambda x: jax.nn.log_sigmoid(-x),
        lambda x: -np.logaddexp(x, 0),
        0,
    ),
    "elu": (jax.nn.elu, elu_above_its_limit(1, 1), -1),
    "selu": (
        jax.nn.selu,
        lambda x: SCALE * elu_above_its_limit(1, ALPHA)(x),
        -SCALE * ALPHA,
    ),
    "celu": (
        functools.partial(jax.nn.celu, alpha=0.5),
        elu_above_its_limit(2, 0.5),
        -0.5,
    ),
    "twice tanh, and 3": (
        lambda x: 2 * jnp.tanh(x - 1) + 3,
        lambda x: 4 * special.expit(2 * x - 2),
        1,
    ),
}
MEANS = np.array([-12.0, -9.0, -7.4, -6.0, -5.0, -3.0, -4.0, -16.0, -0.74, 1.5])
STDS = np.array([0.35, 0.45, 0.435, 0.03, 0.25, 0.06, 2.5, 4.0, 0.02, 0.3])


def integrals(f, mean, std):
    """E f, Var f and their derivatives by the mean, by panels cut at 0 where f may be bent."""
    edges = np.broadcast_to(np.linspace(-20, 20, 161), (len(mean), 161))
    edges = np.sort(np.concatenate([edges, np.clip(-mean / std, -20, 20)[:, None]], 1), 1)
    x, w = np.polynomial.legendre.leggauss(16)
    half = np.diff(edges)[..., None] / 2
    t = (edges[:, :-1, None] + half * (1 + x)).reshape(len(mean), -1)
    mass = (half * w).reshape(t.shape) * np.exp(-t * t / 2) / np.sqrt(2 * np.pi)
    y, at = f(mean[:, None] + std[:, None] * t), f(mean)[:, None]
    first = (mass * (y - at)).sum(1)
    square = np.square(y - at - first[:, None])
    slopes = ((mass * z * t).sum(1) / std for z in (y - at, square))
    return at[:, 0] + first, (mass * square).sum(1), *slopes


@pytest.mark.parametrize("name", TAILS)
def test_tails_have_their_digits(name):
    f, rest, limit = TAILS[name]
    mean, var = single(MEANS), single(STDS**2)
    std = np.sqrt(var.astype(float))

    @jax.jit
    def moments_and_slopes(mean, var):
        def both(mean):
            out = sn.propagate(f)(sn.Gaussian(mean, var))
            return out.mean, out.var

        return jax.jvp(both, (mean,), (jnp.ones_like(mean),))

    (first, spread), (by_mean, spread_by_mean) = moments_and_slopes(mean, var)
    truth, truth_spread, slope, spread_slope = integrals(rest, mean.astype(float), std)
    normal = truth_spread > 1e-32
    np.testing.assert_allclose(first, truth + limit, rtol=2e-5, atol=1e-37)
    np.testing.assert_allclose(spread[normal], truth_spread[normal], rtol=3e-5)
    scale = np.hypot(truth, np.sqrt(truth_spread))
    if limit == 0:
        assert np.max(abs(by_mean - slope)[normal] / (abs(slope) + scale / std)[normal]) < 1e-4
    size = (abs(spread_slope) + truth_spread / std)[normal]
    assert np.max(abs(spread_by_mean - spread_slope)[normal] / size) < 1e-3


def test_one_more_than_tanh_has_its_digits():
    mean, var = single([-20.0, -14.0, -9.0]), single([4.0, 0.5, 0.01])
    got = sn.propagate(lambda x: x * (1 + jnp.tanh(x)))(sn.Gaussian(mean, var))
    truth = integrals(lambda x: 2 * x * special.expit(2 * x), mean.astype(float), np.sqrt(var))
    np.testing.assert_allclose(got.mean, truth[0], rtol=1e-5)
    np.testing.assert_allclose(got.var, truth[1], rtol=2e-5)
