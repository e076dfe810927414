"""The room `distributions`: every law on every row of a table; truth is mpmath or quadrature."""

import contextlib
import dataclasses
import math
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
import scipy.stats
from absl.testing import parameterized
from flax import nnx
from jax.test_util import check_grads

import stochastic_net as sn


class Row(NamedTuple):
    """A Gaussian: elements in float64, and the dtype they are rounded to."""

    dtype: str
    mean: np.ndarray
    var: np.ndarray


def grid(dtype, shape):
    """Ordinary means and variances, all different."""
    size = math.prod(shape)
    return Row(
        dtype,
        np.linspace(-2.0, 3.0, size).reshape(shape),
        np.geomspace(0.1, 9.0, size).reshape(shape),
    )


def ladder(dtype, *var):
    """Variances from zero to the largest number, each with a mean of 0 and with a mean of 1."""
    return Row(dtype, np.repeat([0.0, 1.0], len(var)), np.tile(var, 2))


F32, F64 = np.finfo(np.float32), np.finfo(np.float64)
BF16_MAX = float(jnp.finfo("bfloat16").max)
GAUSSIANS = {
    "scalar": grid("float32", ()),
    "vector": grid("float32", (3,)),
    "4d": grid("float32", (2, 1, 3, 2)),
    "empty": grid("float32", (0,)),
    "empty4d": grid("float32", (2, 0, 3, 1)),
    "float32": ladder("float32", 0, 1e-45, 1e-40, F32.tiny, 1e-30, 1e-6, 1, 1e30, F32.max),
    "bfloat16": ladder("bfloat16", 0, 1e-40, F32.tiny, 1e-30, 1e-6, 1, 1e30, BF16_MAX),
    "float16": ladder("float16", 0, 6e-8, 1e-6, 6.2e-5, 1, 65504),
    "float64": ladder("float64", 0, 5e-324, 1e-310, F64.tiny, 1e-40, 1, 1e30, F64.max),
}
ROWS = list(GAUSSIANS.items())
table = pytest.mark.parametrize("row", GAUSSIANS.values(), ids=GAUSSIANS)
transforms = pytest.mark.parametrize("transform", [lambda f: f, jax.jit], ids=["eager", "jit"])


def precision(dtype):
    """x64 for float64; else as it is."""
    return jax.enable_x64(True) if dtype == "float64" else contextlib.nullcontext()


def build(row):
    return sn.Gaussian(jnp.asarray(row.mean, row.dtype), jnp.asarray(row.var, row.dtype))


def wide(dtype):
    return "float64" if dtype == "float64" else "float32"


def exact(array):
    return np.asarray(array, np.float64)


def true_std(x):
    """In float64, from the rounded variance; below the smallest normal number it is zero."""
    var = exact(x.var)
    return np.sqrt(np.where(var < np.finfo(wide(x.dtype.name)).tiny, 0.0, var))


def ulp(dtype):
    return float(jnp.finfo(dtype).eps)


def draw_and_gradient(x, key, shape=()):
    z, pullback = jax.vjp(lambda x: x.sample(key, shape), x)
    return z, pullback(jnp.ones_like(z))[0]


