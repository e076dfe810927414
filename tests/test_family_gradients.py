"""Every family's gradient through a draw: unbiased, finite, and an error where there is none.

The z-tests are held to 5.5 sigma: 4e-8 each, 2e-5 for the 500 of them. Keys are fixed.
"""

import functools
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _families import continuous, discrete, exact
from _laws import log_density

pytestmark = pytest.mark.law

DRAWS = 20_000


@functools.cache
def draws_and_slopes(row):
    """Draws of every setting of a family, and how each moves with its own copy of the parameters.

    And how its tanh does, which is finite where the draw's own derivative is beyond float32.
    Shapes (draws, settings), of float64; one program for both tests below.
    """

    @jax.jit
    def measure(dist):
        z, pullback = jax.vjp(lambda dist: dist.sample(jax.random.key(0)), dist)
        return z, *(pullback(slope)[0] for slope in (jnp.ones_like(z), 1 - jnp.tanh(z) ** 2))

    settings = {n: np.broadcast_to(v, (DRAWS, *v.shape)) for n, v in row.settings.items()}
    z, *grads = measure(row.build(settings=settings))
    return exact(z), *({name: exact(getattr(grad, name)) for name in settings} for grad in grads)


# Functions of a standardised draw, and of an angle, with their derivatives.
TESTS = [
    (np.tanh, lambda y: 1 / np.cosh(np.clip(y, -300, 300)) ** 2),
    (lambda y: np.sin(2 * y + 0.5), lambda y: 2 * np.cos(2 * y + 0.5)),
    (lambda y: np.exp(-np.square(y)), lambda y: -2 * y * np.exp(-np.square(y))),
]
PERIODIC_TESTS = [
    (lambda z: np.cos(z - 0.3), lambda z: -np.sin(z - 0.3)),
    (lambda z: np.sin(2 * z), lambda z: 2 * np.cos(2 * z)),
    (lambda z: np.exp(np.sin(z)), lambda z: np.cos(z) * np.exp(np.sin(z))),
]


@continuous
def test_the_gradient_of_an_expectation_is_unbiased(row):
    # Truth: the derivative of the integral of f over the law, by quadrature and differences.
    settings = row.ordinary_arrays()
    z, slopes, _ = draws_and_slopes(row)
    for i, law in enumerate(row.laws(settings)):
        setting = {n: exact(v[i]) for n, v in settings.items()}
        middle, width = 0.0, 1.0
        if not row.periodic:
            middle, width = law.ppf(0.5), law.ppf(0.8) - law.ppf(0.2)
        y = (z[:, i] - middle) / width
        for name in settings:
            functions = PERIODIC_TESTS if row.periodic else TESTS
            truths = true_slopes(row, setting, name, [f for f, _ in functions], middle, width)
            for j, ((_, derivative), truth) in enumerate(zip(functions, truths, strict=True)):
                draws = derivative(y) / width * slopes[name][:, i]
                error = draws.std() / math.sqrt(DRAWS)
                assert abs(draws.mean() - truth) < 5.5 * error + 2e-6, (
                    name, i, j, draws.mean(), truth, error,
                )  # fmt: skip


def true_slopes(row, setting, name, functions, middle, width):
    """d E f((z - middle) / width) / d parameter, of each function f."""
    step = 1e-4 * max(abs(setting[name]), 1e-2)
    ends = [quadrature(row, {**setting, name: setting[name] + s}) for s in (step, -step)]
    values = [[(w * f((z - middle) / width)).sum() for f in functions] for z, w in ends]
    return np.subtract(*values) / (2 * step)


def quadrature(row, setting):
    """Values of a law and their weights."""
    law = row.law(setting)
    if not row.periodic:
        u, weights = unit_nodes()
        return law.ppf(u), weights
    z = np.linspace(-np.pi, np.pi, 2000, endpoint=False)  # over a period exact to rounding
    return z, np.exp(log_density(law, z)) * (2 * np.pi / z.size)


@functools.cache
def unit_nodes():
    """Nodes and weights on (0, 1), dense at both ends."""
    edges = np.concatenate([np.geomspace(1e-12, 0.5, 30), 1 - np.geomspace(0.47, 1e-12, 30)])
    points, weights = np.polynomial.legendre.leggauss(10)
    half = (edges[1:] - edges[:-1])[:, None] / 2
    u = (edges[1:] + edges[:-1])[:, None] / 2 + half * points
    return u.ravel(), (half * weights).ravel()


@continuous
def test_gradients_are_finite_everywhere(row):
    z, slopes, of_tanh = draws_and_slopes(row)
    assert np.isfinite(z).all()
    for name in slopes:
        assert np.isfinite(of_tanh[name]).all(), name
        assert (np.isfinite(slopes[name]) | (abs(z) > 1e30)).all(), name


TRANSFORMS = {
    "grad": lambda f, x: jax.grad(f)(x),
    "jit of grad": lambda f, x: jax.jit(jax.grad(f))(x),
    "grad of jit": lambda f, x: jax.grad(jax.jit(f))(x),
    "jvp": lambda f, x: jax.jvp(f, (x,), (x,)),
    "vmap": lambda f, x: jax.vmap(jax.grad(f))(jax.tree.map(lambda leaf: leaf[None], x)),
    "grad of vmap": lambda f, x: jax.grad(lambda x: jax.vmap(f)(x).sum())(
        jax.tree.map(lambda leaf: leaf[None], x)
    ),
}


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
@discrete
def test_no_discrete_draw_is_silently_constant(row, transform):
    dist = row.build()
    names = [n for n, rule in row.family._fields.items() if not rule.support.integer]

    def draw(parameters, dist=dist):
        whole = {n: getattr(dist, n) for n in row.settings} | parameters
        whole = {n: jnp.asarray(v) for n, v in whole.items()}
        tree = jax.tree.unflatten(jax.tree.structure(dist), [whole[n] for n in row.settings])
        return tree.sample(jax.random.key(0)).astype("float32").sum()

    for name in names:
        if "total_count" in row.settings and "vmap" in str(transform):
            continue
        with pytest.raises(TypeError, match=r"discrete.*score_function.*leave_one_out"):
            transform(draw, {name: getattr(dist, name)})
    held = {n: getattr(dist, n) for n in names}
    stopped = jax.grad(lambda p: draw(jax.lax.stop_gradient(p)) * 1.0)(held)
    chex.assert_trees_all_equal(stopped, jax.tree.map(jnp.zeros_like, held))
