"""Do the draws follow their laws, and do their gradients average to the right one? At full size.

For every sampler of `sn.random` and every continuous family of `sn.distributions`, over moderate
and extreme parameters, in float32:

- the law: Kolmogorov and Smirnov's test at 1,000,000 draws, none of them NaN, infinite, or at an
  end of the support where the law has no mass;
- the gradient: z-tests of d f(z) / d theta over 20,000 keys against d E f / d theta by quadrature,
  for three test functions and every parameter.

On a correct library each of the two halves of the table raises a false alarm with probability
5e-5, were the keys drawn anew. Exits with 1 on a failure.
"""

import argparse
import math
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import NamedTuple

import _laws
import _rivals
import _vectors
import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from scipy import stats

import stochastic_net as sn

FALSE_ALARM = 5e-5  # of half the table


class Check(NamedTuple):
    """A law and how to draw from it: `draw(key, parameters, shape)`.

    `read` makes of a draw one number that has the law `make(**setting)`; `moving` are the
    parameters whose gradient is tested. `ends` are the open ends of the support.
    """

    name: str
    setting: dict
    make: Callable[..., _laws.Law]
    draw: Callable
    moving: tuple[str, ...]
    read: Callable = lambda z: z
    ends: tuple[float, ...] = ()


class Found(NamedTuple):
    """`outside`: draws where there is no mass; `z`: the worst of the gradients' z-tests."""

    p_value: float
    distance: float
    outside: int
    z: float
    tests: int


def law(family, *arguments):
    """A law of scipy, whose slopes are not asked for."""
    return _laws.Law(family(*arguments), {})


def by_kappa(kappa):
    made = _laws.VonMises(0.0, kappa)
    made.slopes["kappa"] = made.slopes["concentration"]
    return made


def table(make: Callable, names: str, *columns: list, ends: tuple = ()) -> tuple:
    """A sampler's law, its parameters (one string), a column of values for each; open ends."""
    columns = [dict(zip(names.split(), row, strict=True)) for row in zip(*columns, strict=True)]
    return make, columns, ends


# The samplers of sn.random and their laws.
SAMPLERS = {
    "normal": table(lambda: law(stats.norm), "", *[]),
    "gamma": table(
        lambda a: law(stats.gamma, a), "a", [0.02, 0.3, 1.0, 2.0, 30.0, 1e3, 1e6], ends=(0,)
    ),
    "loggamma": table(lambda a: law(stats.loggamma, a), "a", [1e-3, 0.05, 1.0, 5.0, 1e3]),
    "chisquare": table(lambda df: law(stats.chi2, df), "df", [0.1, 3.0, 200.0], ends=(0,)),
    "inverse_gamma": table(
        lambda a: law(stats.invgamma, a), "a", [0.1, 0.5, 3.0, 200.0], ends=(0,)
    ),
    "generalized_normal": table(lambda p: law(stats.gennorm, p), "p", [0.3, 1.0, 2.0, 20.0]),
    "beta": table(
        lambda a, b: law(stats.beta, a, b),
        "a b",
        [0.02, 0.5, 1.0, 40.0, 1e3],
        [0.03, 0.5, 3.0, 2.0, 1e3],
        ends=(0, 1),
    ),
    "f": table(
        lambda dfnum, dfden: law(stats.f, dfnum, dfden),
        "dfnum dfden",
        [1.0, 5.0, 100.0],
        [1.0, 3.0, 7.0],
        ends=(0,),
    ),
    "t": table(lambda df: law(stats.t, df), "df", [0.05, 1.0, 2.5, 30.0, 1e4]),
    "von_mises": table(by_kappa, "kappa", [1e-3, 0.3, 2.0, 40.0, 1e4]),
    "truncated_normal": table(
        lambda lower, upper: _laws.truncated_gaussian(0.0, 1.0, lower, upper),
        "lower upper",
        [-1.0, -0.3, 5.5, 2.0, -8.0, 9.0, 30.0],
        [1.0, 4.0, 20.0, 12.0, -7.5, 10.0, 31.0],
    ),
    "wald": table(
        lambda mean: _laws.InverseGaussian(mean, 1.0),
        "mean",
        [1e-2, 0.3, 1.0, 5.0, 1e3],
        ends=(0,),
    ),
    "dirichlet": table(
        lambda alpha: law(stats.beta, alpha[0], alpha[1:].sum()),
        "alpha",
        [[0.7, 1.5, 3.0], [0.02, 0.03, 0.05], [1e3, 10.0, 1.0]],
        ends=(0, 1),
    ),
}
SMOOTH = ("gamma", "loggamma", "generalized_normal", "beta", "f", "t", "wald", "dirichlet")

