"""Gradients of expectations through the samplers whose derivative is implicit: unbiased."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from _implicit import PI, SAMPLERS

import stochastic_net as sn

FUNCTIONS = [jnp.sin, jnp.cos, lambda z: jnp.sin(2 * z) * jnp.exp(jnp.sin(z))]
REFERENCES = [np.sin, np.cos, lambda z: np.sin(2 * z) * np.exp(np.sin(z))]


def _density(name, z, *params):
    if name == "truncated_normal":
        return scipy.stats.truncnorm(*params).pdf(z)
    return (scipy.stats.vonmises if name == "von_mises" else scipy.stats.invgauss)(*params).pdf(z)


UNBIASED = [
    ("truncated_normal", (-0.7, 1.3)),
    ("truncated_normal", (5.5, 20.0)),
    ("von_mises", (0.5,)),
    ("von_mises", (4.0,)),
    ("wald", (1.0,)),
    ("wald", (3.0,)),
    ("wald smooth", (1.0,)),
]


def _expectation(name, f, params):
    """E f by Gauss-Legendre nodes over the support, in log x for the Wald law."""
    x, w = np.polynomial.legendre.leggauss(600)
    if name == "truncated_normal":
        low, high = max(params[0], -12), min(params[1], max(params[0], -12) + 12)
    else:
        low, high = (-PI, PI) if name == "von_mises" else (-6, 6)
    t = low + (high - low) * (x + 1) / 2
    z, jacobian = (np.exp(t), np.exp(t)) if name.startswith("wald") else (t, 1.0)
    return (w * (high - low) / 2) @ (f(z) * _density(name, z, *params) * jacobian)


@functools.cache
def _gradients_over(name):
    """Of the three functions by each parameter, one draw a key; compiled once a sampler."""

    def one(key, params):
        return jnp.stack(jax.jacfwd(lambda p: jnp.stack(_values(name, key, p)))(params), -1)

    return jax.jit(jax.vmap(one, (0, None)))


def _values(name, key, params):
    z = SAMPLERS[name](key, *params)
    return [f(z) for f in FUNCTIONS]


@pytest.mark.parametrize(("name", "params"), UNBIASED, ids=str)
def test_the_gradient_is_unbiased(name, params):
    # 3 functions x 9 parameters at 5 standard errors: a false alarm in 60,000 runs.
    keys = jax.random.split(jax.random.key(21), 20_000)
    sample = np.asarray(_gradients_over(name)(keys, params), np.float64)
    for index in range(len(params)):
        h = 1e-4 * abs(params[index])
        ends = [[p + s * h if j == index else p for j, p in enumerate(params)] for s in (1, -1)]
        for slope, f in zip(sample[..., index].T, REFERENCES, strict=True):
            up, down = (_expectation(name, f, p) for p in ends)
            expected = (up - down) / (2 * h)
            error = slope.std() / math.sqrt(slope.size)
            assert abs(slope.mean() - expected) <= 5 * error + 1e-5 * abs(expected)


def test_the_gradient_of_jaxs_own_wald_would_fail_that_test():
    slopes = {}

    def f(x, module=np):
        return module.sin(x) + 0.3 * x + 0.3 * module.cos(1.3 * x)

    for name, wald in (("jax", jax.random.wald), ("ours", sn.random.wald)):
        slope = jax.grad(lambda mean, key, wald=wald: f(wald(key, mean), jnp))
        keys = jax.random.split(jax.random.key(22), 200_000)
        slopes[name] = np.asarray(jax.jit(jax.vmap(slope, (None, 0)))(1.0, keys), np.float64)
    h = 1e-4
    truth = (_expectation("wald", f, (1 + h,)) - _expectation("wald", f, (1 - h,))) / (2 * h)
    z = {k: abs(v.mean() - truth) / (v.std() / math.sqrt(v.size)) for k, v in slopes.items()}
    assert z["ours"] < 5
    assert z["jax"] > 5
