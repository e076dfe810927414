"""Gradient estimators of the JAX libraries beside ours: one problem and one budget a row.

A row is made by a function from the problem to a function of the key, which returns one gradient.
All are timed in one interleaved run, and their variance is taken over the same number of keys.
"""

import importlib.metadata
import importlib.util
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from _harness import interleave

import stochastic_net as sn

E, D, O = sn.estimators, sn.distributions, sn.objectives  # noqa: E741
BOUND = 8  # draws of an importance-weighted bound
DISTRIBUTIONS = {"NumPyro": "numpyro", "TFP": "tfp-nightly", "GenJAX": "genjax"}


class Problem(NamedTuple):
    """f(z) = |matrix z - target|^2; the parameters of the coins, or the means of the numbers."""

    matrix: jax.Array
    target: jax.Array
    theta: jax.Array

    def f(self, z):
        return ((self.matrix @ jnp.asarray(z, jnp.float32) - self.target) ** 2).sum()

    def many(self, z):
        """f along leading axes."""
        return ((jnp.asarray(z, jnp.float32) @ self.matrix.T - self.target) ** 2).sum(-1)


class Row(NamedTuple):
    """Evaluations of f that ours takes and theirs, and the two gradients."""

    evaluations: tuple[int, int]
    ours: Callable[[Problem], Callable]
    theirs: Callable[[Problem], Callable]
    size: int = 50


def problem(size):
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(20, size)) / math.sqrt(size)
    return Problem(*(jnp.float32(x) for x in (matrix, rng.normal(size=20), rng.normal(size=size))))


def by(value: Callable) -> Callable[[Problem], Callable]:
    """The gradient of `value(problem, theta, key)` in theta."""
    return lambda p: lambda key: jax.grad(lambda theta: value(p, theta, key))(p.theta)


# Ours.


def coins(estimator):
    return by(lambda p, theta, key: estimator(p.f, D.Bernoulli(theta), key))


def numbers(estimator):
    return by(lambda p, theta, key: estimator(p.f, sn.Gaussian(theta, jnp.ones_like(theta)), key))


def bound(objective, law, prior, **options):
    def value(p, theta, key):
        return objective(lambda z: -0.1 * p.f(z), law(theta), prior, key, **options).value

    return by(value)


def unit(theta):
    return sn.Gaussian(theta, jnp.ones_like(theta))


COIN, NUMBER = D.Bernoulli(0.0), sn.Gaussian(0.0, 1.0)


# NumPyro: bounds of programs; 0.1 f is their negative log-likelihood.


def numpyro_bound(name, kind, **options):
    import numpyro
    from numpyro import distributions as nd
    from numpyro import infer

    def law(theta):
        law = nd.Bernoulli(logits=theta) if kind == "coins" else nd.Normal(theta, 1.0)
        return law.to_event(1)

    def gradient(p):
        def model(theta):
            z = numpyro.sample("z", law(jnp.zeros_like(theta)))
            numpyro.factor("f", -0.1 * p.f(z))

        def guide(theta):
            numpyro.sample("z", law(theta))

        loss = getattr(infer, name)(**options).loss
        return lambda key: jax.grad(lambda theta: -loss(key, {}, model, guide, theta))(p.theta)

    return gradient


def numpyro_enumerated(p):
    import numpyro
    from numpyro import distributions as nd
    from numpyro import infer

    def coin(i, theta, **options):
        return numpyro.sample(f"z{i}", nd.Bernoulli(logits=theta), **options)

    def model(theta):
        z = [coin(i, 0.0) for i in range(len(theta))]
        terms = [sum(a * z[i] for i, a in enumerate(row)) for row in np.asarray(p.matrix)]
        f = sum((t - y) ** 2 for t, y in zip(terms, np.asarray(p.target), strict=True))
        numpyro.factor("f", -0.1 * f)

    def guide(theta):
        for i, t in enumerate(theta):
            coin(i, t, infer={"enumerate": "parallel"})

    loss = infer.TraceEnum_ELBO(max_plate_nesting=0).loss
    return lambda key: jax.grad(lambda theta: -loss(key, {}, model, guide, theta))(p.theta)


# TFP.


def tfp_law(kind, theta):
    from tensorflow_probability.substrates.jax import distributions as tfd

    law = tfd.Bernoulli(logits=theta) if kind == "coins" else tfd.Normal(theta, 1.0)
    return tfd.Independent(law, 1)