class DrawTest(chex.TestCase):
    """z = mean + std eps, dz/dmean = 1 and dz/dvar = eps / (2 std): eager, jitted and mapped."""

    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.named_parameters(*ROWS)
    def test_draw_and_gradient(self, row):
        with precision(row.dtype):
            x = build(row)
            out = self.variant(draw_and_gradient)(x, jax.random.key(1))
            eps = sn.random.normal(jax.random.key(1), x.shape, wide(row.dtype))
            self.check(x, *out, exact(eps))

    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.named_parameters(*ROWS)
    def test_mapped_over_keys(self, row):
        with precision(row.dtype):
            x = build(row)
            mapped = jax.vmap(draw_and_gradient, (None, 0))
            out = self.variant(mapped)(x, jax.random.split(jax.random.key(2), 3))
            for i, key in enumerate(jax.random.split(jax.random.key(2), 3)):
                eps = sn.random.normal(key, x.shape, wide(row.dtype))
                self.check(x, *jax.tree.map(lambda leaf, i=i: leaf[i], out), exact(eps))

    def check(self, x, z, grad, eps):
        chex.assert_tree_all_finite((z, grad))
        assert isinstance(grad, sn.Gaussian)
        assert z.shape == grad.mean.shape == grad.var.shape == x.shape
        assert z.dtype == grad.mean.dtype == grad.var.dtype == x.dtype
        std = true_std(x)
        bound = 4 * ulp(x.dtype) * (abs(exact(x.mean)) + abs(std * eps))
        bound += float(jnp.finfo(x.dtype).smallest_subnormal)
        assert (abs(exact(z) - (exact(x.mean) + std * eps)) <= bound).all()
        np.testing.assert_array_equal(exact(grad.mean), 1.0)
        slope = np.where(std == 0, 0.0, eps / (2 * np.where(std == 0, 1.0, std)))
        np.testing.assert_allclose(exact(grad.var), slope, rtol=4 * ulp(x.dtype), atol=0)


@table
def test_many_draws_have_leading_axes_and_the_gradient_of_their_sum(row, key):
    with precision(row.dtype):
        x = build(row)
        z, grad = jax.jit(draw_and_gradient, static_argnums=2)(x, key, (2, 5))
        assert z.shape == (2, 5, *x.shape)
        np.testing.assert_array_equal(exact(grad.mean), 10.0)
        chex.assert_tree_all_finite((z, grad))


@table
def test_the_draws_are_independent_and_normal(row, key):
    # Kolmogorov-Smirnov over n draws of each element; by the Dvoretzky-Kiefer-Wolfowitz inequality
    # a distance above sqrt(log(2/a) / 2n) has probability below a = 1e-9. The correlations are
    # z-tests at 6.5 sigma: 1e-10 each.
    n = 20_000
    with precision(row.dtype):
        x = build(row)
        z = exact(jax.jit(lambda x, key: x.sample(key, (n,)))(x, key)).reshape(n, -1)
        mean, std = exact(x.mean).ravel(), true_std(x).ravel()
        # Where the mean swallows the deviation, or std is 0, rounding decides (see the laws above).
        seen = std > 1e3 * ulp(x.dtype) * abs(mean)
    t = (z[:, seen] - mean[seen]) / std[seen]
    for element in t.T:
        distance = scipy.stats.kstest(element, scipy.stats.norm.cdf).statistic
        assert distance < math.sqrt(math.log(2 / 1e-9) / (2 * n))
    neighbours = np.concatenate([t[1:], t[:-1]], axis=1)  # each element, and its next draw
    correlation = np.corrcoef(neighbours.T) - np.eye(neighbours.shape[1]) if t.size else np.zeros(1)
    assert abs(correlation).max() < 6.5 / math.sqrt(n)
    np.testing.assert_array_equal(z[:, std == 0], np.broadcast_to(mean, z.shape)[:, std == 0])


INTEGRANDS = {
    "square": (jnp.square, -1.0, 2.0),
    "sine": (lambda z: jnp.sin(3 * z), 1.5, 0.01),
    "tanh": (jnp.tanh, -1.0, 2.0),
    "relu": (jax.nn.relu, -1.0, 2.0),
    "relu, mostly on": (jax.nn.relu, 0.3, 0.5),
    "bump": (lambda z: jnp.exp(-jnp.square(z)), 0.3, 0.5),
}


@pytest.mark.parametrize(("f", "mean", "var"), INTEGRANDS.values(), ids=INTEGRANDS)
def test_the_gradient_of_an_expectation_is_unbiased(f, mean, var, key):
    # Truth: quadrature of E f and of its score-function derivatives, which use neither f' nor a
    # draw. z-tests at 6 sigma: false alarm 2e-9 each. A gradient 10 % off is 10 sigma off or more.
    n = 100_000
    x = sn.Gaussian(jnp.full(n, mean, "float32"), jnp.full(n, var, "float32"))
    fz, pullback = jax.vjp(jax.jit(lambda x: f(x.sample(key))), x)
    (grad,) = pullback(jnp.ones_like(fz))
    mean, var = float(x.mean[0]), float(x.var[0])
    t, step = np.linspace(-13, 13, 400_001, retstep=True)
    weight = np.exp(-t * t / 2) / math.sqrt(2 * math.pi) * step
    with jax.enable_x64(True):
        weight *= exact(f(jnp.asarray(mean + math.sqrt(var) * t)))
    z_test(exact(fz), weight.sum())
    z_test(exact(grad.mean), (weight * t).sum() / math.sqrt(var))
    z_test(exact(grad.var), (weight * (t * t - 1)).sum() / (2 * var))