# Laws of vectors and matrices: the law of one number of a draw, and that number.
ONE_NUMBER = {
    "MultivariateGaussian": (
        lambda loc, scale_tril: law(stats.norm, loc[2], np.linalg.norm(scale_tril[2])),
        lambda x: x[..., 2],
    ),
    "LowRankGaussian": (
        lambda loc, cov_factor, cov_diag: law(
            stats.norm, loc[1], math.sqrt(cov_factor[1] @ cov_factor[1] + cov_diag[1])
        ),
        lambda x: x[..., 1],
    ),
    "Dirichlet": (
        lambda concentration: law(stats.beta, concentration[0], concentration[1:].sum()),
        lambda x: x[..., 0],
    ),
    "Wishart": (
        lambda concentration, scale_tril: law(
            stats.gamma, concentration / 2, 0, 2 * scale_tril[1] @ scale_tril[1]
        ),
        lambda x: x[..., 1, 1],
    ),
    "LKJCholesky": (
        lambda concentration: law(stats.beta, concentration + 0.5, concentration + 0.5, -1, 2),
        lambda x: (x[..., 2, :] * x[..., 1, :]).sum(-1),
    ),
    "GumbelSoftmax": (
        lambda temperature, logits: _laws.binary_concrete(temperature, logits[0] - logits[1]),
        lambda x: x[..., 0] / (x[..., 0] + x[..., 1]),
    ),
}


def height(mean_direction, concentration):
    """mu . x of a von Mises-Fisher draw in three dimensions."""
    del mean_direction
    k = concentration
    return _laws.Law(
        _laws.Quantiles(
            lambda w: np.expm1(k * (w + 1)) / math.expm1(2 * k),
            lambda q, rest: np.where(
                q < 0.5,
                np.log1p(np.minimum(q, 0.5) * math.expm1(2 * k)) / k - 1,
                1 + np.log1p(rest * math.expm1(-2 * k)) / k,
            ),
        ),
        {},
    )


def sampler_checks() -> list[Check]:
    checks = []
    for name, (make, settings, ends) in SAMPLERS.items():
        for coupling in ("fast", "smooth") if name in SMOOTH else (None,):
            options = {"coupling": coupling} if coupling else {}

            def draw(key, p, shape, name=name, options=options):
                return getattr(sn.random, name)(key, **p, shape=shape, **options)

            label = f"{name} ({coupling})" if coupling == "smooth" else name
            read = (lambda x: x[..., 0]) if name == "dirichlet" else (lambda z: z)
            checks += [Check(label, s, make, draw, tuple(s), read, ends) for s in settings or [{}]]
    return checks


def open_ends(name: str) -> tuple[float, ...]:
    """0 and 1, of the laws that have no mass there; other ends may be met by rounding."""
    made = _laws.law_at(name, _laws.SETTINGS[name][0])
    closed = name in ("Uniform", "Pareto", "TruncatedGaussian")
    return () if closed else tuple(e for e in (made.low, made.high) if e in (0, 1))


def family_checks() -> list[Check]:
    def drawn(name):
        return lambda key, p, shape: _rivals.ours(sn, name, SimpleNamespace(**p)).sample(key, shape)

    checks = [
        Check(name, s, make, drawn(name), tuple(s), ends=open_ends(name))
        for name, make in _laws.LAWS.items()
        for s in _laws.SETTINGS[name]
    ]
    for name, (make, read) in ONE_NUMBER.items():
        settings = _vectors.VECTORS[name].settings
        checks += [Check(name, s, make, drawn(name), tuple(s), read) for s in settings]
    mu = jnp.array([0.0, 0.6, -0.8])
    for kappa in (0.1, 2.0, 50.0):
        setting = {"mean_direction": [0.0, 0.6, -0.8], "concentration": kappa}
        name = "VonMisesFisher"
        read = lambda x: (x * mu).sum(-1)  # noqa: E731
        checks.append(Check(name, setting, height, drawn(name), ("concentration",), read))
    return checks


def float32(setting: dict) -> dict:
    return {k: jnp.asarray(v, jnp.float32) for k, v in setting.items()}


def kolmogorov(z: np.ndarray, cdf: Callable) -> float:
    """The distance, less what the rounding of the draws to float32 (four units) makes of it."""
    z, single = np.sort(z), np.finfo(np.float32)
    unit = 4 * np.spacing(np.minimum(np.abs(z), single.max / 2).astype(np.float32)).astype(float)
    # What is too small or too large for float32 is drawn as the last number that is not.
    low = np.where(
        np.abs(z) <= 100 * single.tiny, -single.tiny, np.where(z <= single.min, -np.inf, z - unit)
    )
    high = np.where(z >= single.max, np.inf, z + unit)
    last, first = np.append(np.diff(z) > 0, True), np.append(True, np.diff(z) > 0)
    rank = np.arange(1, z.size + 1) / z.size
    with np.errstate(all="ignore"):
        above, below = np.nan_to_num(cdf(high), nan=1), np.nan_to_num(cdf(low), nan=0)
    return float(max((rank - above)[last].max(), (below - rank + 1 / z.size)[first].max(), 0))


