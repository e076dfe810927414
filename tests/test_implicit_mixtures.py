"""How draws of a mixture move, in its weights too, against quadrature."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from _truth import truth

import stochastic_net as sn

pytestmark = pytest.mark.law

# Mixtures: weights, and components of which each is a row of parameters.
GAUSSIANS = [
    ([0.0, 0.0], [-1.0, 1.5], [1.0, 0.5]),
    ([0.3, -0.5, 0.1], [-2.0, 0.5, 3.0], [0.5, 1.0, 2.0]),
    ([4.0, -4.0, 0.0], [0.0, 0.0, 1.0], [0.01, 9.0, 1.0]),
]
GAMMAS = [
    ([0.0, 0.0], [0.5, 3.0], [1.0, 2.0]),
    ([0.3, -0.5, 0.1], [0.7, 4.0, 30.0], [0.5, 1.0, 10.0]),
    ([2.0, -2.0, 0.0], [1.0, 1.0, 2.0], [1.0, 0.1, 5.0]),
]


def _mixture_truth(logits, laws, z, moves):
    """-dF / p by the weights, and w_k p_k / p times each component's own derivatives."""
    weights = scipy.special.softmax(logits)
    cdf, tail, density = (
        np.stack([getattr(law, f)(z) for law in laws]) for f in ("cdf", "sf", "pdf")
    )
    below, above, total = (weights @ x for x in (cdf, tail, density))
    change = np.where(below < 0.5, cdf - below, above - tail)  # the one that does not cancel
    by_logits = -weights[:, None] * change / total
    share = weights[:, None] * density / total
    return by_logits, *(share * move for move in moves)


def _gaussian_mixture(logits, mean, var):
    def expected(z):
        laws = [scipy.stats.norm(m, math.sqrt(v)) for m, v in zip(mean, var, strict=True)]
        by_var = np.stack([(z - m) / (2 * v) for m, v in zip(mean, var, strict=True)])
        return _mixture_truth(logits, laws, z, (np.ones_like(by_var), by_var))

    return expected


def _gamma_mixture(logits, shape, rate):
    def expected(z):
        laws = [scipy.stats.gamma(a, scale=1 / r) for a, r in zip(shape, rate, strict=True)]
        by_shape = np.stack(
            [z * truth.log_gamma_slope(a, np.log(r * z)) for a, r in zip(shape, rate, strict=True)]
        )
        return _mixture_truth(logits, laws, z, (by_shape, np.stack([-z / r for r in rate])))

    return expected


@functools.cache
def _mixture_gradients(family):
    """500 draws, and how each moves with its own copy of the parameters."""
    components = {"gaussian": sn.Gaussian, "gamma": sn.distributions.Gamma}[family]

    def draw(logits, *params):
        return sn.distributions.Mixture(logits, components(*params)).sample(jax.random.key(13))

    @jax.jit
    def gradients(*params):
        z, pull = jax.vjp(draw, *(jnp.broadcast_to(p, (500, p.size)) for p in params))
        return z, pull(jnp.ones_like(z))

    return gradients


@pytest.mark.parametrize("setting", range(3))
@pytest.mark.parametrize("family", ["gaussian", "gamma"])
def test_the_derivative_of_a_mixture_is_exact(family, setting, dtype):
    """At 500 draws, in the weights and in the components' parameters."""
    make, rows = {
        "gaussian": (_gaussian_mixture, GAUSSIANS),
        "gamma": (_gamma_mixture, GAMMAS),
    }[family]
    params = [np.float32(row).astype(float) for row in rows[setting]]
    expected = make(*params)

    z, gradients = _mixture_gradients(family)(*(jnp.asarray(p, dtype) for p in params))
    for got, slopes in zip(gradients, expected(np.asarray(z, np.float64)), strict=True):
        # A weight's derivative passes through 0: errors are relative to what is typical there.
        typical = np.median(np.abs(slopes), axis=1, keepdims=True)
        away = np.abs(np.asarray(got, np.float64).T - slopes)
        error = away / np.maximum(np.abs(slopes), typical)
        assert error.max() <= (1e-5 if dtype == "float32" else 1e-9)
        near_0 = away / np.maximum(np.abs(slopes), 1e-2 * typical)
        assert near_0.max() <= (1e-3 if dtype == "float32" else 1e-9)
        assert np.quantile(near_0, 0.99) <= (1e-4 if dtype == "float32" else 1e-9)
