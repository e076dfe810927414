"""Functions of one Gaussian through `propagate`, against dense Gauss-Legendre panels in float64."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _dice import RNG, single, the_same_numbers  # noqa: F401
from _panels import dense
from scipy import special

import stochastic_net as sn
from stochastic_net.moments._integrals.few_nodes import rule_for


def relative(got, truth):
    """The largest relative error."""
    return np.max(abs(np.asarray(got, np.float64) / truth - 1))


FUNCTIONS = {  # name: function, tolerance of mean and std in units of 1 + |mean| + std
    "relu": (jax.nn.relu, 1e-6),
    "leaky relu": (jax.nn.leaky_relu, 1e-6),
    "leaky relu of a line": (lambda x: jax.nn.leaky_relu(1 - 2 * x, 0.2), 1e-6),
    "relu6": (jax.nn.relu6, 1e-6),
    "hard tanh": (jax.nn.hard_tanh, 1e-6),
    "clip the other way round": (lambda x: jnp.maximum(-1.0, jnp.minimum(x, 6.0)), 1e-6),
    "clip twice": (lambda x: jnp.clip(jax.nn.relu6(1 - x), 1.0, 10.0), 2e-6),
    "clamp": (lambda x: jax.lax.clamp(-3.0, x, 0.0), 1e-6),
    "clip to nothing": (lambda x: jnp.clip(x, 3.0, 1.0), 1e-6),
    "jumps at both ends": (
        lambda x: jnp.where(x > 3, -1.0, jnp.where(x > -1, x, 2.0)),
        1e-6,
    ),
    "relu by hand": (lambda x: jnp.where(x > 0, x, 0.0), 1e-6),
    "hard swish": (jax.nn.hard_swish, 2e-5),
    "clip far away": (lambda x: jnp.clip(x, -100.0, 70.0), 1e-6),
    "hard threshold": (lambda x: jnp.where(x > 3, x, 0.0), 1e-6),
    "where not": (lambda x: jnp.where(x < 1, 2.0, x), 1e-6),
    "larger of two lines": (lambda x: jnp.maximum(0.3 * x, 1 - x), 1e-5),
    "abs": (jnp.abs, 1e-6),
    "clip from below": (lambda x: jnp.maximum(2 * x + 1, 3.0), 1e-6),
    "clip from above": (lambda x: 1 - jnp.minimum(x, 0.5), 1e-6),
    "tanh": (jnp.tanh, 1e-5),
    "logistic": (jax.nn.sigmoid, 1e-5),
    "softplus": (jax.nn.softplus, 1e-5),
    "silu": (jax.nn.silu, 1e-5),
    "gelu": (jax.nn.gelu, 5e-5),
    "exact gelu": (functools.partial(jax.nn.gelu, approximate=False), 5e-5),
    "elu": (jax.nn.elu, 1e-5),
    "mish": (jax.nn.mish, 1e-5),
    "square less line": (lambda x: x * x - x, 1e-5),
    "x / (1 + e^-x)": (lambda x: x / (1 + jnp.exp(-x)), 1e-5),
    "of a line": (lambda x: jnp.tanh(3 * x - 2), 1e-5),
    "scaled": (lambda x: 5 * jax.nn.silu(x / 2) - 1, 5e-5),
    "sum of two": (lambda x: jnp.tanh(x) + x, 1e-5),
    "same twice": (lambda x: jax.nn.relu(x) - jax.nn.relu(-x) - x, 1e-5),
    "select": (lambda x: jnp.where(x > 0, x, jnp.expm1(x)), 1e-5),
    "square of exact gelu": (lambda x: jax.nn.gelu(x, approximate=False) ** 2 / (1 + x * x), 1e-4),
    "kinks of a parabola": (lambda x: jax.nn.relu(1 - x * x), 1e-4),
    "kinks of a bell": (lambda x: jnp.abs(jnp.exp(-x * x) - 0.5), 1e-4),
    "a curve above a line": (lambda x: jnp.maximum(jnp.tanh(x), x / 2), 1e-5),
    "jumps of a parabola": (lambda x: jnp.where(x * x > 1, jnp.tanh(x), 0.0), 1e-4),
    "a bound of a curve that crosses it": (
        lambda x: jax.nn.hard_tanh(jnp.maximum(x, jax.nn.sigmoid(x) - 1)),
        2e-5,
    ),
    "a bound of what is bent": (lambda x: jax.nn.hard_tanh(x - jnp.abs(x) / 2), 2e-5),
    "poles near the line": (lambda x: jnp.log1p(jnp.square(3 * jnp.tanh(x))), 2e-5),
    "logarithm of a square": (lambda x: jnp.log1p(x * x), 5e-4),
    "square": (jnp.square, 1e-6),
    "cube": (lambda x: x**3, 1e-6),
    "sign": (jnp.sign, 1e-5),
}


def one_gaussian():
    mean = np.concatenate([RNG.normal(size=15), RNG.normal(size=15) * 10, RNG.normal(size=15) * 40])
    return single(mean), single(10 ** RNG.uniform(-4, 2.5, 45))


KNOWN = single([-2.0, -0.1, 0.3, 5.0])  # means of no variance
HEAD, TAIL = slice(-len(KNOWN)), slice(-len(KNOWN), None)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_one_gaussian(name):
    """Mean and variance; without variance the function itself, and derivatives all the same."""
    f, tolerance = FUNCTIONS[name]
    mean, std = one_gaussian()
    var = std * std

    @jax.jit
    def run(x):
        total = lambda x: ((y := sn.propagate(f)(x)).mean.sum(), y)  # noqa: E731
        return jax.grad(total, has_aux=True)(x)

    slopes, got = run(sn.Gaussian(np.append(mean, KNOWN), np.append(var, 0 * KNOWN)))
    chex.assert_tree_all_finite(slopes)
    of_known, got = (jax.tree.map(lambda a, part=part: a[part], got) for part in (TAIL, HEAD))
    chex.assert_trees_all_close(of_known.mean, f(KNOWN), rtol=1e-6, atol=1e-6)
    chex.assert_trees_all_equal(of_known.var, 0 * KNOWN)
    truth, truth_var = dense(f, mean, np.sqrt(var.astype(float)))
    truth_std = np.sqrt(np.maximum(truth_var, 0))
    scale = 1 + abs(truth) + truth_std
    assert np.max(abs(got.mean - truth) / scale) < tolerance
    assert np.max(abs(np.sqrt(got.var) - truth_std) / scale) < 2 * tolerance


@pytest.mark.law
def test_tails_are_right_in_relative_terms():
    """Logistic, tanh and erf far below 1e-7 and as near to 1: what is left of it, in float64."""
    mean, std = np.array([21.0, 6.0, 200.0, 3.0]), np.array([2.5, 0.5, 22.0, 0.3])
    t, half = np.polynomial.legendre.leggauss(20)
    edges = np.linspace(-16, 16, 257)
    t = (0.5 * (edges[:-1] + edges[1:])[:, None] + (edges[1] - edges[0]) / 2 * t).ravel()
    mass = np.tile(half * (edges[1] - edges[0]) / 2, 256) * np.exp(-t * t / 2) / np.sqrt(2 * np.pi)
    for f, left, lowest in (
        (jax.nn.sigmoid, lambda x: special.expit(-x), 0.0),
        (jnp.tanh, lambda x: 2 * special.expit(-2 * x), -1.0),
        (jax.lax.erf, special.erfc, -1.0),
    ):
        rest = left(mean[:, None] + std[:, None] * t)
        first = rest @ mass
        var = np.square(rest - first[:, None]) @ mass
        for sign, truth in ((1.0, 1 - first), (-1.0, lowest + first)):
            x = sn.Gaussian(single(sign * mean), single(std * std))
            got = jax.jit(sn.propagate(f))(x)
            assert relative(got.mean, truth) < 1e-5
            assert relative(got.var, var) < 2e-5


@pytest.mark.law
@pytest.mark.parametrize("f", [jax.nn.sigmoid, jnp.tanh, jax.nn.softplus, jax.nn.silu])
def test_a_variance_has_its_digits_where_the_function_hardly_varies(f):
    mean, std = single(RNG.uniform(-1, 5, 40)), single(np.geomspace(1e-4, 0.5, 40))
    got = jax.jit(sn.propagate(f))(sn.Gaussian(mean, std * std))
    assert relative(got.var, dense(f, mean, np.sqrt((std * std).astype(float)))[1]) < 2e-5


@pytest.mark.law
@pytest.mark.parametrize("std", [0.5, 4.0])
def test_a_jump_that_had_to_be_looked_for_moves_with_its_threshold(std):
    def share(threshold, mean, var):
        above = lambda x: jnp.where(jnp.tanh(x) > threshold, 1.0, 0.0)  # noqa: E731
        return sn.propagate(above)(sn.Gaussian(mean, var)).mean

    c, m = 0.3, 0.2
    got = jax.jit(jax.grad(share, (0, 1, 2)))(jnp.array(c), jnp.array(m), jnp.array(std**2))
    t = (np.arctanh(c) - m) / std
    density = np.exp(-0.5 * t * t) / np.sqrt(2 * np.pi)
    truth = (-density / std / (1 - c * c), density / std, density * t / (2 * std * std))
    np.testing.assert_allclose(got, truth, rtol=1e-5)


@pytest.mark.law
@pytest.mark.parametrize("f", [jnp.exp, jnp.sin, jnp.cos, jnp.sinh, jnp.cosh])
def test_exponentials_and_waves(f):
    mean, std = single(RNG.normal(size=30) * 3), single(10 ** RNG.uniform(-3, 0.3, 30))
    got = sn.propagate(f)(sn.Gaussian(mean, std * std))
    truth, truth_var = dense(f, mean, std)
    scale = abs(truth) + np.sqrt(truth_var)
    assert np.max(abs(got.mean - truth) / scale) < 1e-5
    assert relative(got.var, truth_var) < 1e-5


@pytest.mark.law
@pytest.mark.parametrize(("f", "sign"), [(jnp.sinh, -1), (jnp.cosh, 1)])
def test_hyperbolic_functions_of_wide_gaussians(f, sign):
    """Most of the variance is twice the variance away from the mean."""
    m, v = 5.0, 9.0
    got = sn.propagate(f)(sn.Gaussian(jnp.array(m), jnp.array(v)))
    truth = (np.exp(v / 2) * f(m), np.expm1(v) * (np.exp(v) * np.cosh(2 * m) - sign) / 2)
    chex.assert_trees_all_close((got.mean, got.var), tuple(map(jnp.float32, truth)), rtol=1e-5)


@pytest.mark.law
def test_the_gradient_is_that_of_the_integral():
    mean, std = one_gaussian()
    for f in (jnp.tanh, jax.nn.silu):
        x = sn.Gaussian(mean, std * std)
        slopes = jax.grad(lambda x, f=f: sn.propagate(f)(x).mean.sum())(x)
        with jax.enable_x64(True):
            slope = lambda u, f=f: jax.jvp(f, (u,), (jnp.ones_like(u),))[1]  # noqa: E731
        chex.assert_trees_all_close(slopes.mean, single(dense(slope, mean, std)[0]), atol=1e-4)
        chex.assert_tree_all_finite(slopes.var)


@pytest.mark.law
def test_a_rule_of_few_nodes_is_taken_for_what_is_smooth_and_known():
    known = {name: rule_for(f, (), jnp.float32) for name, (f, _) in FUNCTIONS.items()}
    assert all(known[name].reach >= 0.5 for name in ("tanh", "logistic", "silu", "gelu", "mish"))
    assert not any(known[name] for name in ("relu", "elu", "hard swish", "sign", "abs"))
    assert rule_for(lambda x: jnp.clip(x, -100.0, 70.0), (-100.0, 70.0), jnp.float32) is None
    unknown = jax.make_jaxpr(lambda a: [] if rule_for(lambda x: a * x, (), jnp.float32) else a)
    assert len(unknown(1.0).out_avals) == 1


@pytest.mark.law
@pytest.mark.parametrize("widest", [0.4, 4.0])
def test_few_nodes_and_many_agree_and_so_do_their_derivatives(widest):
    """A constant that is not known while tracing takes the many nodes."""
    mean, std = single(np.linspace(-4, 4, 40)), single(np.geomspace(1e-2, widest, 40))

    def moments(one, mean, var):
        out = sn.propagate(lambda x: one * jax.nn.silu(x))(sn.Gaussian(mean, var))
        return jnp.stack([out.mean, out.var])

    def of(one):
        def both(mean, var):
            value = moments(one, mean, var)
            return value, jax.vjp(lambda m, v: moments(one, m, v), mean, var)[1](value)

        return both

    few = jax.jit(of(1.0))(mean, std**2)
    many = jax.jit(lambda one, *pair: of(one)(*pair))(jnp.ones(()), mean, std**2)
    chex.assert_trees_all_close(few, many, rtol=2e-5, atol=2e-5)


@pytest.mark.law
def test_wide_elements_among_many_are_what_they_are_alone():
    """They are looked for tile by tile; what is no number harms nobody else."""
    rng = np.random.default_rng(0)
    mean, var = (single(rng.uniform(1e-3, 0.3, (16, 2500))) for _ in range(2))
    places = ([0, 3, 15, 15], [0, 1700, 2498, 2499])
    var[places], mean[5, 7] = [2.0, 50.0, 4.0, 9e4], np.nan
    for f in (jax.nn.silu, jax.nn.gelu):
        moments = jax.jit(lambda mean, var, f=f: sn.propagate(f)(sn.Gaussian(mean, var)))
        both, alone = moments(mean, var), moments(mean[places], var[places])
        chex.assert_trees_all_close(both.mean[places], alone.mean, rtol=2e-6)
        chex.assert_trees_all_close(both.var[places], alone.var, rtol=2e-6)
        assert jnp.isnan(both.mean).sum() == 1


@pytest.mark.law
def test_functions_that_differ_in_a_digit_are_not_taken_for_one_another():
    x = sn.Gaussian(jnp.ones(3), jnp.full(3, 0.1))
    one, two = (sn.propagate(lambda x, a=a: x * jax.nn.sigmoid(a * x))(x) for a in (1.0, 1.0001))
    assert (one.mean != two.mean).all()
    assert (one.var != two.var).all()


SINGULAR = {
    "sqrt |x|": (lambda x: jnp.sqrt(jnp.abs(x)), lambda x: np.sqrt(abs(x))),
    "sqrt relu": (lambda x: jnp.sqrt(jax.nn.relu(x)), lambda x: np.sqrt(np.maximum(x, 0))),
    "arccos": (lambda x: jnp.arccos(jnp.clip(x, -1, 1)), lambda x: np.arccos(np.clip(x, -1, 1))),
}


@pytest.mark.law
@pytest.mark.parametrize("name", SINGULAR)
def test_derivatives_where_the_slope_is_infinite(name):
    """By the scores, for a node may lie where the slope is infinite."""
    f, exact = SINGULAR[name]
    mean, deviation = (x.ravel() for x in np.meshgrid([0.3, -0.7, 1.4], [0.3, 1.0, 3.0]))
    x = sn.Gaussian(jnp.asarray(single(mean)), jnp.asarray(single(deviation**2)))
    z = np.linspace(-9, 9, 1_000_001)
    mass = np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi) * (z[1] - z[0])
    expected = [
        (exact(m + s * z) * z * mass).sum() / s for m, s in zip(mean, deviation, strict=True)
    ]
    found = jax.grad(lambda m: sn.propagate(f)(sn.Gaussian(m, x.var)).mean.sum())(x.mean)
    np.testing.assert_allclose(found, expected, rtol=3e-4, atol=3e-5)
    for covariance in ("adjoint", "full"):
        chex.assert_tree_all_finite(sn.propagate(f, covariance)(x))
