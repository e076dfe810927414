"""`reparameterize` makes any sampler with a cdf differentiable, or says why not."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import betainc, gammainc, ndtr

import stochastic_net as sn


def _normal(key, loc, scale, shape=()):
    """A normal number."""
    return loc + scale * jax.random.normal(key, shape)


normal = sn.random.reparameterize(_normal, lambda z, loc, scale: ndtr((z - loc) / scale))


@pytest.mark.law
def test_reparameterize_gives_the_pathwise_derivative_to_second_order():
    def draw(sampler):
        return lambda *p: sampler(jax.random.key(61), *p, shape=(5,)) ** 2

    ours, theirs = draw(normal), draw(_normal)
    for transform in (
        jax.jacfwd,
        jax.jacrev,
        jax.hessian,
        lambda f, n: jax.jacrev(jax.jacrev(jax.jit(f), n), n),
    ):
        for i in (0, 1):
            np.testing.assert_allclose(
                transform(ours, i)(0.3, 2.0), transform(theirs, i)(0.3, 2.0), rtol=2e-4, atol=2e-4
            )
    assert normal.__doc__ == "A normal number."


def test_reparameterized_gamma_moves_as_implicit_differentiation_says():
    gamma = sn.random.reparameterize(jax.random.gamma, lambda z, a: gammainc(a, z))
    a = jnp.array([0.5, 2.0, 30.0])
    ours, theirs = (
        jax.jvp(lambda a, s=s: s(jax.random.key(62), a), (a,), (jnp.ones(3),))
        for s in (gamma, jax.random.gamma)
    )
    np.testing.assert_array_equal(ours[0], theirs[0])
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-4)


def _mixture(key, weight, means, shape=()):
    pick, noise = jax.random.split(key)
    first = jax.random.uniform(pick, shape) < weight
    return jnp.where(first, means[0], means[1]) + jax.random.normal(noise, shape)


def _mixture_cdf(z, weight, means):
    return weight * ndtr(z - means[0]) + (1 - weight) * ndtr(z - means[1])


def test_the_gradient_in_a_mixtures_weight_is_right():
    # NumPyro, distrax and TFP return 0 here. Two weights and means at 5 standard errors.
    mixture = sn.random.reparameterize(_mixture, _mixture_cdf)
    weight, means = 0.3, jnp.array([-1.0, 1.5])

    def one(key):
        return jax.grad(lambda w, m: jnp.sin(mixture(key, w, m)), (0, 1))(weight, means)

    d_weight, d_means = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(63), 20_000))
    sine, cosine = np.sin(means) * math.exp(-0.5), np.cos(means) * math.exp(-0.5)  # E sin, E cos
    truth = [sine[0] - sine[1], weight * cosine[0], (1 - weight) * cosine[1]]
    for slopes, expected in zip((d_weight, *d_means.T), truth, strict=True):
        slopes = np.asarray(slopes, np.float64)
        assert abs(slopes.mean() - expected) < 5 * slopes.std() / math.sqrt(slopes.size)


def _pair(key, rho, n):
    x, y = jax.random.normal(key, (2, n))
    return jnp.stack([x, rho * x + jnp.sqrt(1 - rho**2) * y], -1)


def _pair_transform(z, rho):
    x, y = z[..., 0], z[..., 1]
    return jnp.stack([ndtr(x), ndtr((y - rho * x) / jnp.sqrt(1 - rho**2))], -1)


@pytest.mark.law
def test_a_correlated_pair_moves_by_the_distributional_transform():
    pair = sn.random.reparameterize(_pair, _pair_transform, event_ndim=1)
    for transform in (jax.jacfwd, jax.jacrev, jax.hessian):
        ours, theirs = (
            transform(lambda r, s=s: s(jax.random.key(64), r, n=7))(0.6) for s in (pair, _pair)
        )
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-4)
    keys = jax.random.split(jax.random.key(65), 3)
    slopes = jax.jit(jax.vmap(jax.grad(lambda r, k: pair(k, r, n=2).sum()), (None, 0)))(0.6, keys)
    assert slopes.shape == (3,)


def test_integer_parameters_pass_untouched():
    def sampler(key, rate, n):
        assert type(n) is int
        return jax.random.exponential(key, (n,)) / rate

    exponential = sn.random.reparameterize(sampler, lambda z, rate, n: -jnp.expm1(-rate * z))
    z, slope = jax.jvp(lambda r: exponential(jax.random.key(66), r, 4), (2.0,), (1.0,))
    np.testing.assert_allclose(slope, -z / 2, rtol=1e-6)


REFUSED = [
    (lambda z, a: betainc(a, 2.0, z), TypeError, "cdf has no derivative in its parameter 0"),
    (lambda z, a: ndtr(z), TypeError, "cdf has no derivative in its parameter 0"),
    (lambda z, a: jnp.floor(a) * z, TypeError, "cdf has no derivative in its parameter 0"),
    (lambda z, a: a * 0.5, ValueError, "cdf has no derivative in the draw"),
    (
        lambda z, a: ndtr(z - jnp.full(3, a)),
        ValueError,
        r"must have the shape of the draw, \(\), got \(3,\)",
    ),
]


@pytest.mark.parametrize(("cdf", "error", "message"), REFUSED)
def test_a_cdf_that_will_not_do_is_refused(cdf, error, message, key):
    sampler = sn.random.reparameterize(lambda key, a: jax.random.uniform(key) * a, cdf)
    with pytest.raises(error, match=message):
        jax.grad(lambda a: sampler(key, a))(0.5)


def test_a_draw_that_is_no_float_is_refused(key):
    with pytest.raises(TypeError, match="the sampler must return one array of floats"):
        sn.random.reparameterize(lambda key, p: jax.random.bernoulli(key, p), lambda z, p: p)(
            key, 0.5
        )
    with pytest.raises(ValueError, match="event_ndim must be 0 or 1, got 2"):
        sn.random.reparameterize(_normal, ndtr, event_ndim=2)
