"""`propagate` on random elementwise expressions of one Gaussian, against dense quadrature.

Each of --count expressions is a random tree of elementwise functions of one number, with as many
operations as --operations at most. Its mean and deviation at 24 Gaussians (means to 5, deviations
1e-3 to 10) are compared with those by Gauss-Legendre panels in float64. Errors are relative to the
scale of the output: the root of its second moment, or the median of that over the 24 Gaussians
where it is less than the median, so that 1e-20 is no output of a function of 1 (a relu far below 0)
and no cancellation in float32 of the function itself counts. How many hold without the median is
printed, too. Every expression is counted: all grow as a power of x, so all have both moments.
Exits with 1 where an error is above --bound.
"""

import argparse
import sys
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from rich.console import Console
from rich.progress import track
from rich.table import Table

import stochastic_net as sn


class Expression(NamedTuple):
    """The same function in JAX and in NumPy's float64, and how it reads."""

    ours: Callable
    truth: Callable
    text: str


def softplus(x):
    return np.logaddexp(x, 0)


UNARY = {  # ours, truth
    "tanh": (jnp.tanh, np.tanh),
    "sigmoid": (jax.nn.sigmoid, scipy.special.expit),
    "relu": (jax.nn.relu, lambda x: np.maximum(x, 0)),
    "leaky_relu": (jax.nn.leaky_relu, lambda x: np.where(x >= 0, x, 0.01 * x)),
    "softplus": (jax.nn.softplus, softplus),
    "silu": (jax.nn.silu, lambda x: x * scipy.special.expit(x)),
    "gelu": (
        lambda x: jax.nn.gelu(x, approximate=False),
        lambda x: x * scipy.special.ndtr(x),
    ),
    "erf": (jax.lax.erf, scipy.special.erf),
    "abs": (jnp.abs, np.abs),
    "square": (jnp.square, np.square),
    "arctan": (jnp.arctan, np.arctan),
    "hard_tanh": (jax.nn.hard_tanh, lambda x: np.clip(x, -1, 1)),
    "bell": (lambda x: jnp.exp(-x * x), lambda x: np.exp(-x * x)),
    "log1p_square": (lambda x: jnp.log1p(x * x), lambda x: np.log1p(x * x)),
    "elu": (jax.nn.elu, lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0)))),
}
BINARY = {
    "+": (jnp.add, np.add),
    "-": (jnp.subtract, np.subtract),
    "*": (jnp.multiply, np.multiply),
    "max": (jnp.maximum, np.maximum),
    "min": (jnp.minimum, np.minimum),
}


def expression(dice: np.random.Generator, operations: int) -> Expression:
    """A random one of that many operations."""
    if operations == 0:
        a, b = np.round(dice.normal(size=2), 2)
        line = Expression(lambda x: a * x + b, lambda x: a * x + b, f"({a} x + {b})")
        plain = Expression(lambda x: x, lambda x: x, "x")
        return plain if dice.random() < 0.5 else line
    if operations == 1 or dice.random() < 0.6:
        name = dice.choice(list(UNARY))
        ours, truth = UNARY[name]
        x = expression(dice, operations - 1)
        return Expression(lambda u: ours(x.ours(u)), lambda u: truth(x.truth(u)), f"{name}{x.text}")
    name = dice.choice(list(BINARY))
    ours, truth = BINARY[name]
    left = int(dice.integers(operations))
    x, y = expression(dice, left), expression(dice, operations - 1 - left)
    return Expression(
        lambda u: ours(x.ours(u), y.ours(u)),
        lambda u: truth(x.truth(u), y.truth(u)),
        f"({x.text} {name} {y.text})",
    )


def gaussians(dice: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Means and deviations, as float32 has them."""
    mean, log_std = dice.uniform(-5, 5, 24), dice.uniform(-3, 1, 24)
    return mean.astype(np.float32), (10**log_std).astype(np.float32)


def dense(f: Callable, mean: np.ndarray, std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation by 5,600 panels of 4 nodes over 14 deviations."""
    node, weight = np.polynomial.legendre.leggauss(4)
    edges = np.linspace(-14, 14, 5601)
    half = (edges[1] - edges[0]) / 2
    eps = (edges[:-1, None] + half * (node + 1)).ravel()
    mass = np.tile(weight * half, 5600) * np.exp(-0.5 * eps**2) / np.sqrt(2 * np.pi)
    values = f(mean[:, None].astype(float) + std[:, None].astype(float) * eps)
    first = values @ mass
    return first, np.sqrt(np.square(values - first[:, None]) @ mass)


def errors(found: Expression, dice: np.random.Generator) -> tuple[float, float, float]:
    """The largest of the mean and of the deviation; of both in units of their own scale."""
    mean, std = gaussians(dice)
    first, deviation = dense(found.truth, mean, std)
    own = np.maximum(np.hypot(first, deviation), np.finfo(np.float32).tiny)
    got = jax.jit(sn.propagate(found.ours))(sn.Gaussian.from_std(mean, std))
    if not isinstance(got, sn.Gaussian):  # an expression that is a constant
        got = sn.Gaussian(jnp.asarray(got), jnp.zeros_like(got))
    away = np.stack([np.asarray(got.mean) - first, np.sqrt(np.asarray(got.var)) - deviation])
    of_mean, of_std = (np.abs(away) / np.maximum(own, np.median(own))).max(1)  # NaN stays NaN
    return float(of_mean), float(of_std), float((np.abs(away) / own).max())


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=500, help="of expressions (default: 500)")
    parser.add_argument("--operations", type=int, default=5, help="at most (default: 5)")
    parser.add_argument("--bound", type=float, default=1e-4, help="of an error (default: 1e-4)")
    parser.add_argument("--start", type=int, default=0, help="the first (default: 0)")
    parser.add_argument("--seed", type=int, default=0, help="of the expressions (default: 0)")
    options = parser.parse_args()
    rows = []
    for i in track(range(options.start, options.start + options.count), "expressions"):
        dice = np.random.default_rng((options.seed, i))
        found = expression(dice, int(dice.integers(1, options.operations + 1)))
        rows.append((*np.nan_to_num(errors(found, dice), nan=np.inf), found.text))
        if i % 20 == 19:
            jax.clear_caches()  # programs that are not met again
    worst = np.array([max(row[:2]) for row in rows])
    strict = np.mean([row[2] <= options.bound for row in rows])
    console, table = Console(width=140), Table("mean", "deviation", "of own scale", "expression")
    for row in sorted(rows, key=lambda row: -max(row[:2]))[:20]:
        table.add_row(*(f"{x:.1e}" for x in row[:3]), row[3])
    console.print(table)
    quantiles = ", ".join(f"{q:.0%} {np.quantile(worst, q):.1e}" for q in (0.5, 0.9, 0.99, 1))
    console.print(f"{np.mean(worst <= options.bound):.1%} within {options.bound}; {quantiles}")
    console.print(f"{strict:.1%} where each Gaussian has a scale of its own")
    return int((worst > options.bound).any())


if __name__ == "__main__":
    sys.exit(main())
