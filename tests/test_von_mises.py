"""The von Mises draw and its derivative, which come out of one pass, against float64 and scipy.

Of one key a float32 and a float64 draw are quantiles of the same 64 bits.
"""

import runpy
from pathlib import Path

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
import scipy.special

import stochastic_net as sn
from stochastic_net.random import _von_mises as law
from stochastic_net.random._bessel import dispersion, scaled_i0
from stochastic_net.random._circle import sin_half
from stochastic_net.random._von_mises_start import start

# How draws move, by quadrature in float64.
slope_of = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "_truth.py"))[
    "von_mises_slope"
]
KAPPAS = np.float32([0, 1e-3, 0.3, 0.72, 0.74, 1, 2, 5, 13, 20, 40, 1e3, 1e6])


def _draws(dtype, n=20_000):
    kappa = jnp.asarray(np.repeat(KAPPAS, n), dtype)
    draw = lambda kappa: sn.random.von_mises(jax.random.key(3), kappa)  # noqa: E731
    return jax.jvp(jax.jit(draw), (kappa,), (jnp.ones_like(kappa),))


def _scale(z, kappa):
    """On which the density falls by a factor."""
    return 1 / (kappa * np.abs(np.sin(z)) + np.sqrt(kappa * np.abs(np.cos(z))) + 1 / np.pi)


def test_float32_draws_are_the_float64_ones_rounded():
    with jax.enable_x64(True):
        exact, exact_slope = (np.asarray(x) for x in _draws("float64"))
    z, slope = (np.asarray(x, np.float64) for x in _draws("float32"))
    kappa = np.repeat(KAPPAS, len(z) // len(KAPPAS)).astype(float)
    assert (np.abs(z - exact) <= 1e-5 * _scale(exact, kappa)).all()
    largest = np.abs(exact_slope).reshape(len(KAPPAS), -1).max(1).repeat(len(z) // len(KAPPAS))
    error = np.abs(slope - exact_slope) / np.maximum(np.abs(exact_slope), 1e-2 * largest)
    assert error.max() <= 2e-5
    assert np.quantile(error, 0.99) <= 5e-6


def test_the_derivative_of_a_draw_is_that_of_the_law():
    with jax.enable_x64(True):
        z, slope = (np.asarray(x) for x in _draws("float64", n=40))
    kappa = np.repeat(KAPPAS, 40).astype(float)
    expected = np.array([slope_of(k, x) for k, x in zip(kappa, z, strict=True)])
    np.testing.assert_allclose(slope, expected, rtol=1e-9, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("kappa", KAPPAS)
def test_the_start_is_near_the_quantile(kappa):
    tail = np.concatenate([np.geomspace(1e-15, 0.5, 200), 1 - np.geomspace(1e-12, 0.5, 200)])
    with jax.enable_x64(True):
        beyond, concentration = jnp.asarray(tail), jnp.full(tail.shape, float(kappa))
        exact = np.asarray(law.quantile(beyond, 1 - beyond, concentration)[0])
    b, k = jnp.asarray(tail, jnp.float32), jnp.full(tail.shape, kappa)
    near, _ = start(b, jnp.asarray(1 - tail, jnp.float32), k, np.float32(np.pi) * scaled_i0(k))
    assert (np.abs(near - exact) <= 0.27 * _scale(exact, float(kappa))).all()


@pytest.mark.parametrize("kappa", [0.3, 0.8, 1.206, 1.7125, 4.6, 13.2, 18.7, 300.0])
def test_in_float64_it_is_the_quantile_to_the_last_digits(kappa):
    """Also where the start is worst, a fifth of the scale off."""

    def mass(low, high):
        panels = mp.linspace(low, high, 5)
        return mp.quad(lambda t: mp.exp(kappa * (mp.cos(t) - 1)), panels)

    tail = np.array([1e-18, 1e-15, 1e-9, 1e-4, 0.1, 0.16, 0.30981, 0.33495, 0.9])
    with jax.enable_x64(True):
        z, _ = law.quantile(*map(jnp.asarray, (tail, 1 - tail, np.full(tail.shape, kappa))))
    with mp.workdps(30):
        end = mp.pi if kappa < 50 else 12 / mp.sqrt(kappa)
        norm = mass(0, end)
        for beyond, angle in zip(tail, z.tolist(), strict=True):
            density = mp.exp(kappa * (mp.cos(angle) - 1))
            off = (mass(angle, end) - mp.mpf(beyond) * norm) / density
            assert abs(off) <= 1e-14 * angle, beyond


def test_second_derivatives_are_those_along_the_path():
    with jax.enable_x64(True):
        kappa, h = jnp.array([0.3, 2.0, 15.0]), 1e-4
        draw = jax.jit(lambda k: sn.random.von_mises(jax.random.key(1), k))
        slope = lambda k: jax.jvp(draw, (k,), (jnp.ones_like(k),))[1]  # noqa: E731
        second = jax.jvp(slope, (kappa,), (jnp.ones_like(kappa),))[1]
        difference = (slope(kappa * (1 + h)) - slope(kappa * (1 - h))) / (2 * h * kappa)
        np.testing.assert_allclose(second, difference, rtol=1e-6)


def test_bessel_functions_and_half_angles():
    kappa = np.concatenate([[0], np.geomspace(1e-6, 1e15, 4000)]).astype(np.float32)
    expected = scipy.special.i0e(kappa.astype(float))
    np.testing.assert_allclose(scaled_i0(jnp.asarray(kappa)), expected, rtol=4e-7)
    moderate = kappa < 1e4  # beyond, 1 - I_1 / I_0 cancels in scipy's
    wide = kappa[moderate].astype(float)
    expected = 1 - scipy.special.i1e(wide) / scipy.special.i0e(wide)
    np.testing.assert_allclose(dispersion(jnp.asarray(kappa[moderate])), expected, rtol=1e-6)
    far = jnp.asarray(kappa[~moderate])
    np.testing.assert_allclose(dispersion(far) * far, 0.5 + 1 / (8 * far), rtol=1e-6)
    t = np.linspace(0, np.pi, 5001).astype(np.float32)
    wide = t.astype(float)
    np.testing.assert_allclose(sin_half(jnp.asarray(t)), np.sin(wide / 2), rtol=2e-7)