def z_test(draws, truth):
    error = draws.std() / math.sqrt(draws.size)
    assert abs(draws.mean() - truth) < 6 * error, (draws.mean(), truth, error)


# The functions of a Gaussian against mpmath, at the very float32 arguments that they are given. A
# truth comes with its conditioning: the sum of the sizes of its terms, or the change that a
# relative change of (value - mean) / std makes. Three roundings of it are allowed; the most
# measured is 2.05. (So cdf is off by 1.8e-5 of itself at 12 deviations, for that is what one
# rounding of the deviation does there; everything else keeps 3e-7 where its terms do not cancel.)

mp.mp.dps = 60
LOG_2PI = mp.log(2 * mp.pi)


def random_grid():
    """Means, variances and values: of every size, and standard ones down to cdf's smallest."""
    rng, n = np.random.default_rng(0), 300
    mean = np.append(rng.normal(size=n), np.zeros(n)).astype("float32")
    var = np.append(np.exp(rng.uniform(-60, 60, n)), np.ones(n)).astype("float32")
    t = np.append(rng.uniform(-13, 13, n), np.linspace(-13, 5, n))
    return mean, var, (mean + np.sqrt(var) * t).astype("float32")


MEAN, VAR, VALUE = random_grid()


def probabilities():
    """From the smallest float32 to the largest below 1."""
    low, high = np.geomspace(2e-38, 0.5, 300), 1 - np.geomspace(6e-8, 0.5, 300)
    return np.append(low, high).astype("float32")


def standardise(mean, var, value):
    return (value - mean) / mp.sqrt(var)


def true_log_prob(mean, var, value):
    square, log_var = standardise(mean, var, value) ** 2, mp.log(var)
    return -(square + log_var + LOG_2PI) / 2, (square + abs(log_var) + LOG_2PI) / 2


def true_cdf(mean, var, value):
    t = standardise(mean, var, value)
    return mp.ncdf(t), mp.ncdf(t) + abs(t) * mp.npdf(t)


def true_icdf(mean, var, q):
    t = mp.mpf(scipy.stats.norm.ppf(float(q)))
    for _ in range(4):  # Newton, to 60 digits
        t -= (mp.ncdf(t) - q) / mp.npdf(t)
    return mean + mp.sqrt(var) * t, abs(mean) + mp.sqrt(var) * abs(t)


def true_entropy(mean, var, _):
    return (mp.log(var) + LOG_2PI + 1) / 2, (abs(mp.log(var)) + LOG_2PI + 1) / 2


ORACLES = {
    "log_prob": (sn.Gaussian.log_prob, VALUE, true_log_prob),
    "cdf": (sn.Gaussian.cdf, VALUE, true_cdf),
    "icdf": (sn.Gaussian.icdf, probabilities(), true_icdf),
    "entropy": (lambda x, _: x.entropy(), VALUE, true_entropy),
}


@pytest.mark.parametrize(("f", "third", "truth"), ORACLES.values(), ids=ORACLES)
@transforms
def test_functions_are_float32_exact(f, third, truth, transform):
    x = sn.Gaussian(MEAN, VAR)
    got = transform(f)(x, third)
    assert got.dtype == "float32"
    for value, *arguments in zip(exact(got), exact(MEAN), exact(VAR), exact(third), strict=True):
        expected, conditioning = truth(*map(mp.mpf, arguments))
        allowed = 3 * ulp("float32") * conditioning + F32.tiny
        assert abs(value - expected) <= allowed, (arguments, value, expected)


