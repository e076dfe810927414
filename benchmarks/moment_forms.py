"""Functions of one Gaussian through `propagate` in float32: against mpmath, and on many inputs.

Inputs: mean/std uniform in [-40, 40], std log-uniform in [1e-6, 1e3], and mean 1e3 with std 1e-2.

- On --sample of them the mean, the variance and their four derivatives are compared with quadrature
  in mpmath of 30 digits, its panels cut at kinks. Errors of mean and variance are relative
  where the truth is a normal float32 (`relative`), and in units of the root of the second moment
  (`of scale`: what a layer behind it sees; the variance's is that of the deviation). Those of the
  derivatives are in units of what is natural for them, scale/std and scale/var, or of the truth.
- On --count of them, in chunks, no variance may be negative and no derivative infinite or NaN; it
  exits with 1 where one is.
"""

import argparse
import itertools
import sys
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
from rich.console import Console
from rich.table import Table

import stochastic_net as sn

CHUNK = 250_000
REACH = 17  # deviations that the truth spans: 1e3 times a tail at 13 is a normal float32
mp.mp.dps = 30


def logistic(x):
    return 1 / (1 + mp.exp(-x))


FORMS = {  # ours, truth, where it is bent
    "relu": (jax.nn.relu, lambda x: max(x, 0), ()),
    "leaky relu": (jax.nn.leaky_relu, lambda x: x if x >= 0 else x * 0.01, ()),
    "abs": (jnp.abs, abs, ()),
    "relu6": (jax.nn.relu6, lambda x: min(max(x, 0), 6), (6,)),
    "hard tanh": (jax.nn.hard_tanh, lambda x: min(max(x, -1), 1), (-1, 1)),
    "square": (jnp.square, lambda x: x * x, ()),
    "cube": (lambda x: x**3, lambda x: x**3, ()),
    "erf": (jax.lax.erf, mp.erf, ()),
    "tanh": (jnp.tanh, mp.tanh, ()),
    "logistic": (jax.nn.sigmoid, logistic, ()),
    "softplus": (jax.nn.softplus, lambda x: mp.log1p(mp.exp(-abs(x))) + max(x, 0), ()),
    "silu": (jax.nn.silu, lambda x: x * logistic(x), ()),
    "gelu": (partial(jax.nn.gelu, approximate=False), lambda x: x * mp.ncdf(x), ()),
    "elu": (jax.nn.elu, lambda x: x if x > 0 else mp.expm1(x), ()),
}
NODES = [(mp.mpf(x), mp.mpf(w)) for x, w in zip(*np.polynomial.legendre.leggauss(20), strict=True)]