@jax.jit(static_argnums=(0, 1, 2))
def many(draw: Callable, read: Callable, size: int, key, p: dict):
    return read(draw(key, p, (size,)))


@jax.jit(static_argnums=(0, 1, 2))
def gradients(draw: Callable, read: Callable, moving: tuple, keys, p: dict):
    """One draw a key, and its derivative by each moving parameter."""

    def one(key):
        part = {k: p[k] for k in moving}
        z, pull = jax.vjp(lambda part: read(draw(key, p | part, ())), part)
        return z, pull(jnp.ones_like(z))[0]

    return jax.vmap(one)(keys)


def worst_z(check: Check, keys) -> tuple[float, int]:
    """Over the test functions and the parameters; and how many comparisons that is."""
    if not check.moving:
        return 0.0, 0
    p = float32(check.setting)
    z, slopes = gradients(check.draw, check.read, check.moving, keys, p)
    z, worst, tests = np.asarray(z, np.float64), 0.0, 0
    law = check.make(**_laws.exact(check.setting))
    for name in check.moving:
        slope = np.asarray(slopes[name], np.float64)
        truth = _laws.true_gradients(check.make, check.setting, name)
        for (_, derivative), expected in zip(law.tests().values(), truth, strict=True):
            with np.errstate(all="ignore"):
                sample = derivative(z)[(...,) + (None,) * (slope.ndim - 1)] * slope
            error = sample.std(0) / math.sqrt(len(z))
            size = max(float(np.abs(check.setting[name]).max()), law.centre()[1])
            slack = 2e-5 * np.abs(expected).max() + 1e-10 / size  # of float32
            score = np.abs(sample.mean(0) - expected) / (error + slack / 5)
            worst = max(worst, float(np.where(np.isfinite(score), score, np.inf).max()))
            tests += score.size
    return worst, tests


def examine(check: Check, options) -> Found:
    p, key = float32(check.setting), jax.random.key(options.seed)
    law = check.make(**_laws.exact(check.setting))
    z = np.asarray(many(check.draw, check.read, options.draws, key, p), np.float64)
    outside = int((~np.isfinite(z)).sum() + sum((z == end).sum() for end in check.ends))
    distance = kolmogorov(z[np.isfinite(z)], law.cdf)
    p_value = float(stats.kstwo.sf(distance, z.size))
    keys = jax.random.split(jax.random.key(options.seed + 1), options.keys)
    return Found(p_value, distance, outside, *worst_z(check, keys))


def run(checks: list[Check], options) -> list[Found]:
    columns = (TextColumn("{task.description:30}"), BarColumn(), MofNCompleteColumn())
    found = []
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=len(checks))
        for check in checks:
            progress.update(task, description=check.name)
            found.append(examine(check, options))
            progress.advance(task)
    return found


def show(checks: list[Check], found: list[Found]) -> bool:
    """Print the table and say whether all is well."""
    p_limit = FALSE_ALARM / len(checks)
    z_limit = float(stats.norm.isf(FALSE_ALARM / max(1, sum(f.tests for f in found)) / 2))
    grid, well = Table("", "parameters", "KS p", "distance", "outside", "worst z", ""), True
    for check, f in zip(checks, found, strict=True):
        good = f.p_value >= p_limit and not f.outside and f.z <= z_limit
        well &= good
        figures = [f"{f.p_value:.2g}", f"{f.distance:.1e}", str(f.outside), f"{f.z:.1f}"]
        setting = ", ".join(f"{k} {v}" for k, v in check.setting.items())
        grid.add_row(check.name, setting, *figures, "" if good else "[red]FAILS[/]")
    Console(width=140).print(grid)
    print(
        f"{len(checks)} laws: p >= {p_limit:.1e}, z <= {z_limit:.2f}: {'ok' if well else 'FAILED'}"
    )
    return well


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", metavar="TEXT", help="the rows with TEXT in their name")
    parser.add_argument("--draws", type=int, default=1_000_000, help="default: %(default)s")
    parser.add_argument("--keys", type=int, default=20_000, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    options = parser.parse_args()
    checks = [*sampler_checks(), *family_checks()]
    checks = [c for c in checks if not options.only or options.only.lower() in c.name.lower()]
    sys.exit(0 if show(checks, run(checks, options)) else 1)


if __name__ == "__main__":
    main()