RATIOS = [1, 1 + 2e-7, 1 - 1e-7, 1 + 1e-4, 1 - 1e-4, 1.01, 0.7, 0.501, 0.499, 1.99, 2.01]
RATIOS += [1e-2, 1e2, 1e-10, 1e10, 1e-35, 1e35]


@pytest.mark.parametrize("distance", [0, 1e-4, 1e-2, 3.0, 1e10])
@transforms
def test_kl_is_float32_exact(distance, transform):
    q_var = np.geomspace(1e-2, 1e2, len(RATIOS)).astype("float32")
    p = sn.Gaussian(np.full(len(RATIOS), 0.3, "float32"), q_var * np.float32(RATIOS))
    q = sn.Gaussian(p.mean + np.float32(distance) * np.sqrt(q_var), q_var)
    got = exact(transform(sn.kl)(p, q))
    pairs = zip(got, exact(p.mean), exact(p.var), exact(q.mean), exact(q.var), strict=True)
    for value, *arguments in pairs:
        p_mean, p_var, q_mean, q_var = map(mp.mpf, arguments)
        ratio = p_var / q_var
        truth = (ratio - 1 - mp.log(ratio) + (p_mean - q_mean) ** 2 / q_var) / 2
        assert abs(value - truth) <= 6 * ulp("float32") * truth, (arguments, value, truth)


def test_kl_beyond_float32_is_infinite_not_nan():
    huge, tiny = (sn.Gaussian(np.float32(0), np.float32(var)) for var in (1e30, 1e-30))
    assert sn.kl(huge, tiny) == jnp.inf
    np.testing.assert_allclose(sn.kl(tiny, huge), 30 * math.log(10) - 0.5, rtol=1e-6)
    chex.assert_tree_all_finite(jax.grad(sn.kl)(tiny, huge).mean)


def test_kl_takes_a_scalar_prior():
    p = build(GAUSSIANS["4d"])
    prior = sn.Gaussian(np.float32(0.5), np.float32(2.0))
    repeated = sn.Gaussian(jnp.full(p.shape, prior.mean), jnp.full(p.shape, prior.var))
    np.testing.assert_allclose(sn.kl(p, prior), sn.kl(p, repeated), rtol=8 * ulp("float32"))
    np.testing.assert_allclose(sn.kl(prior, p), sn.kl(repeated, p), rtol=8 * ulp("float32"))


HALF_FUNCTIONS = {
    "std": lambda x: x.std,
    "sample": lambda x: x.sample(jax.random.key(4)),
    "log_prob": lambda x: x.log_prob(1.5),
    "cdf": lambda x: x.cdf(1.5),
    "icdf": lambda x: x.icdf(0.3),
    "entropy": lambda x: x.entropy(),
    "kl": lambda x: sn.kl(x, sn.Gaussian(*(jnp.asarray(c, x.dtype) for c in (0.5, 2.0)))),
}


