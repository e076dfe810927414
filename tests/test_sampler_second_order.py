"""Second derivatives of the samplers, and draws that are smooth in their parameters."""

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
import scipy.stats
from _compile import QUICKLY
from _samplers import FALSE_ALARM, SAMPLERS, draws, sampler
from jax.test_util import check_grads

import stochastic_net as sn

pytestmark = pytest.mark.law

mp.mp.dps = 50


def true_curvature(a, z):
    """d2z/da2 of the quantile that lies at z."""
    u = mp.gammainc(a, 0, z, regularized=True)

    def quantile(a):
        return mp.findroot(lambda x: mp.gammainc(a, 0, x, regularized=True) - u, z)

    return float(mp.diff(quantile, a, 2, h=mp.mpf(10) ** -10))


def test_second_derivatives_of_a_gamma_draw():
    """d2z/da2 at a fixed quantile, forward over reverse and reverse over reverse, in float64."""

    def draw(a):
        return sn.random.gamma(jax.random.key(4), a, (), "float64")

    with jax.enable_x64(True):
        for a in (0.4, 1.5, 20.0):
            truth = true_curvature(a, float(draw(a)))
            np.testing.assert_allclose(jax.grad(jax.grad(draw))(a), truth, rtol=1e-7)
            np.testing.assert_allclose(jax.jacfwd(jax.grad(draw))(a), truth, rtol=1e-7)


@pytest.mark.parametrize("name", [*SAMPLERS, "dirichlet"])
def test_second_derivatives_exist(name):
    """Forward over reverse is finite for each sampler and each pair of its parameters."""
    rows = [jnp.array([0.7, 1.5, 4.0]) for _ in SAMPLERS.get(name, (None, [(1,)]))[1][0]]

    def total(*rows):
        z = sampler(name)(jax.random.key(1), *rows)
        return (z * z).sum()

    hessian = jax.jit(jax.hessian(total, range(len(rows))))(*rows)
    assert all(jnp.isfinite(block).all() for block in jax.tree.leaves(hessian))


# Settings of which one array a parameter, so that a sampler is compiled once for all of them.
SMOOTH = {
    "gamma": ([0.3, 1.3, 20.0],),
    "loggamma": ([0.3, 4.0],),
    "inverse_gamma": ([2.5, 0.9],),
    "generalized_normal": ([1.5, 4.0],),
    "beta": ([0.8, 3.0], [1.7, 0.4]),
    "f": ([4.0, 2.0], [5.0, 9.0]),
    "t": ([1.5, 5.0],),
    "dirichlet": ([0.5, 2.0], [1.5, 0.7], [3.0, 0.9]),
    "truncated_normal": ([-0.5, 5.0, 0.0], [2.0, 7.0, 1.5]),
    "von_mises": ([0.2, 3.0, 50.0],),
    "wald": ([0.5, 20.0],),
}


def smooth_draw(name, dtype):
    """A draw for each setting and ten of them, as a function of the parameters' arrays."""

    def draw(*row):
        shape, options = (10, row[0].size), {"dtype": dtype, "coupling": "smooth"}
        if name == "dirichlet":
            alpha = jnp.stack(row, -1)
            x = sampler(name)(jax.random.key(3), alpha, shape, **options)
            return x @ jnp.arange(1, 4, dtype=dtype)
        return sampler(name)(jax.random.key(3), *row, shape=shape, **options)

    return draw


def derivatives(draw):
    """A jitted function: draws, their first derivatives by both modes, their second by two."""

    def by(i, function, row):
        one = jnp.ones_like(row[i])
        moved = lambda p: function(*row[:i], p, *row[i + 1 :])  # noqa: E731
        return jax.jvp(moved, (row[i],), (one,))

    def pulled(*row):
        z, pull = jax.vjp(draw, *row)
        return tuple(pull(jnp.ones_like(z)))

    def everything(*row):
        pairs = [by(i, draw, row) for i in range(len(row))]
        forward = [slope.sum(0) for _, slope in pairs]  # over the ten draws of each setting
        reverse, pull = jax.vjp(pulled, *row)
        over_reverse = [by(i, pulled, row)[1] for i in range(len(row))]
        basis = [
            tuple(jnp.full_like(r, i == j) for j, r in enumerate(reverse)) for i in range(len(row))
        ]
        return pairs[0][0].sum(0), (forward, reverse), (over_reverse, [pull(b) for b in basis])

    return jax.jit(everything, compiler_options=QUICKLY)


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_draws_move_as_finite_differences_say(name):
    """With a fixed key, to second order, forward and in reverse: a smooth coupling."""
    with jax.enable_x64(True):
        row = [jnp.array(column, "float64") for column in SMOOTH[name]]
        everything = derivatives(smooth_draw(name, "float64"))
        _, first, second = everything(*row)
        for i, column in enumerate(row):
            h = 1e-3 * jnp.maximum(jnp.abs(column), 0.1)
            ends = [
                everything(*row[:i], column + k * h, *row[i + 1 :]) for k in (-2.0, -1.0, 1.0, 2.0)
            ]

            def difference(pick, ends=ends, h=h):
                a, b, c, d = (pick(end) for end in ends)
                return (a - 8 * b + 8 * c - d) / (12 * h)

            for slopes in first:
                np.testing.assert_allclose(
                    slopes[i], difference(lambda end: end[0]), rtol=1e-6, atol=1e-8
                )
            for curvature in second:
                for j in range(len(row)):
                    expected = difference(lambda end, j=j: end[1][1][j])
                    np.testing.assert_allclose(curvature[i][j], expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", ["gamma", "truncated_normal", "von_mises", "wald"])
def test_smooth_draws_pass_check_grads(name):
    """The check that users run, in float32."""
    row = tuple(jnp.array(column) for column in SMOOTH[name])
    draw = jax.jit(smooth_draw(name, "float32"))
    check_grads(draw, row, order=1, modes=["fwd", "rev"], atol=2e-2, rtol=2e-2, eps=1e-2)


@pytest.mark.parametrize(
    ("name", "row"),
    [("gamma", (0.5,)), ("gamma", (1e4,)), ("beta", (0.4, 30.0)), ("t", (0.5,)), ("f", (3.0, 4.0))],
    ids=str,
)
def test_smooth_draws_follow_the_law(name, row):
    z = draws(name, row, 20_000, coupling="smooth")
    law = SAMPLERS[name][0](*np.float64(np.float32(row)))
    assert scipy.stats.kstest(np.asarray(z, float), law.cdf).pvalue > FALSE_ALARM / 5


def test_smooth_draws_move_as_fast_ones_do():
    """One law, one gradient: of a Dirichlet too, whose sticks have another derivative."""
    alpha = jnp.array([0.6, 1.0, 2.5])

    def gradients(coupling):
        keys = jax.random.split(jax.random.key(8), 4000)

        def f(alpha, key):
            return sn.random.dirichlet(key, alpha, coupling=coupling) ** 2 @ jnp.arange(3.0)

        sample = np.asarray(jax.jit(jax.vmap(jax.grad(f), (None, 0)))(alpha, keys), float)
        return sample.mean(0), sample.std(0) / np.sqrt(len(keys))

    (fast, fast_error), (smooth, smooth_error) = map(gradients, ("fast", "smooth"))
    z = (fast - smooth) / np.hypot(fast_error, smooth_error)
    assert np.abs(z).max() < scipy.stats.norm.isf(FALSE_ALARM / 6)
