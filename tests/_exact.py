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
    def tail(key, shape, dtype):
        u = jnp.asarray(take(shape), dtype)
        return jnp.where(u > 0.5, u - 1, u)

    with mock.patch.object(_noise, "uniform_tail", tail):
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
    return next(expectations(run, [rules]))


def expectations(run, products):
    """`expectation` for each of several lists of rules, compiled once."""
    tables = [_product(rules) for rules in products]
    with jax.debug_key_reuse(False):  # the noise is not made of the key
        evaluate = jax.jit(lambda u: jax.lax.map(lambda row: given(run, row), u, batch_size=4096))
        for points, weights in tables:
            found = jax.tree.map(lambda x: np.asarray(x, np.float64), evaluate(jnp.asarray(points)))
            mean = jax.tree.map(lambda x, w=weights: np.tensordot(w, x, 1), found)
            square = jax.tree.map(lambda x, w=weights: np.tensordot(w, x * x, 1), found)
            yield mean, square


def _product(rules):
    """The points and the weights of a product of rules."""
    points = [
        np.concatenate([(), *parts]) for parts in itertools.product(*(list(p) for p, _ in rules))
    ]
    weights = [math.prod(parts) for parts in itertools.product(*(w for _, w in rules))]
    return np.array(points), np.array(weights)


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


def ends(step=0.25, reach=3.0):
    """One uniform number, whatever a function does at 0 and at 1: tanh of sinh."""
    t = np.arange(-reach, reach + step / 2, step)
    weight = 0.25 * math.pi * step * np.cosh(t) / np.cosh(0.5 * math.pi * np.sinh(t)) ** 2
    return 1 / (1 + np.exp(-math.pi * np.sinh(t))), weight / weight.sum()


def relaxed_choice(probs, place, seed=0):
    """The numbers behind relaxed draws x and x' of one-hot variables, `place` of them integrated.

    x is Gumbel noise around the log-probabilities, z = hard(x), and x' another one given z. Given z
    the numbers of x are u_z = v_z^p_z and u_j = v_j v_z^p_j, v uniform, and those of x' are like v.
    A function of x plus a function of z and x', as all such estimates are, has the expectation

      sum_z p_z (E f(x, x'_0) + E f(x_0, x') - f(x_0, x'_0)),

    three numbers at a time. The other variables have some x, and x' = x.
    """
    dice = np.random.default_rng(seed)
    count, size = probs.shape
    z, v = dice.integers(0, size, count), dice.uniform(0.2, 0.8, probs.shape)
    u, weight = ends()
    grid = np.stack(np.meshgrid(*[u] * size, indexing="ij"), -1).reshape(-1, size)
    weights = np.prod(np.meshgrid(*[weight] * size, indexing="ij"), 0).ravel()

    def first(p, z, v):
        own = np.arange(size) == z
        return np.where(own, 1.0, v) * v[..., z, None] ** p

    fixed = np.stack([first(*each) for each in zip(probs, z, v, strict=True)])
    points, masses = [], []
    for chosen, p in enumerate(probs[place]):
        here = first(probs[place], chosen, v[place])
        for x, after, mass in (
            (first(probs[place], chosen, grid), v[place], p * weights),
            (here, grid, p * weights),
            (here, v[place], np.array([-p])),
        ):
            both = np.empty((len(mass), 2, count, size))
            both[:, 0], both[:, 1] = fixed, v
            both[:, 0, place], both[:, 1, place] = x, after
            points.append(both.reshape(len(mass), -1))
            masses.append(mass)
    return (np.concatenate(points), np.concatenate(masses)), z