@pytest.mark.parametrize("f", HALF_FUNCTIONS.values(), ids=HALF_FUNCTIONS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_float32_rounded_once(f, dtype):
    x = sn.Gaussian(jnp.linspace(-2, 2, 50, dtype=dtype), jnp.linspace(0, 3, 50, dtype=dtype))
    full = jax.tree.map(lambda leaf: leaf.astype("float32"), x)
    assert f(x).dtype == dtype
    np.testing.assert_array_equal(f(x), f(full).astype(dtype))


INF = math.inf
POINT_LIMITS = {  # at mean 1 and variance 0
    "std": (lambda x: x.std, 0),
    "log_prob at the mean": (lambda x: x.log_prob(1.0), INF),
    "log_prob elsewhere": (lambda x: x.log_prob(1.5), -INF),
    "cdf below": (lambda x: x.cdf(0.5), 0),
    "cdf at the mean": (lambda x: x.cdf(1.0), 1),
    "cdf above": (lambda x: x.cdf(1.5), 1),
    "icdf": (lambda x: x.icdf(0.2), 1),
    "icdf of 0": (lambda x: x.icdf(0.0), 1),
    "entropy": (lambda x: x.entropy(), -INF),
    "kl to itself": (lambda x: sn.kl(x, x), 0),
    "kl to another point": (lambda x: sn.kl(x, x + 1), INF),
    "kl to a spread": (lambda x: sn.kl(x, sn.Gaussian(x.mean, jnp.ones_like(x.var))), INF),
    "kl from a spread": (lambda x: sn.kl(sn.Gaussian(x.mean, jnp.ones_like(x.var)), x), INF),
}


@pytest.mark.parametrize(("f", "limit"), POINT_LIMITS.values(), ids=POINT_LIMITS)
@pytest.mark.parametrize("var", [0.0, 1e-40])
def test_zero_variance_is_legal_and_its_gradients_are_finite(f, limit, var):
    x = sn.Gaussian(np.float32(1.0), np.float32(var))
    for transform in (lambda f: f, jax.jit):
        assert transform(f)(x) == limit
        chex.assert_tree_all_finite(transform(jax.grad(f))(x))


SMOOTH = {
    "sample": lambda mean, var: sn.Gaussian(mean, var).sample(jax.random.key(3), (2,)),
    "log_prob": lambda mean, var: sn.Gaussian(mean, var).log_prob(0.7),
    "log_prob of": lambda mean, var: sn.Gaussian(0.1, 0.4).log_prob(mean * var),
    "cdf": lambda mean, var: sn.Gaussian(mean, var).cdf(0.7),
    "cdf of": lambda mean, var: sn.Gaussian(0.1, 0.4).cdf(mean * var),
    "icdf": lambda mean, var: sn.Gaussian(mean, var).icdf(0.8),
    "icdf of": lambda mean, var: sn.Gaussian(0.1, 0.4).icdf(jax.nn.sigmoid(mean * var)),
    "entropy": lambda mean, var: sn.Gaussian(mean, var).entropy(),
    "std": lambda mean, var: sn.Gaussian(mean, var).std,
    "from_std": lambda mean, var: sn.Gaussian.from_std(mean, var).var,
    "from_log_var": lambda mean, var: sn.Gaussian.from_log_var(mean, var).var,
    "kl of p": lambda mean, var: sn.kl(sn.Gaussian(mean, var), sn.Gaussian(0.1, 0.4)),
    "kl of q": lambda mean, var: sn.kl(sn.Gaussian(0.1, 0.4), sn.Gaussian(mean, var)),
    "arithmetic": lambda mean, var: jax.tree.leaves(3 - 2 * sn.Gaussian(mean, var) / 7),
}


@pytest.mark.parametrize("f", SMOOTH.values(), ids=SMOOTH)
def test_derivatives_are_the_numerical_ones(f):
    # Forwards and backwards, in float64, with the noise held.
    with jax.enable_x64(True):
        mean, var = jnp.array([-0.5, 0.2, 1.3]), jnp.array([0.05, 0.8, 3.0])
        f = jax.jit(lambda mean, var, f=f: jax.vmap(f)(mean, var))
        check_grads(f, (mean, var), order=1, modes=("fwd", "rev"), eps=1e-5, rtol=1e-6)


X = (np.float32([-1.0, 0.5, 2.0]), np.float32([0.25, 1.0, 4.0]))
Y = (np.float32([3.0, 0.0, 1.0]), np.float32([1.0, 0.0, 0.5]))
C = np.float32([-2.0, 0.5, 4.0])
ARITHMETIC = {  # the operation; the mean and the variance it gives to X (and Y)
    "x + c": (lambda x, y: x + 1.5, X[0] + 1.5, X[1]),
    "c + x": (lambda x, y: 1.5 + x, X[0] + 1.5, X[1]),
    "x - c": (lambda x, y: x - 1.5, X[0] - 1.5, X[1]),
    "c - x": (lambda x, y: 1.5 - x, 1.5 - X[0], X[1]),
    "-x": (lambda x, y: -x, -X[0], X[1]),
    "x * c": (lambda x, y: x * -3, X[0] * -3, X[1] * 9),
    "c * x": (lambda x, y: -3 * x, X[0] * -3, X[1] * 9),
    "x / c": (lambda x, y: x / -4, X[0] / -4, X[1] / 16),
    "x * 0": (lambda x, y: x * 0, X[0] * 0, X[1] * 0),
    "numpy on the right": (lambda x, y: x * C, X[0] * C, X[1] * C**2),
    "numpy + x": (lambda x, y: C + x, C + X[0], X[1]),
    "numpy - x": (lambda x, y: C - x, C - X[0], X[1]),
    "numpy * x": (lambda x, y: C * x, X[0] * C, X[1] * C**2),
    "numpy scalar * x": (lambda x, y: np.float32(2) * x, X[0] * 2, X[1] * 4),
    "jax - x": (lambda x, y: jnp.asarray(C) - x, C - X[0], X[1]),
    "jax * x": (lambda x, y: jnp.asarray(C) * x, X[0] * C, X[1] * C**2),
    "a repeated constant": (lambda x, y: x + C[:1], X[0] + C[0], X[1]),
    "x + y": (lambda x, y: x + y, X[0] + Y[0], X[1] + Y[1]),
    "x - y": (lambda x, y: x - y, X[0] - Y[0], X[1] + Y[1]),
    "affine": (lambda x, y: (2 * x - y) / 2 + 1, X[0] - Y[0] / 2 + 1, X[1] + Y[1] / 4),
}


@pytest.mark.parametrize(("f", "mean", "var"), ARITHMETIC.values(), ids=ARITHMETIC)
def test_arithmetic_gives_the_gaussian_of_the_result(f, mean, var):
    for transform in (lambda f: f, jax.jit):
        out = transform(f)(sn.Gaussian(*X), sn.Gaussian(*Y))
        assert isinstance(out, sn.Gaussian)
        np.testing.assert_allclose(out.mean, mean, rtol=1e-6)
        np.testing.assert_allclose(out.var, var, rtol=1e-6)


@table
def test_a_python_number_keeps_the_dtype(row):
    with precision(row.dtype):
        assert (2 * build(row._replace(var=np.zeros_like(row.var))) + 1).dtype == row.dtype


@table
def test_a_gaussian_is_a_pytree(row):
    with precision(row.dtype):
        x = build(row)
        leaves, treedef = jax.tree.flatten(x)
        assert all(leaf is part for leaf, part in zip(leaves, (x.mean, x.var), strict=True))
        paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(x)]
        assert paths == [".mean", ".var"]
        again = jax.tree.unflatten(treedef, leaves)
        jitted = jax.jit(lambda x: x)(x)
        shapes = jax.eval_shape(lambda x: x, x)
        for y in (again, jitted, jax.tree.map(lambda leaf: leaf, x)):
            assert type(y) is sn.Gaussian
            chex.assert_trees_all_equal(y, x)
        assert (shapes.shape, shapes.dtype) == (x.shape, x.dtype) == (row.mean.shape, row.dtype)
        assert jax.tree.unflatten(treedef, ["anything", None]).var is None  # JAX needs it unchecked


