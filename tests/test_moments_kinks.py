"""Kinks of a Gaussian, relu, abs and the larger of two, against mpmath at 60 digits."""

import itertools

import chex
import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
import scipy.stats
from _dice import RNG, single, the_same_numbers  # noqa: F401

import stochastic_net as sn
from stochastic_net.moments._integrals import kink
from stochastic_net.moments._integrals.clip import clip
from stochastic_net.moments._rules.larger import larger

pytestmark = pytest.mark.law


def standardized_cases():
    """mean / std in -13..40 (beyond -13 the truth is no normal float32), std in 1e-6..1e3."""
    ratio = np.concatenate([np.linspace(-13, 40, 60), RNG.normal(size=40) * 2, [1e5]])
    std = np.append(10 ** RNG.uniform(-6, 3, 100), 1e-2)
    return single(ratio * std), single(std**2)


def exact_relu(mean, var):
    """E, Var and their derivatives by mean and variance, at 60 digits."""
    with mp.workdps(60):
        m, v = mp.mpf(float(mean)), mp.mpf(float(var))
        s = mp.sqrt(v)
        above, density = mp.ncdf(m / s), mp.npdf(m / s)
        first = m * above + s * density
        second = (m * m + v) * above + m * s * density
        values = (first, second - first**2, above, density / (2 * s))
        return (*values, 2 * first * (1 - above), above - first / s * density)


def relative(got, truth):
    """The largest relative error where the truth is a normal float32."""
    got, truth = np.asarray(got, np.float64), np.asarray(truth, np.float64)
    normal = abs(truth) > 1e-36
    return np.max(abs(got[normal] / truth[normal] - 1))


def test_relu_is_exact_in_float32_and_so_are_its_derivatives():
    mean, var = standardized_cases()
    truth = np.array([[float(x) for x in exact_relu(m, v)] for m, v in zip(mean, var, strict=True)])
    got = jax.jit(kink.relu)(mean, var)
    assert relative(got[0], truth[:, 0]) < 2e-6
    assert relative(got[1], truth[:, 1]) < 2e-6
    slopes = jax.jit(jax.vmap(jax.jacfwd(kink.relu, (0, 1))))(mean, var)
    wide = abs(truth[:, 3]) * np.sqrt(var) > 1e-36  # phi itself is a normal float32
    for index, slope in enumerate(itertools.chain(*slopes)):
        assert relative(slope[wide], truth[wide, 2 + index]) < 1e-5


def test_abs_is_exact_in_float32():
    mean, var = standardized_cases()
    truth = []
    for m, v in zip(mean, var, strict=True):
        up, up_var, *_ = exact_relu(m, v)
        down, down_var, *_ = exact_relu(-m, v)
        with mp.workdps(60):
            truth.append((float(up + down), float(up_var + down_var - 2 * up * down)))
    got = jax.jit(kink.absolute)(mean, var)
    assert relative(got[0], [x[0] for x in truth]) < 2e-6
    assert relative(got[1], [x[1] for x in truth]) < 2e-6


def exact_clip(mean, var, low, high):
    """E, Var and their derivatives by mean, variance and both ends, at 60 digits."""
    with mp.workdps(60):
        m, v, a, b = (mp.mpf(float(x)) for x in (mean, var, low, high))
        s = mp.sqrt(v)
        below, above = mp.ncdf((a - m) / s), mp.ncdf((m - b) / s)
        at_a, at_b = mp.npdf((a - m) / s), mp.npdf((m - b) / s)
        inside, flux = 1 - below - above, s * (at_a - at_b)
        first = a * below + b * above + m * inside + flux
        square = a * a * below + b * b * above + (m * m + v) * inside
        square += s * ((m + a) * at_a - (m + b) * at_b)
        slope = 2 * (below * (first - a) - above * (b - first))
        bend = inside - ((b - first) * at_b + (first - a) * at_a) / s
        by_ends = [(below, 2 * below * (a - first)), (above, 2 * above * (b - first))]
        rows = [(first, square - first**2), (inside, slope), (flux / (2 * v), bend), *by_ends]
        return [[float(x) for x in row] for row in rows]


def test_clipping_is_exact_in_float32_and_so_are_its_derivatives():
    """Bounds from 1e-3 to 1e4 deviations apart, means to 10 of them outside and in the middle."""
    width, std = 10 ** RNG.uniform(-3, 4, 120), 10 ** RNG.uniform(-3, 3, 120)
    away = RNG.uniform(0, 10, 40)  # of the mean, in deviations from the lower bound
    middle = width[80:] * (0.5 + np.append(RNG.uniform(-0.5, 0.5, 30), RNG.normal(size=10) * 1e-4))
    away = np.concatenate([-away, width[40:80] + away, middle])
    side = RNG.choice([-0.5, 0.0, -1.0], 120)
    low, high = single(side * width * std), single((side + 1) * width * std)
    args = (single(low + away * std), single(std**2), low, high)
    truth = np.array([exact_clip(*row) for row in zip(*args, strict=True)]).transpose(1, 2, 0)
    of_clip = lambda *args: clip(*args)[:2]  # noqa: E731
    got = np.array(jax.jit(of_clip)(*args), float)
    slopes = jax.jit(jax.vmap(jax.jacfwd(of_clip, (0, 1, 2, 3))))(*args)
    assert relative(got[1], truth[0, 1]) < 1e-5  # with the rounding of mean - bound, 100 times
    scale = np.hypot(truth[0, 0], np.sqrt(truth[0, 1]))
    assert np.max(abs(got[0] - truth[0, 0]) / scale) < 1e-6
    slopes = np.swapaxes(np.array(slopes, float), 0, 1)
    for found, exact, unit in zip(slopes, truth[1:], (std, std**2, std, std), strict=True):
        units = np.stack([scale / unit, scale**2 / unit])
        assert np.max(abs(found - exact) / (abs(exact) + units)) < 1e-5