def tfp_expectation(kind, draws, moving):
    from tensorflow_probability.substrates import jax as tfp

    def value(p, theta, key):
        law = tfp_law(kind, theta)
        z = law.sample(draws, seed=key)
        return tfp.monte_carlo.expectation(
            p.many, z, log_prob=law.log_prob, use_reparameterization=moving
        )

    return by(value)


def tfp_bound(kind, estimator, draws):
    from tensorflow_probability.substrates import jax as tfp

    def value(p, theta, key):
        prior, law = tfp_law(kind, jnp.zeros_like(theta)), tfp_law(kind, theta)
        return -tfp.vi.monte_carlo_variational_loss(
            lambda z: prior.log_prob(z) - 0.1 * p.many(z),
            law,
            importance_sample_size=draws,
            gradient_estimator=tfp.vi.GradientEstimators[estimator],
            stopped_surrogate_posterior=tfp_law(kind, jax.lax.stop_gradient(theta)),
            seed=key,
        )

    return by(value)


def tfp_relaxed(p):
    from tensorflow_probability.substrates.jax import distributions as tfd

    def value(p, theta, key):
        return p.f(tfd.RelaxedBernoulli(0.5, logits=theta).sample(seed=key))

    return by(value)(p)


# GenJAX: a program of its draws, and the key by a transformation.


def genjax(draw, *, probabilities):
    from genjax import adev
    from genjax.pjax import seed

    def gradient(p):
        @adev.expectation
        def objective(theta):
            if probabilities:
                z = getattr(adev, draw)(jax.nn.sigmoid(theta))
            else:
                z = getattr(adev, draw)(theta, jnp.ones_like(theta))
            return p.f(z)

        return lambda key: seed(objective.grad_estimate)(key, p.theta)

    return gradient


ROWS: dict[str, dict[str, Row]] = {
    "NumPyro": {
        "ELBO of coins by the score: `TraceGraph_ELBO`": Row(
            (2, 2),
            bound(
                O.elbo, D.Bernoulli, COIN, estimator=E.score_function, num_samples=2, kl="sampled"
            ),
            lambda p: numpyro_bound("TraceGraph_ELBO", "coins", num_particles=2)(p),
        ),
        "the same, ours by `leave_one_out`, closed KL": Row(
            (2, 2),
            bound(O.elbo, D.Bernoulli, COIN, estimator=E.leave_one_out),
            lambda p: numpyro_bound("TraceGraph_ELBO", "coins", num_particles=2)(p),
        ),
        "ELBO of 8 coins by enumeration: `TraceEnum_ELBO`": Row(
            (256, 256),
            bound(O.elbo, D.Bernoulli, COIN, estimator=E.enumerate_support),
            numpyro_enumerated,
            size=8,
        ),
        "ELBO of numbers by the path: `TraceMeanField_ELBO`": Row(
            (1, 1),
            bound(O.elbo, unit, NUMBER),
            lambda p: numpyro_bound("TraceMeanField_ELBO", "numbers")(p),
        ),
        "IWAE of numbers: `RenyiELBO(alpha=0)`": Row(
            (BOUND, BOUND),
            bound(O.iwae, unit, NUMBER, num_samples=BOUND),
            lambda p: numpyro_bound("RenyiELBO", "numbers", alpha=0.0, num_particles=BOUND)(p),
        ),
    },
    "TFP": {
        "coins by the score: `monte_carlo.expectation`": Row(
            (2, 2),
            coins(E.score_function(num_samples=2)),
            lambda p: tfp_expectation("coins", 2, False)(p),
        ),
        "coins, relaxed: `RelaxedBernoulli`": Row(
            (1, 1), coins(E.gumbel_softmax(hard=False, temperature=0.5)), tfp_relaxed
        ),
        "numbers by the path: `monte_carlo.expectation`": Row(
            (1, 1), numbers(E.pathwise), lambda p: tfp_expectation("numbers", 1, True)(p)
        ),
        "VIMCO of coins: `vi`, `VIMCO`": Row(
            (BOUND, BOUND),
            bound(O.vimco, D.Bernoulli, COIN, num_samples=BOUND),
            lambda p: tfp_bound("coins", "VIMCO", BOUND)(p),
        ),
        "IWAE of numbers: `vi`, `DOUBLY_REPARAMETERIZED`": Row(
            (BOUND, BOUND),
            bound(O.iwae, unit, NUMBER, num_samples=BOUND),
            lambda p: tfp_bound("numbers", "DOUBLY_REPARAMETERIZED", BOUND)(p),
        ),
    },
    "GenJAX": {
        "coins by the score: `flip_reinforce`": Row(
            (1, 1), coins(E.score_function), lambda p: genjax("flip_reinforce", probabilities=1)(p)
        ),
        "coins, measure-valued: `flip_mvd`": Row(
            (101, 51), coins(E.measure_valued), lambda p: genjax("flip_mvd", probabilities=1)(p)
        ),
        "8 coins: `flip_enum`, ours by `enumerate_support`": Row(
            (256, 9),
            coins(E.enumerate_support),
            lambda p: genjax("flip_enum", probabilities=1)(p),
            size=8,
        ),
        "numbers by the path: `normal_reparam`": Row(
            (1, 1), numbers(E.pathwise), lambda p: genjax("normal_reparam", probabilities=0)(p)
        ),
        "numbers by the score: `normal_reinforce`": Row(
            (1, 1),
            numbers(E.score_function),
            lambda p: genjax("normal_reinforce", probabilities=0)(p),
        ),
    },
}