def test_a_gaussian_is_mapped_over_any_axis_and_carried_through_a_loop(key):
    x = build(grid("float32", (4, 2)))
    turned = jax.vmap(lambda x: 2 * x, in_axes=1, out_axes=0)(x)
    np.testing.assert_array_equal(turned.mean, 2 * x.mean.T)
    np.testing.assert_array_equal(turned.var, 4 * x.var.T)

    def step(x, key):
        return x + 1, x.sample(key)

    last, draws = jax.lax.scan(step, x, jax.random.split(key, 5))
    np.testing.assert_allclose(last.mean, x.mean + 5, rtol=1e-6)
    np.testing.assert_array_equal(last.var, x.var)
    assert draws.shape == (5, 4, 2)


def test_a_gaussian_is_frozen_and_shows_what_it_is():
    x = sn.Gaussian(*X)
    with pytest.raises(dataclasses.FrozenInstanceError):
        x.mean = x.var
    assert repr(x).startswith("Gaussian(mean=Array([-1. ,  0.5,  2. ]")
    assert dataclasses.replace(x, var=x.var * 2).var[2] == 8
    with pytest.raises(ValueError, match="one shape"):
        dataclasses.replace(x, var=x.var[:2])


def test_mixed_dtypes_are_promoted_and_plain_numbers_are_floats():
    x = sn.Gaussian(jnp.zeros(3, "bfloat16"), jnp.ones(3, "float32"))
    assert x.mean.dtype == x.var.dtype == "float32"
    assert sn.Gaussian(0.0, 1.0).dtype == jnp.result_type(float)