def inputs(dice: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Means and variances, as float32 has them."""
    std = 10 ** dice.uniform(-6, 3, count)
    mean = dice.uniform(-40, 40, count) * std
    mean[:1], std[:1] = 1e3, 1e-2
    return mean.astype(np.float32), np.square(std).astype(np.float32)


def truth(f: Callable, bends: tuple, mean: float, var: float) -> list[float]:
    """E, Var, dE/dm, dE/dv, dVar/dm, dVar/dv: integrals of f and f^2 with the scores of the law."""
    m, s = mp.mpf(float(mean)), mp.sqrt(mp.mpf(float(var)))
    fine = [sign * mp.mpf(2) ** k / 8 for k in range(14) for sign in (-1, 1)]
    low, high = m - REACH * s, m + REACH * s
    edges = sorted({*(m + k * s for k in range(-REACH, REACH + 1)), 0, *fine, *map(mp.mpf, bends)})
    edges = [x for x in edges if low <= x <= high]
    values = []
    for a, b in itertools.pairwise(edges):
        half = (b - a) / 2
        for x, w in NODES:
            t = (a + half + half * x - m) / s
            values.append((w * half / s * mp.npdf(t), t, f(m + s * t)))
    pivot = f(m)
    moments = [mp.fsum(p * (y - pivot) ** k for p, _, y in values) for k in (1, 2)]
    by_mean = [mp.fsum(p * t * (y - pivot) ** k for p, t, y in values) / s for k in (1, 2)]
    by_var = [
        mp.fsum(p * (t * t - 1) * (y - pivot) ** k for p, t, y in values) / (2 * s * s)
        for k in (1, 2)
    ]
    first = moments[0]
    slopes = [(d[0], d[1] - 2 * first * d[0]) for d in (by_mean, by_var)]
    return [
        float(x)
        for x in (
            pivot + first,
            moments[1] - first**2,
            slopes[0][0],
            slopes[1][0],
            slopes[0][1],
            slopes[1][1],
        )
    ]


def moments_and_slopes(f: Callable) -> Callable:
    """E, Var and their derivatives in the order of `truth`, for arrays of means and variances."""

    def both(mean, var):
        out = sn.propagate(f)(sn.Gaussian(mean, var))
        return out.mean, out.var

    @jax.jit
    def run(mean, var):
        ones, zeros = jnp.ones_like(mean), jnp.zeros_like(mean)
        out, by_mean = jax.jvp(both, (mean, var), (ones, zeros))
        _, by_var = jax.jvp(both, (mean, var), (zeros, ones))
        return jnp.stack([*out, by_mean[0], by_var[0], by_mean[1], by_var[1]])

    return run


def accuracy(name: str, run: Callable, options) -> list[float]:
    """The largest errors: of E and Var, relative and of scale; of the derivatives."""
    _, f, bends = FORMS[name]
    mean, var = inputs(np.random.default_rng(options.seed), options.sample)
    got = np.asarray(run(mean, var), float)
    exact = np.array([truth(f, bends, m, v) for m, v in zip(mean, var, strict=True)]).T
    tiny = np.finfo(np.float32).tiny
    scale = np.maximum(np.sqrt(exact[0] ** 2 + np.maximum(exact[1], 0)), tiny)
    size = np.maximum(np.abs(exact[:2]), tiny)
    relative = np.where(size > tiny, np.abs(got[:2] - exact[:2]) / size, 0).max(1)
    of_mean = np.abs(got[0] - exact[0]) / scale
    of_std = np.abs(np.sqrt(got[1]) - np.sqrt(np.maximum(exact[1], 0))) / scale
    std = np.sqrt(var.astype(float))
    units = np.stack([scale / std, scale / std**2, scale**2 / std, scale**2 / std**2])
    of_slopes = np.abs(got[2:] - exact[2:]) / (np.abs(exact[2:]) + units)
    normal = exact[1] > 10 * tiny  # no float32 says more of a variance than that it is less
    return [*relative, *(np.where(normal, x, 0).max() for x in (of_mean, of_std, of_slopes))]


def faults(run: Callable, options) -> int:
    """How many inputs have a negative variance or a derivative that is not finite."""
    dice, found = np.random.default_rng((options.seed, 1)), 0
    for _ in range(-(-options.count // CHUNK)):
        out = run(*inputs(dice, CHUNK))
        found += int(jnp.sum(~jnp.isfinite(out).all(0) | ~(out[1] >= 0)))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", metavar="NAME", choices=FORMS, action="append")
    parser.add_argument("--count", type=int, default=10_000_000, help="default: 1e7")
    parser.add_argument("--sample", type=int, default=60, help="for mpmath (default: 60)")
    parser.add_argument("--seed", type=int, default=0, help="of the inputs (default: 0)")
    options = parser.parse_args()
    table = Table("", "mean, relative", "variance", "mean, of scale", "deviation", "derivatives")
    table.add_column(f"faults in {options.count:.0e}")
    bad = 0
    for name in options.only or FORMS:
        run = moments_and_slopes(FORMS[name][0])
        errors, wrong = accuracy(name, run, options), faults(run, options)
        table.add_row(name, *(f"{x:.1e}" for x in errors), str(wrong))
        print(name, *(f"{x:.1e}" for x in errors), wrong, flush=True)
        bad += wrong
    Console(width=120).print(table)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
