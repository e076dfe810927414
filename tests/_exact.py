"""Expectations of estimators over all their randomness, without drawing."""

import contextlib
import itertools
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from stochastic_net.distributions import _noise


@contextlib.contextmanager
def uniforms_of(take):
    """Where the library would make uniform numbers, `take(shape)` gives them."""

    def two_sided(key, shape, dtype):
        u = jnp.asarray(take(shape), dtype)
        return _noise.TwoSided(jnp.minimum(u, 1 - u), u > 0.5)

    with mock.patch.object(_noise, "two_sided_uniform", two_sided):
        yield


def count(run):
    """How many uniform numbers `run()` takes."""
    taken = []

    def take(shape):
        taken.append(int(np.prod(shape)))
        return np.full(shape, 0.3)

    with uniforms_of(take):
        jax.eval_shape(run)
    return sum(taken)


def given(run, u):
    """`run()` with the numbers u in the place of its noise."""
    place = itertools.count()
    at = {"start": 0}

    def take(shape):
        next(place)
        start, size = at["start"], int(np.prod(shape))
        at["start"] = start + size
        return u[start : start + size].reshape(shape)

    with uniforms_of(take):
        return run()


def rule(breaks, nodes):
    """Gauss-Legendre between the breaks of (0, 1): points and weights."""
    ends = np.unique([0.0, *breaks, 1.0])
    x, w = np.polynomial.legendre.leggauss(nodes)
    points = [a + (b - a) * (x + 1) / 2 for a, b in itertools.pairwise(ends)]
    weights = [(b - a) * w / 2 for a, b in itertools.pairwise(ends)]
    return np.concatenate(points), np.concatenate(weights)


def integrate(run, rules):
    """E run() by a product rule, one for each uniform number that it takes; and E run()^2."""
    grid = np.stack([g.ravel() for g in np.meshgrid(*(r[0] for r in rules), indexing="ij")], -1)
    weight = np.prod(
        [g.ravel() for g in np.meshgrid(*(r[1] for r in rules), indexing="ij")], axis=0
    )
    found = jax.jit(lambda u: jax.lax.map(lambda row: given(run, row), u, batch_size=4096))(
        jnp.asarray(grid)
    )
    mean = jax.tree.map(lambda x: np.tensordot(weight, np.asarray(x), 1), found)
    square = jax.tree.map(lambda x: np.tensordot(weight, np.asarray(x) ** 2, 1), found)
    return mean, square