@table
def test_from_std_and_from_log_var(row):
    with precision(row.dtype):
        std = jnp.asarray(np.minimum(np.sqrt(row.var), 100.0), row.dtype)
        mean = jnp.asarray(row.mean, row.dtype)
        x = sn.Gaussian.from_std(mean, std)
        np.testing.assert_array_equal(x.var, std * std)
        log_var = jnp.clip(jnp.log(jnp.asarray(row.var, row.dtype)), -10, 10)
        y = sn.Gaussian.from_log_var(mean, log_var)
        np.testing.assert_allclose(exact(y.var), np.exp(exact(log_var)), rtol=2 * ulp(row.dtype))
        for z in (x, y):
            assert z.dtype == row.dtype
            np.testing.assert_array_equal(z.mean, mean)


class Duck:
    """A distribution of NumPyro's kind: no pytree, its second argument has another name."""

    def sample(self, key, sample_shape=()):
        return jax.random.uniform(key, (*sample_shape, 4), "float32")

    def log_prob(self, value):
        return jnp.zeros_like(value)


class Bayesian(nnx.Module):
    """A module one of whose parameters is a distribution."""

    def __init__(self):
        self.kernel = nnx.Param(sn.Gaussian(*X))
        self.bias = nnx.Param(jnp.zeros(2, "float32"))


TREES = {
    "dict": lambda x: {"kernel": x, "bias": np.zeros(2, "float32")},
    "tuple": lambda x: (x, 3.0, None, x),
    "nested": lambda x: {"layers": [{"w": x}, {"w": x, "n": 3}]},
    "state": lambda x: nnx.state(Bayesian()),
    "module": lambda x: Bayesian(),
    "not a Gaussian": lambda x: [Duck(), x, jnp.ones(3, "float32")],
}


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_every_distribution_in_a_tree_is_drawn_and_nothing_else(tree):
    tree = tree(sn.Gaussian(*X))
    drawn = sn.sample(tree, jax.random.key(5))
    before = jax.tree.leaves(tree, is_leaf=is_distribution)
    after = jax.tree.leaves(drawn)
    draws = []
    for old, new in zip(before, after, strict=True):
        if is_distribution(old):
            assert isinstance(new, jax.Array)
            draws += [new.tolist()]
        else:
            assert new is old
    assert 0 < len(draws) == len(set(map(str, draws)))  # no two places share their noise


def is_distribution(node):
    return isinstance(node, sn.Gaussian | Duck)


def test_what_a_place_draws_depends_on_nothing_else_in_the_tree():
    x = sn.Gaussian(*X)
    alone = sn.sample({"b": x}, jax.random.key(5))["b"]
    together = jax.jit(sn.sample)({"a": x, "b": x, "c": {"b": x}}, jax.random.key(5))
    np.testing.assert_allclose(together["b"], alone, rtol=1e-6)
    itself = sn.sample(x, jax.random.key(5))
    np.testing.assert_array_equal(itself, x.sample(jax.random.key(5)))


def test_the_gradient_reaches_a_distribution_inside_a_module(key):
    grad = jax.jit(jax.grad(lambda m, key: sn.sample(m, key).kernel[...].sum()))(Bayesian(), key)
    (to_kernel,) = (g for g in jax.tree.leaves(grad, is_leaf=is_distribution) if is_distribution(g))
    np.testing.assert_array_equal(to_kernel.mean, 1.0)
    assert (to_kernel.var != 0).all()


def test_the_divergence_of_a_new_type_is_one_function_away():
    @sn.distributions.kl_rule(Duck, sn.Gaussian)
    def _(p, q):
        return q.var

    assert sn.kl(Duck(), sn.Gaussian(*X))[0] == 0.25
    with pytest.raises(TypeError, match="no KL divergence is known from Gaussian to Duck"):
        sn.kl(sn.Gaussian(*X), Duck())
