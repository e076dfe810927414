"""Expectations of estimators over all their randomness, without drawing.

The noise of every discrete estimator is made of uniform numbers that come from one function. Here
they are arguments: points and weights of a rule that is exact for the function at hand.
"""

import contextlib
import itertools
import math
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from stochastic_net.distributions import _noise


@contextlib.contextmanager
def _uniforms(take):
    def two_sided(key, shape, dtype):
        u = jnp.asarray(take(shape), dtype)
        return _noise.TwoSided(jnp.minimum(u, 1 - u), u > 0.5)

    with mock.patch.object(_noise, "two_sided_uniform", two_sided):
        yield


def count(run):
    """How many uniform numbers `run()` takes."""
    taken = []

    def take(shape):
        taken.append(math.prod(shape))
        return np.full(shape, 0.3)

    with _uniforms(take):
        jax.eval_shape(run)
    return sum(taken)


def given(run, u):
    """`run()` with the numbers u as its noise."""
    start = itertools.accumulate(itertools.repeat(0))
    place = {"next": next(start)}

    def take(shape):
        at = place["next"]
        place["next"] = at + math.prod(shape)
        return u[at : place["next"]].reshape(shape)

    with _uniforms(take):
        return run()


def expectation(run, rules):
    """The means of `run()` and of its square; `rules` are (points, weights), points in vectors.

    Rules are for parts of the noise that are independent: their product is taken.
    """
    points = [
        np.concatenate([(), *parts]) for parts in itertools.product(*(list(p) for p, _ in rules))
    ]
    weights = np.array([math.prod(parts) for parts in itertools.product(*(w for _, w in rules))])
    with jax.debug_key_reuse(False):  # the noise is not made of the key
        found = jax.jit(lambda u: jax.lax.map(lambda row: given(run, row), u, batch_size=4096))(
            jnp.asarray(np.array(points))
        )
    found = jax.tree.map(lambda x: np.asarray(x, np.float64), found)
    mean = jax.tree.map(lambda x: np.tensordot(weights, x, 1), found)
    square = jax.tree.map(lambda x: np.tensordot(weights, x * x, 1), found)
    return mean, square


def interval(breaks=(), nodes=1):
    """One uniform number: Gauss-Legendre between the breaks of (0, 1)."""
    ends = np.unique([0.0, *breaks, 1.0])
    x, w = np.polynomial.legendre.leggauss(nodes)
    points = [a + (b - a) * (x + 1) / 2 for a, b in itertools.pairwise(ends)]
    weights = [(b - a) * w / 2 for a, b in itertools.pairwise(ends)]
    return np.concatenate(points)[:, None], np.concatenate(weights)


def choice(probs):
    """The uniform numbers of one Gumbel-max draw: one of them large, for each class."""
    return np.where(np.eye(len(probs)), 1 - 1e-12, 0.01), np.asarray(probs)


def subsets(probs, size):
    """The uniform numbers of a Gumbel-top-k draw, and the probability of each set: by orders."""
    points, weights = [], []
    for members in itertools.combinations(range(len(probs)), size):
        points.append(np.where(np.isin(np.arange(len(probs)), members), 1 - 1e-15, 1e-300))
        weight = 0.0
        for order in itertools.permutations(members):
            left, chance = 1.0, 1.0
            for i in order:
                chance *= probs[i] / left
                left -= probs[i]
            weight += chance
        weights.append(weight)
    return np.array(points), np.array(weights)
