"""The estimators beside each other, beside code by hand, and beside Storchastic.

Four tables: exact variances on one coin; gradient variance at equal evaluations on a binary
autoencoder of mnist5k with 200 latent coins; variance and time of Storchastic's estimators on one
function; the overhead over code by hand in a jitted training step. They are printed and written as
markdown. Run it on a quiet machine. What is not installed is left out and said so.
"""

import argparse
import importlib.util
import math
import platform
from pathlib import Path

import _vae
import jax
import jax.numpy as jnp
import numpy as np
from _harness import interleave, ratio

import stochastic_net as sn

E, D = sn.estimators, sn.distributions


def table(head, rows):
    rule = ["---", *["--:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in (head, rule, *rows))


def coin_variances():
    """Of the gradient of E (b - 0.499)^2, over all the noise: quadrature in the uniform number."""
    rows = []
    for name, exact in (
        ("leave_one_out", (2.5e-7, 2.386e-7)),
        ("arm", (8.333e-8, 1.458e-7)),
        ("disarm", (0.0, 1.328e-7)),
    ):
        found = [_coin_variance(getattr(E, name), theta) for theta in (0.0, 1.0)]
        pairs = zip(found, exact, strict=True)
        rows.append([f"`{name}`", *(f"{f:.4g} ({e:.4g})" for f, e in pairs)])
    return table(["two evaluations", "theta = 0 (by hand)", "theta = 1 (by hand)"], rows)


def _coin_variance(estimator, theta, draws=400_000):
    def slope(key):
        f = lambda b: (b - 0.499) ** 2  # noqa: E731
        return jax.grad(lambda t: estimator(f, D.Bernoulli(t), key))(jnp.float32(theta))

    found = jax.jit(jax.vmap(slope))(jax.random.split(jax.random.key(0), draws))
    return float(np.asarray(found, np.float64).var())


def quadratic(w):
    """The surrogate of RODEO: two weights."""
    return E.rodeo(surrogate=lambda v, t: w[0] * t + w[1] * t * t / 100)


def autoencoder(steps):
    """Gradient variance on the autoencoder; those with weights have learned them first."""
    start = jnp.array([1.0, 0.0])
    rows = []
    settings = [(n, _vae.trained(n)) for n in steps]
    learned = [
        (
            _vae.learn(lambda s: E.double_control_variate(scale=s), jnp.float32(1.0), setting),
            _vae.learn(quadratic, start, setting),
        )
        for _, setting in settings
    ]
    makers = {
        "`score_function`": (2, lambda *_: E.score_function(num_samples=2)),
        "`leave_one_out`": (2, lambda *_: E.leave_one_out),
        "`arm`": (2, lambda *_: E.arm),
        "`disarm`": (2, lambda *_: E.disarm),
        "`double_control_variate`, learned scale": (
            2,
            lambda scale, _: E.double_control_variate(scale=scale),
        ),
        "`rodeo`, learned quadratic": (2, lambda _, w: quadratic(w)),
        "`rebar(temperature=0.2)`": (3, lambda *_: E.rebar(temperature=0.2)),
        "`straight_through` (biased)": (1, lambda *_: E.straight_through),
        "`reinmax` (biased)": (1, lambda *_: E.reinmax),
    }
    for name, (evaluations, make) in makers.items():
        found = [
            _vae.variance(setting, make(*weights))
            for (_, setting), weights in zip(settings, learned, strict=True)
        ]
        rows.append([name, evaluations, *(f"{v:.4g}" for v in found)])
    return table(["", "evaluations", *(f"after {n} steps" for n in steps)], rows)


def storchastic(draws):
    """One function of 50 coins: variance and time of a gradient, ours and theirs."""
    rng = np.random.default_rng(0)
    matrix = (rng.normal(size=(20, 50)) / 7).astype(np.float32)
    target, logits = (rng.normal(size=n).astype(np.float32) for n in (20, 50))
    ours = {
        "score_function": E.score_function(num_samples=2),
        "leave_one_out": E.leave_one_out,
        "arm": E.arm,
        "disarm": E.disarm,
        "rebar": E.rebar(temperature=1.0),
        "gumbel_softmax": E.gumbel_softmax(temperature=0.5),
    }

    def f(z):
        return ((jnp.asarray(matrix) @ jnp.asarray(z, jnp.float32) - target) ** 2).sum()

    law = D.Bernoulli(jnp.asarray(logits))
    report = E.compare(f, law, jax.random.key(0), list(ours.values()), num_keys=20_000)
    measured = dict(zip(ours, report.rows, strict=True))
    have = importlib.util.find_spec("storch") is not None
    rows = []
    for name, mine in measured.items():
        row = [f"`{name}`", f"{mine.total_variance:.4g}", f"{1e6 * mine.seconds:.0f}"]
        if have:
            import _storchastic

            theirs, seconds = _storchastic.gradients(name, matrix, target, logits, draws)
            spread = ((theirs - theirs.mean(0)) ** 2).sum(-1)
            error = spread.std() / math.sqrt(draws)
            row += [f"{spread.mean():.4g} ± {error:.2g}", f"{1e6 * seconds:.0f}"]
            row += [f"{seconds / mine.seconds:.1f}"]
        rows.append(row)
    head = ["", "variance", "us"]
    head += ["Storchastic: variance", "us", "times as fast"] if have else []
    note = "" if have else "\n\nStorchastic is not installed: `pip install storchastic`."
    return table(head, rows) + note


def overhead(rounds):
    """A jitted training step of the autoencoder, with pairs and with coins, by hand and by ours."""
    data = _vae.images()[:100]
    params = _vae.init(jax.random.key(0), data)
    runs = {}
    for name, step in STEPS.items():
        run = jax.jit(jax.value_and_grad(step))
        runs["step", name] = lambda run=run: jax.block_until_ready(
            run(params, data, jax.random.key(0))
        )
    times = interleave(runs, rounds)
    rows = []
    for name, hand in HANDS:
        mine, theirs = times["step", name], times["step", hand]
        middle, low, high = ratio(mine, theirs)
        figures = [f"{1e3 * np.median(theirs):.2f}", f"{1e3 * np.median(mine):.2f}"]
        rows.append([f"`{name}`", hand, *figures, f"{middle:.3f} ({low:.3f} to {high:.3f})"])
    return table(["", "against", "by hand, ms", "ours, ms", "ratio (95 %)"], rows)


def _batch_step(one):
    def step(params, x, key):
        keys = jax.random.split(key, len(x))
        return jax.vmap(lambda x, k: one(params, x, k))(x, keys).mean()

    return step


def _pair(params, x):
    return _vae.encode(params, x), jnp.ones(_vae.COINS)


def _pathwise(params, x, key):
    mean, var = _pair(params, x)
    return E.pathwise(_vae.log_likelihood(params, x), sn.Gaussian(mean, var), key)


def _pathwise_by_hand(params, x, key):
    mean, var = _pair(params, x)
    z = mean + jnp.sqrt(var) * jax.random.normal(key, mean.shape)
    return _vae.log_likelihood(params, x)(z)


def _pathwise_of_pair(params, x, key):
    mean, var = _pair(params, x)
    return _vae.log_likelihood(params, x)(sn.Gaussian(mean, var).sample(key))


def _score(params, x, key):
    law = D.Bernoulli(_vae.encode(params, x))
    return E.score_function(_vae.log_likelihood(params, x), law, key)


def _score_by_hand(params, x, key):
    logits = _vae.encode(params, x)
    law = D.Bernoulli(jax.lax.stop_gradient(logits))
    z = law.sample(key).astype(jnp.float32)
    value = _vae.log_likelihood(params, x)(z)
    log_prob = -jax.nn.softplus(jnp.where(z == 1, -logits, logits)).sum()
    return value + jax.lax.stop_gradient(value) * (log_prob - jax.lax.stop_gradient(log_prob))


STEPS = {
    "arrays by hand": _batch_step(_pathwise_by_hand),
    "a pair, z = x.sample(key)": _batch_step(_pathwise_of_pair),
    "pathwise": _batch_step(_pathwise),
    "score by hand": _batch_step(_score_by_hand),
    "score_function": _batch_step(_score),
}
HANDS = (
    ("pathwise", "a pair, z = x.sample(key)"),
    ("pathwise", "arrays by hand"),
    ("score_function", "score by hand"),
)
TEXT = """# Estimators, measured

Written by `python benchmarks/estimators.py` on {machine}. `sn.estimators.compare` makes such a
table for a function of yours.

## One coin, exactly

Variance of the gradient of E (b - 0.499)^2, b ~ Bernoulli(sigmoid(theta)), over 400,000 gradients;
in brackets the value by hand. (`pytest tests/test_estimators.py -k exact_variances` integrates it.)

{coin}

## A binary autoencoder of mnist5k

200 coins between layers of 200, trained with `disarm`; variance of the gradient of
E log p(x | z) in the logits, summed over the coins, the mean over 50 images, of 200 gradients each.
Learned weights are trained by `second_moment` for 300 steps.

{autoencoder}

## Beside Storchastic 0.3.7

f(z) = |A z - y|^2 of 50 coins, the same A and y, evaluations and temperature; the time is that of
one gradient, in PyTorch on one thread and in JAX under `jit`.

{storchastic}

## Overhead over code by hand

Value and gradient of a batch of 100 images, jitted, rounds interleaved. What a pair costs over bare
arrays is the check of its values where it is made inside `jit`.

{overhead}
"""


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    tables = ("coin", "autoencoder", "storchastic", "overhead")
    parser.add_argument("--only", choices=tables, help="print one table, write nothing")
    parser.add_argument("--rounds", type=int, default=60, help="of the timing (default: 60)")
    parser.add_argument("--draws", type=int, default=4000, help="of Storchastic (default: 4000)")
    parser.add_argument("--steps", type=int, nargs="+", default=[200, 2000], help="of training")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parents[1] / "docs" / "estimators.md"
    )
    options = parser.parse_args()
    makers = {
        "coin": coin_variances,
        "autoencoder": lambda: autoencoder(options.steps),
        "storchastic": lambda: storchastic(options.draws),
        "overhead": lambda: overhead(options.rounds),
    }
    found = {}
    for name in [options.only] if options.only else tables:
        found[name] = makers[name]()
        print(f"{name}\n{found[name]}\n", flush=True)
    if not options.only:
        device = jax.devices()[0]
        machine = f"{device.platform} ({platform.machine()}), JAX {jax.__version__}"
        options.out.write_text(TEXT.format(machine=machine, **found))


if __name__ == "__main__":
    main()
