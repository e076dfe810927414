"""Functions of one Gaussian through `propagate`, against dense Gauss-Legendre panels in float64."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _dice import RNG, single, the_same_numbers  # noqa: F401
from scipy import special

import stochastic_net as sn
from stochastic_net.moments._integrals.few_nodes import rule_for


def relative(got, truth):
    """The largest relative error."""
    return np.max(abs(np.asarray(got, np.float64) / truth - 1))


HALF, MEETING = np.sqrt(np.log(2)), 1.9150080481545176  # e^{-x^2} = 1/2; tanh x = x / 2
BREAKS = [0.0, 1, -1, 6, 3, -3, 70, -100, 1 / 1.3, HALF, -HALF, MEETING, -MEETING]


def dense(f, mean, std):
    """E f and Var f by Gauss-Legendre panels, fine near 0 and over the Gaussian, in float64."""
    mean, std = (np.asarray(x, float)[:, None] for x in (mean, std))
    fine = np.geomspace(1e-3, 400, 70)
    own, shared = mean + std * np.linspace(-12, 12, 97), np.concatenate([fine, -fine, BREAKS])
    edges = np.concatenate([own, np.broadcast_to(shared, (len(mean), shared.size))], 1)
    edges = np.sort(np.clip(edges, mean - 12 * std, mean + 12 * std))  # some panels are empty
    x, w = np.polynomial.legendre.leggauss(12)
    half = np.diff(edges)[..., None] / 2
    u = edges[:, :-1, None] + half + half * x
    mean, std = mean[..., None], std[..., None]
    mass = half * w * np.exp(-0.5 * ((u - mean) / std) ** 2) / (std * np.sqrt(2 * np.pi))
    with jax.enable_x64(True):
        values = np.asarray(f(jnp.asarray(u)))
    first = (mass * values).sum((1, 2))
    return first, (mass * (values - first[:, None, None]) ** 2).sum((1, 2))


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


# functions of what is positive, and where that begins
POSITIVE = {
    "a root": (lambda x: x**0.3, 0.0),
    "a power": (lambda x: x**1.7, 0.0),
    "one over a root": (lambda x: x**-0.4, 0.0),
    "log1p": (jnp.log1p, -1.0),
}


@pytest.mark.law
@pytest.mark.parametrize("name", POSITIVE)
def test_functions_of_what_is_positive(name):
    f, edge = POSITIVE[name]
    inside = sn.Gaussian(jnp.array([1.0, 1.0, 50.0]) + edge, jnp.array([1e-6, 0.004, 2.0]))
    got, truth = jax.jit(sn.propagate(f))(inside), dense(f, inside.mean, np.sqrt(inside.var))
    chex.assert_trees_all_close((got.mean, got.var), jax.tree.map(jnp.float32, truth), rtol=3e-5)
    wide = sn.Gaussian(jnp.full(3, 1.0 + edge), jnp.array([0.01, 0.1, 4.0]))
    got = jax.jit(sn.propagate(f))(wide)
    chex.assert_tree_all_finite(got)
    assert (got.var > 0).all()
    draws = np.random.default_rng(0).normal(1 + edge, 0.2, 100_000)
    values = np.asarray(f(jnp.asarray(draws[draws > edge], jnp.float32)))
    of_draws = sn.propagate(f)(sn.Gaussian(jnp.array(1.0 + edge), jnp.array(0.04)))
    assert abs(of_draws.mean - values.mean()) < 0.1 * values.std()
    assert abs(jnp.sqrt(of_draws.var) / values.std() - 1) < 0.15
    slope = jax.grad(lambda x: sum(y.sum() for y in jax.tree.leaves(sn.propagate(f)(x))))(wide)
    chex.assert_tree_all_finite(slope)


@pytest.mark.law
def test_norms_and_pooling_by_a_power_are_finite():
    x = sn.Gaussian(jnp.linspace(-1, 2, 12).reshape(3, 4), jnp.full((3, 4), 0.2))
    draws = x.sample(jax.random.key(0), (100_000,))
    for f in (
        lambda x: jnp.linalg.norm(x, ord=3, axis=-1),
        lambda x: jnp.mean(jnp.clip(x, 1e-6) ** 3.0, -1) ** (1 / 3),
    ):
        got, values = sn.propagate(f)(x), f(draws)
        chex.assert_tree_all_finite(got)
        close = abs(got.mean - values.mean(0)) < 0.1 * values.std(0)
        assert close[1:].all()  # of the first three of four are clipped


@pytest.mark.parametrize(
    "f",
    [
        lambda x: jnp.log2(x) * x,
        lambda x: jnp.polyval(jnp.array([2.0, -1.0, 0.5, 3.0], x.dtype), x - 6),
        lambda x: jnp.polyval(jnp.arange(-4.0, 5.0, dtype=x.dtype), 0.1 * x),
        jax.grad(lambda x: jnp.tanh(x - 6).sum()),
    ],
    ids=["x log2", "polynomial", "of degree 8", "derivative of tanh"],
)
def test_what_a_newer_jax_has_operations_of_its_own_for(f):
    x = sn.Gaussian(single([5.0, 6.0, 8.0]), single([0.01, 0.04, 0.09]))
    got, truth = jax.jit(sn.propagate(f))(x), dense(f, x.mean, np.sqrt(x.var))
    chex.assert_trees_all_close((got.mean, got.var), jax.tree.map(jnp.float32, truth), rtol=1e-5)
    two, e = (jax.jit(sn.propagate(log))(x) for log in (jnp.log2, jnp.log))
    np.testing.assert_allclose(two.mean * np.log(2), e.mean, rtol=1e-6)
    np.testing.assert_allclose(two.var * np.log(2) ** 2, e.var, rtol=1e-6)


@pytest.mark.law
@pytest.mark.parametrize("degree", [5, 8, 10])
def test_polynomials_of_narrow_gaussians(degree):
    """Most of the variance is from four deviations away, where ten nodes are not."""
    f = lambda x: x**degree - 0.3 * x  # noqa: E731
    x = sn.Gaussian(single(np.full(4, 0.0)), single([0.01, 0.06, 0.25, 1.0]))
    got, truth = jax.jit(sn.propagate(f))(x), dense(f, x.mean, np.sqrt(x.var))
    np.testing.assert_allclose(np.sqrt(got.var), np.sqrt(truth[1]), rtol=1e-3)


@pytest.mark.law
@pytest.mark.parametrize("power", [3, 4, 5, 7, 10, 20, 30])
def test_whole_powers_at_every_width(power):
    mean, var = np.array([-2, 0, 1, 3, 0.1]), np.array([0.25, 0.25, 4, 1e-4, 1e-2])
    mean, var = np.float32(mean).astype(float), np.float32(var).astype(float)
    raw = [np.ones_like(mean), mean]
    for j in range(2, 2 * power + 1):
        raw.append(mean * raw[-1] + (j - 1) * var * raw[-2])
    with jax.enable_x64(True):
        x = sn.Gaussian(jnp.asarray(mean), jnp.asarray(var))
        long = sn.propagate(lambda x: x**power)(x)
    got = jax.jit(sn.propagate(lambda x: x**power))(sn.Gaussian(single(mean), single(var)))
    np.testing.assert_allclose(long.mean, raw[power], rtol=1e-13)
    wide = var > 0.1  # a difference of moments has digits there
    np.testing.assert_allclose(long.var[wide], (raw[2 * power] - raw[power] ** 2)[wide], rtol=1e-12)
    np.testing.assert_allclose(got.mean, np.asarray(long.mean), rtol=1e-5, atol=1e-37)
    want = np.asarray(long.var)
    held = want < 1e38
    np.testing.assert_allclose(np.asarray(got.var)[held], want[held], rtol=1e-5, atol=1e-37)
    slope = jax.grad(lambda m: sn.propagate(lambda x: x**power)(sn.Gaussian(m, 0.3)).mean)(0.0)
    assert slope == pytest.approx(power * moment(power - 1, 0.3))


def moment(order, var):
    """E X^n for a mean of 0."""
    return 0.0 if order % 2 else var ** (order / 2) * special.factorial2(order - 1)


@pytest.mark.law
@pytest.mark.parametrize("f", [lambda x: 1 + jnp.tanh(x), lambda x: 1 + jnp.expm1(x)])
def test_what_is_left_of_a_limit_has_its_digits(f):
    x = sn.Gaussian(single([-10.0, -3.0, 0.0]), single(np.full(3, 0.25)))
    got, truth = jax.jit(sn.propagate(f))(x), dense(f, x.mean, np.sqrt(x.var))
    chex.assert_trees_all_close((got.mean, got.var), jax.tree.map(jnp.float32, truth), rtol=2e-6)


@pytest.mark.law
def test_expm1_of_a_wide_gaussian():
    x = sn.Gaussian(single([-2.0, 0.0, 1e-3]), single([9.0, 9.0, 1e-8]))
    got = jax.jit(sn.propagate(jnp.expm1))(x)
    mean, var = np.asarray(x.mean, float), np.asarray(x.var, float)
    np.testing.assert_allclose(got.mean, np.expm1(mean + var / 2), rtol=1e-5)
    np.testing.assert_allclose(got.var, np.exp(2 * mean + var) * np.expm1(var), rtol=1e-5)
