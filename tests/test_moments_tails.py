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


def hill(x):
    return np.log1p(np.exp(-2 * np.square(1.5 - 1.9 * x)))


# Nearly all of the Gaussian sees a 0: f, in float64, its kink, mean and deviation. A kink up to ten
# deviations away, looked for; two lines that cancel but for a tail; lines that meet away from 0.
BEYOND = {
    "a kink that is looked for": (
        lambda x: jax.nn.relu(jax.nn.silu(jnp.arctan(x - 1.0))),
        lambda x: np.maximum(np.arctan(x - 1) * special.expit(np.arctan(x - 1)), 0),
        *(1.0, [-1.0, -2.5, -0.6], [0.25, 0.35, 0.16]),
    ),
    "a line less a clipped one": (
        lambda x: jax.nn.relu(jax.nn.hard_tanh(1.6 * x + 0.5) - 0.8 * x - 0.9),
        lambda x: np.maximum(np.clip(1.6 * x + 0.5, -1, 1) - 0.8 * x - 0.9, 0),
        *(-2.375, [4.0, 3.5, 3.0, 6.0], [1.1, 1.25, 1.2, 3.5]),
    ),
    "softly, away from 0": (
        lambda x: jax.nn.softplus(-2.0 * x - 9.0),
        lambda x: np.logaddexp(-2 * x - 9, 0),
        *(None, [4.0, 3.5, 6.0], [1.1, 1.25, 3.5]),
    ),
}


@pytest.mark.parametrize("name", BEYOND)
def test_what_only_the_tail_of_a_gaussian_sees_has_its_digits(name):
    f, truth, kink, mean, std = BEYOND[name]
    mean, std = single(mean), single(std)

    @jax.jit
    def moments(mean):
        out = sn.propagate(f)(sn.Gaussian.from_std(mean, std))
        return out.mean, out.var

    (first, spread), (slope, _) = jax.jvp(moments, (mean,), (jnp.ones_like(mean),))
    shift = kink or 0.0  # the panels of `integrals` meet at 0
    expected = integrals(lambda x: truth(x + shift), mean.astype(float) - shift, std.astype(float))
    np.testing.assert_allclose(first, expected[0], rtol=5e-5)
    np.testing.assert_allclose(spread, expected[1], rtol=3e-5)
    np.testing.assert_allclose(slope, expected[2], rtol=1e-3)


def test_what_is_narrow_is_seen_by_wide_gaussians():
    mean, std = single([-3.0, 1.0, 4.5]), single([4.2, 6.0, 2.6])
    cases = {
        "a hill": (lambda x: jnp.log1p(jnp.exp(-2 * jnp.square(1.5 - 1.9 * x))), hill),
        "a gelu of a product": (
            lambda x: jax.nn.gelu((0.8 - 2.3 * x) * jax.nn.gelu(x, approximate=False), False),
            lambda x: (lambda y: y * special.ndtr(y))((0.8 - 2.3 * x) * x * special.ndtr(x)),
        ),
    }
    for f, truth in cases.values():
        got = sn.propagate(f)(sn.Gaussian.from_std(mean, std))
        expected = integrals(truth, mean.astype(float), std.astype(float))
        scale = np.hypot(expected[0], np.sqrt(expected[1]))
        assert np.max(abs(got.mean - expected[0]) / scale) < 1e-5
        assert np.max(abs(np.sqrt(got.var) - np.sqrt(expected[1])) / scale) < 1e-5
