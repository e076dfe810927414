"""The estimators beside each other, beside code by hand, and beside those of other libraries.

Five tables: exact variances on one coin; gradient variance at equal evaluations on a binary
autoencoder of mnist5k with 200 latent coins; variance and time of Storchastic's estimators on one
function; those of NumPyro, TFP and GenJAX; the overhead over code by hand in a jitted training
step. They are printed and written as markdown, each into its section. Run it on a quiet machine.
What is not installed is left out and said so. (GenJAX pins other packages than the rest and needs
Python 3.12: `--only jax` in an environment of its own, with numpyro, funsor and tfp-nightly.)
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


def jax_peers(rounds, draws):
    """The gradient estimators of NumPyro, TFP and GenJAX, one of ours beside each."""
    import _jax_peers

    rows, notes = _jax_peers.table(rounds, draws)
    return table(_jax_peers.HEAD, rows) + "\n\n" + " ".join([f"{_jax_peers.versions()}.", *notes])


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
    p = jax.nn.sigmoid(jax.lax.stop_gradient(logits))
    z = jax.random.bernoulli(key, p).astype(jnp.float32)
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
SECTIONS = {
    "coin": """## One coin, exactly

Variance of the gradient of E (b - 0.499)^2, b ~ Bernoulli(sigmoid(theta)), over 400,000 gradients;
in brackets the value by hand. (`pytest tests -k exact_variances` integrates it.)""",
    "autoencoder": """## A binary autoencoder of mnist5k

200 coins between layers of 200, trained with `disarm`; variance of the gradient of
E log p(x | z) in the logits, summed over the coins, the mean over 50 images, of 200 gradients each.
Learned weights are trained by `second_moment` for 300 steps.""",
    "storchastic": """## Beside Storchastic 0.3.7

f(z) = |A z - y|^2 of 50 coins, the same A and y, evaluations and temperature; the time is that of
one gradient, in PyTorch on one thread and in JAX under `jit`.""",
    "jax": """## Beside NumPyro, TFP and GenJAX

f(z) = |A z - y|^2 of 50 coins or of 50 numbers with a variance of one, 0.1 f as negative
log-likelihood of the bounds, 8 draws for those by importance. Variance of one gradient, summed over
its parameters; time of one gradient under `jit`, all in one interleaved run; z is the largest
difference of the two mean gradients in its standard errors (of 50 or 8 parameters).
A coin of ours is drawn of 64 random bits, for tails without gaps, the others' of 23.""",
    "overhead": """## Overhead over code by hand

Value and gradient of a batch of 100 images, jitted, rounds interleaved.""",
}


def write(path, found):
    """Put the tables into their sections; the others stay as they are."""
    device = jax.devices()[0]
    here = f"{device.platform} ({platform.machine()}), Python {platform.python_version()}"
    old = (
        {}
        if not path.exists()
        else {
            part.partition("\n")[0]: f"## {part.strip()}"
            for part in path.read_text().split("\n## ")[1:]
        }
    )
    parts = []
    for name, text in SECTIONS.items():
        kept = old.get(text.partition("\n")[0].removeprefix("## "))
        run = f"`python benchmarks/estimators.py --only {name}`, {here}, JAX {jax.__version__}:"
        parts.append(f"{text}\n\n{run}\n\n{found[name]}" if name in found else kept)
    intro = (
        "# Estimators, measured\n\nWritten by `python benchmarks/estimators.py`. "
        "`sn.estimators.compare` makes such a\ntable for a function of yours."
    )
    path.write_text("\n\n".join([intro, *filter(None, parts)]) + "\n")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=SECTIONS, nargs="+", help="these tables")
    parser.add_argument("--rounds", type=int, default=60, help="of the timing (default: 60)")
    parser.add_argument("--draws", type=int, default=4000, help="beside others (default: 4000)")
    parser.add_argument("--steps", type=int, nargs="+", default=[200, 2000], help="of training")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parents[1] / "docs" / "estimators.md"
    )
    options = parser.parse_args()
    makers = {
        "coin": coin_variances,
        "autoencoder": lambda: autoencoder(options.steps),
        "storchastic": lambda: storchastic(options.draws),
        "jax": lambda: jax_peers(options.rounds, options.draws),
        "overhead": lambda: overhead(options.rounds),
    }
    found = {}
    for name in options.only or SECTIONS:
        found[name] = makers[name]()
        print(f"{name}\n{found[name]}\n", flush=True)
    write(options.out, found)


if __name__ == "__main__":
    main()