class Spread(NamedTuple):
    """Over keys the mean of a gradient and its error, and the variance, summed, with its error."""

    mean: np.ndarray
    error: np.ndarray
    variance: float
    variance_error: float

    def __str__(self):
        return f"{self.variance:.4g} ± {self.variance_error:.2g}"


def spread(gradient, draws):
    keys = jax.random.split(jax.random.key(0), draws)
    found = np.asarray(jax.jit(lambda keys: jax.lax.map(gradient, keys))(keys), np.float64)
    square = ((found - found.mean(0)) ** 2).sum(-1)
    error = found.std(0) / math.sqrt(draws)
    return Spread(found.mean(0), error, square.mean(), square.std() / math.sqrt(draws))


def table(rounds, draws):
    """Rows of the table, and notes: which library is not here, which function does not run."""
    jobs, runs, notes = {}, {}, []
    for library, name, row in ((x, n, r) for x, its in ROWS.items() for n, r in its.items()):
        if importlib.util.find_spec(MODULES[library]) is None:
            notes.append(f"{library} is not installed.")
            continue
        p = problem(row.size)
        gradients = {"ours": row.ours(p), "theirs": row.theirs(p)}
        try:
            spreads = {who: spread(gradient, draws) for who, gradient in gradients.items()}
        except Exception as error:
            notes.append(f"{library}, {name}: {type(error).__name__} under `jit`.")
            continue
        jobs[library, name] = row, spreads
        for who, gradient in gradients.items():
            jitted, key = jax.jit(gradient), jax.random.key(1)
            runs[library, name, who] = lambda f=jitted, k=key: jax.block_until_ready(f(k))
    times = interleave(runs, rounds)
    lines = [_line(place, *job, times) for place, job in jobs.items()]
    return lines, list(dict.fromkeys(notes))


def _line(place, row, spreads, times):
    """One row; the z-score is of the difference of the two means, at its largest."""
    mine, theirs = spreads["ours"], spreads["theirs"]
    us = [1e6 * float(np.median(times[*place, who])) for who in ("ours", "theirs")]
    rounding = 1e-5 * (1 + np.abs(mine.mean))
    z = np.abs(mine.mean - theirs.mean) / (np.hypot(mine.error, theirs.error) + rounding)
    count = " / ".join(map(str, row.evaluations))
    timing = f"{us[0]:.0f}", f"{us[1]:.0f}", f"{us[1] / us[0]:.2f}"
    return [": ".join(place), count, mine, theirs, *timing, f"{z.max():.1f}"]


MODULES = {"NumPyro": "numpyro", "TFP": "tensorflow_probability", "GenJAX": "genjax"}
HEAD = ("ours / theirs", "evaluations", "variance, ours", "theirs", "us, ours", "theirs")
HEAD += ("times as fast", "z")


def versions():
    here = [name for name in DISTRIBUTIONS if importlib.util.find_spec(MODULES[name])]
    return ", ".join(f"{n} {importlib.metadata.version(DISTRIBUTIONS[n])}" for n in here)