def test_a_point_between_the_bounds_passes_its_variance_on():
    """And beyond them it does not; the derivative is that for v -> 0."""
    by_hand = lambda x: jnp.where(x > 3, 3.0, jnp.where(x < -1, -1.0, x))  # noqa: E731
    for f in (jax.nn.hard_tanh, jax.nn.relu6, by_hand):
        total = lambda x, f=f: sn.propagate(f)(x).var.sum()  # noqa: E731
        x = sn.Gaussian(jnp.array([0.5, -5.0, 7.0]), jnp.zeros(3))
        chex.assert_trees_all_equal(jax.jit(jax.grad(total))(x).var, jnp.array([1.0, 0.0, 0.0]))


def test_the_larger_of_two():
    def exact(m1, v1, m2, v2):  # Clark (1961)
        with mp.workdps(60):
            m1, v1, m2, v2 = (mp.mpf(float(x)) for x in (m1, v1, m2, v2))
            theta = mp.sqrt(v1 + v2)
            a = (m1 - m2) / theta
            p, q, density = mp.ncdf(a), mp.ncdf(-a), mp.npdf(a)
            first = m1 * p + m2 * q + theta * density
            second = (m1**2 + v1) * p + (m2**2 + v2) * q + (m1 + m2) * theta * density
            return float(first), float(second - first**2)

    near = single(RNG.normal(size=40) * 100)
    cases = [near, RNG.uniform(0.01, 4, 40), near + RNG.normal(size=40), RNG.uniform(0.01, 4, 40)]
    cases = [single(x) for x in cases]
    cases = [
        np.append(x, y) for x, y in zip(cases, single([100, 1e-4, 100.001, 1e-4]), strict=True)
    ]
    truth = np.array([exact(*row) for row in zip(*cases, strict=True)])
    got = larger((cases[0], cases[1]), (cases[2], cases[3]))
    assert np.max(abs(np.asarray(got[0]) - truth[:, 0]) / (1 + abs(truth[:, 0]))) < 1e-6
    assert relative(got[1], truth[:, 1]) < 2e-5


def test_no_variance_is_negative_and_no_derivative_infinite():
    keys = jax.random.split(jax.random.key(0), 3)
    n = 100_000
    size = 10 ** jax.random.uniform(keys[1], (n,), minval=-20, maxval=10)
    mean = jax.random.normal(keys[0], (n,)) * size
    var = 10 ** jax.random.uniform(keys[2], (n,), minval=-45, maxval=15)
    for form in (kink.relu, kink.absolute):
        assert (form(mean, var)[1] >= 0).all()
        slopes = jax.vmap(jax.jacrev(form, (0, 1)))(mean, var)
        chex.assert_tree_all_finite(slopes)


def test_float64():
    with jax.enable_x64(True):
        x = sn.Gaussian(jnp.array([0.3, -4.0]), jnp.array([0.5, 2.0]))
        got = sn.propagate(jax.nn.relu)(x)
        assert got.mean.dtype == jnp.float64
        truth = [float(exact_relu(m, v)[0]) for m, v in ((0.3, 0.5), (-4.0, 2.0))]
        chex.assert_trees_all_close(got.mean, np.array(truth), rtol=1e-13)


def test_a_kink_is_seen_by_the_narrowest_gaussian():
    """Where selu is two lines."""
    mean, std = np.array([-2.6e-6, -1.2e-5, 1e-7, -3e-9]), np.array([2.4e-6, 6.5e-6, 3e-8, 1e-9])
    scale, alpha = 1.0507009873554805, 1.6732632423543772
    above, density = scipy.stats.norm.cdf(mean / std), std * scipy.stats.norm.pdf(mean / std)
    first, square = mean * above + density, (mean**2 + std**2) * above + mean * density
    truth = scale * (first + alpha * (mean - first))
    second = scale**2 * (square + alpha**2 * (mean**2 + std**2 - square))
    got = sn.propagate(jax.nn.selu)(sn.Gaussian.from_std(*map(jnp.float32, (mean, std))))
    np.testing.assert_allclose(got.mean, truth, rtol=3e-5)
    np.testing.assert_allclose(got.var, second - truth**2, rtol=6e-5)
