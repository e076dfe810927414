"""The room `moments`: programs by laws.

Truth: the Jacobian for linear functions, draws for what has no closed form. Kinks, functions of one
Gaussian and softmax have files of their own.
"""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _compile import QUICKLY
from _dice import RNG, single, the_same_numbers  # noqa: F401
from flax import nnx
from jax import lax
from jax.extend.core import primitives

import stochastic_net as sn


def pair(mean, var):
    return sn.Gaussian(jnp.asarray(single(mean)), jnp.asarray(single(var)))


# ---- linear functions --------------------------------------------------------------------------

KERNEL = jnp.asarray(single(RNG.normal(size=(3, 3, 2, 4))))
MATRIX = jnp.asarray(single(RNG.normal(size=(2, 5))))
LINEAR = {
    "matrix product": lambda x: x @ MATRIX,
    "convolution": lambda x: lax.conv_general_dilated(
        x, KERNEL, (1, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    ),
    "einsum": lambda x: jnp.einsum("bhwc,cd->dbh", x, MATRIX),
    "mean": lambda x: x.mean((1, 2)),
    "sum of parts": lambda x: x.sum(1) * 2 - 1,
    "average pool": lambda x: lax.reduce_window(
        x, 0.0, lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "SAME"
    ),
    "reshape, transpose": lambda x: x.reshape(2, -1).T[::-1],
    "pad": lambda x: jnp.pad(x, ((0, 0), (1, 2), (0, 0), (0, 0))),
    "concatenate with constants": lambda x: jnp.concatenate([x, jnp.ones_like(x)], -1),
    "gather": lambda x: x[:, jnp.array([2, 0, 2])],
    "gather beyond the end": lambda x: x.at[:, jnp.array([0, 9])].get(mode="fill", fill_value=-1.0),
    "slice": lambda x: x[:, 1:3, ::2],
    "split": lambda x: jnp.split(x, 2, 1)[1],
    "stack": lambda x: jnp.stack([x, 2 * x], 2),
    "unstack": lambda x: jnp.unstack(x, axis=1)[2],
    "unpack": lambda x: (lambda a, b: a - 2 * b)(*x),
    "tile": lambda x: jnp.tile(x, (1, 2, 1, 1)),
    "scatter": lambda x: x.at[:, 1].set(x[:, 0] * 2),
    "scatter add": lambda x: jnp.zeros((2, 4)).at[:, jnp.array([0, 2, 2, 1])].add(x[..., 1, 0]),
    "scatter subtract": lambda x: x.at[:, jnp.array([1, 1])].subtract(x[:, 2:] * 2),
    "scatter multiply": lambda x: x.at[:, jnp.array([1, 1, 0])].multiply(-2.0),
    "barrier": lambda x: lax.optimization_barrier((x, x[0]))[1],
    "dynamic slice": lambda x: lax.dynamic_slice_in_dim(x, 1, 2, 1),
    "cumulative sum": lambda x: jnp.cumsum(x, 1),
    "broadcast": lambda x: jnp.broadcast_to(x[None], (3, *x.shape)) / 3,
    "select": lambda x: jnp.where(jnp.arange(4)[None, :, None, None] > 1, x, 0.0),
    "scan": lambda x: lax.scan(lambda c, t: (0.5 * c + t, c), jnp.zeros(x.shape[1:]), x)[0],
    "loop": lambda x: lax.fori_loop(0, 3, lambda i, x: 0.5 * x + 1.0, x),
    "branch": lambda x: lax.cond(x.shape[0] > 1, lambda x: 2 * x, lambda x: x - 1, x),
    "remat": jax.checkpoint(lambda x: 3 * x),
}


@pytest.mark.parametrize("name", LINEAR)
def test_linear_functions_are_exact(name):
    f = LINEAR[name]
    shape = (2, 4, 4, 2)
    x = pair(RNG.normal(size=shape), RNG.uniform(0.1, 2, shape))

    @jax.jit
    def run(x):
        found = [sn.propagate(f, covariance)(x) for covariance in ("diagonal", "adjoint")]
        var = jnp.tensordot(jnp.square(jax.jacobian(f)(x.mean)), x.var, 4)
        return found, f(x.mean), var

    found, mean, var = run(x)
    for got in found:
        chex.assert_trees_all_close(got.mean, mean, rtol=1e-5, atol=1e-5)
        chex.assert_trees_all_close(got.var, var, rtol=1e-4, atol=1e-5)


def test_products_of_independent_values_are_exact():
    w, x = (pair(RNG.normal(size=(3, 4)), RNG.uniform(0.1, 1, (3, 4))) for _ in range(2))
    got = sn.propagate(lambda w, x: jnp.einsum("ij,ij->i", w, x))(w, x)
    var = w.mean**2 * x.var + x.mean**2 * w.var + w.var * x.var
    chex.assert_trees_all_close(got.mean, (w.mean * x.mean).sum(-1), rtol=1e-5)
    chex.assert_trees_all_close(got.var, var.sum(-1), rtol=1e-5)
    elementwise = sn.propagate(lambda w, x: (w * x).sum(-1))(w, x)
    chex.assert_trees_all_close(elementwise, got, rtol=1e-5)


# ---- many inputs -------------------------------------------------------------------------------


def test_max_pool_and_reductions():
    x = pair(RNG.normal(size=(1, 4, 4, 1)), np.full((1, 4, 4, 1), 0.04))
    draws = x.sample(jax.random.key(0), (40_000,))
    for f in (lambda x: nnx.max_pool(x, (2, 2), (2, 2)), lambda x: x.max((1, 2)), jnp.min):
        got, z = sn.propagate(f)(x), jax.vmap(f)(draws)
        chex.assert_trees_all_close(got.mean, z.mean(0), atol=0.02)
        chex.assert_trees_all_close(jnp.sqrt(got.var), z.std(0), rtol=0.08)


@pytest.mark.parametrize("f", [jnp.prod, jnp.cumprod], ids=["product", "running product"])
def test_products_of_many(f):
    mean, var = RNG.normal(size=5), RNG.uniform(0.1, 2, 5)
    for covariance in ("diagonal", "adjoint"):
        got = jax.jit(sn.propagate(f, covariance=covariance))(pair(mean, var))
        first, second = f(jnp.asarray(mean)), f(jnp.asarray(mean**2 + var))
        if covariance == "diagonal":
            chex.assert_trees_all_close(got, pair(first, second - first**2), rtol=1e-4)
        chex.assert_trees_all_close(got.mean, first, rtol=1e-4)


@pytest.mark.parametrize("f", [lax.cummax, lax.cummin], ids=["largest", "smallest"])
def test_the_largest_so_far(f):
    x = pair([0.0, 0.5, -1.0, 0.6], [1.0, 0.5, 2.0, 0.1])
    got, z = sn.propagate(f)(x), jax.vmap(f)(x.sample(jax.random.key(0), (40_000,)))
    chex.assert_trees_all_close(got.mean, z.mean(0), atol=0.02)
    chex.assert_trees_all_close(jnp.sqrt(got.var), z.std(0), rtol=0.1)


SPREADS = {
    "mean of squares less square of mean": lambda x: (
        jnp.square(x).mean(-1) - jnp.square(x.mean(-1))
    ),
    "mean of squares of the centred": lambda x: x.var(-1),
    "by hand": lambda x: jnp.square(x - x.mean(-1, keepdims=True)).mean(-1),
}


@pytest.mark.parametrize("shape", [(2, 3), (4, 32)])
@pytest.mark.parametrize("spread", SPREADS.values(), ids=SPREADS)
def test_the_sample_variance_that_norms_divide_by(spread, shape):
    mean, var = RNG.normal(size=shape) + 3, RNG.uniform(0.1, 2, shape)
    got = jax.jit(sn.propagate(spread))(pair(mean, var))
    n = shape[1]
    centre = np.eye(n) - 1 / n
    for i, (m, v) in enumerate(zip(single(mean), single(var), strict=True)):
        av = centre * v  # of x' centre x, a quadratic form
        truth = (m @ centre @ m + np.trace(av)) / n
        truth_var = (2 * np.trace(av @ av) + 4 * m @ centre @ np.diag(v) @ centre @ m) / n**2
        chex.assert_trees_all_close(got.mean[i], single(truth), rtol=1e-4)
        chex.assert_trees_all_close(got.var[i], single(truth_var), rtol=1e-4)


def test_what_is_less_its_mean():
    mean, var = RNG.normal(size=(2, 3)), RNG.uniform(0.1, 2, (2, 3))
    centre = np.eye(3) - 1 / 3
    got = sn.propagate(lambda x: x - x.mean(-1, keepdims=True))(pair(mean, var))
    chex.assert_trees_all_close(got, pair(mean @ centre, var @ centre**2), rtol=1e-4)
    assert jax.jit(sn.propagate(lambda x: x.std()))(pair(mean, var)).var > 0


# ---- correlation -------------------------------------------------------------------------------


def residual(x, weights):
    for into, out in weights:
        x = x + 0.3 * (jax.nn.relu(x @ into) @ out)
    return x


def test_adjoint_keeps_the_correlation_of_residual_branches():
    keys = jax.random.split(jax.random.key(0), 14)
    weights = [
        tuple(jax.random.normal(k, (24, 24)) / 3.5 for k in keys[2 * i : 2 * i + 2])
        for i in range(6)
    ]
    f = functools.partial(residual, weights=weights)
    x = sn.Gaussian(jax.random.normal(keys[12], (24,)), jnp.full(24, 0.05))
    draws = jax.vmap(f)(x.sample(keys[13], (40_000,)))
    ratios = {
        covariance: np.asarray(jnp.sqrt(jax.jit(sn.propagate(f, covariance))(x).var) / draws.std(0))
        for covariance in ("diagonal", "adjoint")
    }
    assert abs(ratios["adjoint"] - 1).max() < 0.03
    assert abs(ratios["diagonal"] - 1).max() > 0.08  # what is forgotten


def test_the_budget_adds_up_to_the_adjoint_variance():
    """Over the inputs of a linear function; over inputs and layers with random weights."""
    x = pair(RNG.normal(size=(2, 3)), RNG.uniform(0.1, 1, (2, 3)))
    matrix = jnp.asarray(single(RNG.normal(size=(3, 4))))
    found = sn.moments.budget(lambda x: jnp.cumsum(x @ matrix, -1))(x)
    slopes = jax.jacobian(lambda x: jnp.cumsum(x @ matrix, -1))(x.mean)
    chex.assert_trees_all_close(found.inputs[0], slopes**2 * x.var[None, None], rtol=1e-5)
    assert not any(map(np.any, found.layers.values()))

    def network(x, w):
        return {"y": jax.nn.relu(x @ w) @ matrix.T, "constant": 1.0}

    w = pair(RNG.normal(size=(3, 4)), RNG.uniform(0.01, 0.1, (3, 4)))
    for run in (lambda f: f, jax.jit):
        found = run(sn.moments.budget(network))(x, w)
        assert found["constant"] is None
        y, exact = found["y"], sn.propagate(network, "adjoint")(x, w)["y"].var
        chex.assert_trees_all_close(y.total, exact, rtol=1e-5)
        parts = [a.sum((2, 3)) for a in y.inputs] + list(y.layers.values())
        chex.assert_trees_all_close(sum(parts), exact, rtol=1e-5)
        assert [a.shape for a in y.inputs] == [(2, 3, 2, 3), (2, 3, 3, 4)]
        assert all("test_moments.py" in label for label in y.layers)


def test_a_value_less_itself_is_nothing():
    x = pair([1.0, -2.0], [1.0, 4.0])
    got = sn.propagate(lambda x: x - x)(x)
    chex.assert_trees_all_equal(got.var, jnp.zeros(2))
    summed = sn.propagate(lambda x: x.sum() - x[0] - x[1], "adjoint")(x)
    assert summed.var < 1e-6


@pytest.mark.law
def test_the_gradient_of_an_adjoint_variance_is_its_own():
    """Finite differences in float64: gains, remainders and the paths between them all move."""

    def f(x):
        h = jnp.tanh(x) + 0.5 * jax.nn.relu(x - 0.2)
        return (h * h[::-1] + jnp.maximum(h, 0.3 * x[::-1])).sum()

    def variance(point):
        return sn.propagate(f, "adjoint")(sn.Gaussian(*jnp.split(point, 2))).var

    run = jax.jit(jax.value_and_grad(variance), compiler_options=QUICKLY)
    with jax.enable_x64(True):
        point = jnp.array([0.4, -0.7, 1.1, 0.5, 0.2, 0.9])  # means, variances
        slopes = run(point)[1]
        for slope, step in zip(slopes, 1e-5 * jnp.eye(6), strict=True):
            high, low = (run(point + sign * step)[0] for sign in (1, -1))
            np.testing.assert_allclose(slope, (high - low) / 2e-5, rtol=1e-5)


# ---- programs ----------------------------------------------------------------------------------


class Net(nnx.Module):
    def __init__(self, rngs):
        self.conv = nnx.Conv(1, 4, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(4, use_running_average=True, rngs=rngs)
        self.group_norm = nnx.GroupNorm(4, num_groups=1, rngs=rngs)
        self.head = nnx.Linear(16, 5, rngs=rngs)

    def __call__(self, x):
        x = nnx.max_pool(nnx.relu(self.norm(self.conv(x))), (2, 2), (2, 2))
        x = nnx.avg_pool(self.group_norm(nnx.silu(x)), (2, 2), (2, 2))
        return self.head(x.reshape(x.shape[0], -1))


@pytest.mark.relaxed  # Flax's pooling is not strict
def test_a_flax_module_unchanged():
    net = Net(nnx.Rngs(0))
    x = sn.Gaussian(
        jax.random.normal(jax.random.key(0), (2, 8, 8, 1)), jnp.full((2, 8, 8, 1), 0.01)
    )
    got = jax.jit(sn.propagate(net))(x)
    draws = jax.jit(jax.vmap(net))(x.sample(jax.random.key(1), (4000,)))
    error = abs(got.mean - draws.mean(0)) / draws.std(0)
    assert error.max() < 0.25
    assert error.mean() < (abs(net(x.mean) - draws.mean(0)) / draws.std(0)).mean()
    assert (jnp.sqrt(got.var) / draws.std(0)).min() > 0.5
    assert (jnp.sqrt(got.var) / draws.std(0)).max() < 2
    loss = jax.jit(jax.grad(lambda x: sn.propagate(net)(x).var.sum()))
    chex.assert_tree_all_finite(loss(x))


def test_jit_vmap_and_eager_agree():
    x = pair(RNG.normal(size=(3, 4)), RNG.uniform(0.1, 1, (3, 4)))
    f = sn.propagate(lambda x: jax.nn.silu(x) @ jnp.ones((4, 2)))
    chex.assert_trees_all_close(f(x), jax.jit(f)(x), rtol=1e-5)
    one = sn.propagate(lambda x: jax.nn.silu(x) @ jnp.ones((4, 2)))
    chex.assert_trees_all_close(f(x), jax.vmap(one)(x), rtol=1e-5)


def test_pytrees_and_constants_pass_through():
    x = pair([1.0], [1.0])
    got = sn.propagate(lambda d, y: {"random": d["x"] * y, "constant": y + 1})(
        {"x": x}, jnp.ones(1)
    )
    assert isinstance(got["random"], sn.Gaussian)
    chex.assert_trees_all_equal(got["constant"], 2 * jnp.ones(1))


def test_keyword_arguments():
    x = pair([1.0, 2.0], [1.0, 3.0])
    got = sn.propagate(lambda x, *, scale: x * scale)(x, scale=jnp.full(2, 2.0))
    chex.assert_trees_all_equal(got.var, jnp.array([4.0, 12.0]))


@pytest.mark.relaxed  # jax.nn.softmax sums in float32
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize(
    "f", [jax.nn.relu, jax.nn.leaky_relu, jax.nn.silu, jax.nn.softmax, jnp.max, jnp.square]
)
def test_16_bits_are_computed_in_32(f, dtype):
    x = sn.Gaussian(jnp.array([0.5, -1.0, 2.0], dtype), jnp.array([1.0, 2.0, 0.5], dtype))
    got = sn.propagate(f)(x)
    truth = sn.propagate(f)(jax.tree.map(lambda a: a.astype("float32"), x))
    assert got.mean.dtype == jnp.dtype(dtype)
    chex.assert_trees_all_close(
        jax.tree.map(lambda a: a.astype("float32"), got), truth, rtol=0.02, atol=0.02
    )


def test_an_operation_without_a_rule_is_named_with_its_line():
    with pytest.raises(sn.moments.NoRule, match=r"`sort`, called at test_moments.py:\d+"):
        sn.propagate(lambda x: jnp.sort(x))(pair([1.0, 2.0], [1.0, 1.0]))


OTHERWISE = {  # no rule
    "sort": jnp.sort,
    "largest two": lambda x: lax.top_k(x, 2)[0],
    "running log-sum-exp": jax.jit(lax.cumlogsumexp),
    "triangular solve": lambda x: jax.scipy.linalg.solve_triangular(
        jnp.array([[2.0, 0.0, 0.0], [1.0, 3.0, 0.0], [0.5, 1.0, 1.5]]), x, lower=True
    ),
    "at the largest": lambda x: x[jnp.argmax(x)] * 2,
    "a random number of steps": lambda x: lax.while_loop(lambda c: c[0] < 5, lambda c: c * 1.5, x),
}


@pytest.mark.parametrize("name", OTHERWISE)
def test_what_has_no_rule_by_its_tangent_or_by_draws(name):
    f = OTHERWISE[name]
    x = pair([1.0, 3.0, 2.0], [1e-4, 4e-4, 2e-4])
    with pytest.raises(sn.moments.NoRule, match='otherwise="linearize"'):
        sn.propagate(f)(x)
    with jax.enable_x64(True):
        exact = jax.tree.map(lambda a: a.astype("float64"), x)
        truth = np.asarray(jax.vmap(f)(exact.sample(jax.random.key(1), (100_000,))))
    sampled = sn.propagate(f, otherwise="sample", key=jax.random.key(0), num_samples=4000)
    for run in (sampled, jax.jit(sampled)):
        chex.assert_trees_all_close(run(x).mean, single(truth.mean(0)), rtol=0.01)
        chex.assert_trees_all_close(run(x).var, single(truth.var(0)), rtol=0.1)
    if name != "a random number of steps":  # whose tangent is of one number of them
        for covariance in ("diagonal", "adjoint"):
            got = sn.propagate(f, covariance, otherwise="linearize")(x)
            chex.assert_trees_all_close(got.mean, f(x.mean), rtol=1e-6)
            chex.assert_trees_all_close(got.var, single(truth.var(0)), rtol=0.05)


def test_random_indices_and_lengths_are_refused():
    x = pair([1.0, 2.0], [1.0, 1.0])
    with pytest.raises(sn.moments.NoRule):
        sn.propagate(lambda x: jnp.arange(4)[x.astype("int32")])(x)
    with pytest.raises(sn.moments.NoRule, match="how long it runs is random"):
        sn.propagate(lambda x: lax.while_loop(lambda x: x.sum() < 9, lambda x: x + 1, x))(x)


def test_bad_arguments():
    with pytest.raises(
        ValueError, match='covariance must be "diagonal", "full" or "adjoint", got \'both\''
    ):
        sn.propagate(jnp.sin, covariance="both")
    with pytest.raises(TypeError, match="primitive must be a primitive"):
        sn.moments.rule("sort")


def test_bad_ways_on():
    with pytest.raises(ValueError, match="otherwise must be"):
        sn.propagate(jnp.sort, otherwise="guess")
    with pytest.raises(TypeError, match=r"pass key=jax\.random\.key"):
        sn.propagate(jnp.sort, otherwise="sample")
    with pytest.raises(TypeError, match="for otherwise"):
        sn.propagate(jnp.sort, otherwise="linearize", key=jax.random.key(0))
    with pytest.raises(TypeError, match="key"):
        sn.propagate(jnp.sort, otherwise="sample", key=0)
    with pytest.raises(ValueError, match="at least 2"):
        sn.propagate(jnp.sort, otherwise="sample", key=jax.random.key(0), num_samples=1)
    with pytest.raises(ValueError, match="forgets where"):
        sn.propagate(jnp.sort, "adjoint", otherwise="sample", key=jax.random.key(0))


def test_a_rule_of_ones_own():
    from stochastic_net.moments._program.registry import RULES

    @sn.moments.rule(primitives.sort_p)
    def sort(x, *, dimension, is_stable, num_keys):
        return sn.Gaussian(jnp.sort(x.mean), x.var[jnp.argsort(x.mean)])

    try:
        got = sn.propagate(jnp.sort)(pair([2.0, 1.0], [3.0, 4.0]))
        chex.assert_trees_all_equal(got.var, jnp.array([4.0, 3.0]))
    finally:
        del RULES[primitives.sort_p]
