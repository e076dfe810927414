"""Functions of Gaussians through `propagate` in float32: against mpmath, and on many inputs.

Inputs: mean/std uniform in [-40, 40], std log-uniform in [1e-6, 1e3], and mean 1e3 with std 1e-2;
for e^X where its variance is a normal float32, for several Gaussians with mean/std in [-8, 8] and
deviations within a factor of a hundred of each other.

- On --sample of them the mean, the variance and their derivatives are compared with mpmath: closed
  forms where there are any, else quadrature of 30 digits, its panels cut at kinks. What is true of
  max-pool is the tree of maxima of two that it is, each taken for Gaussian (Clark 1961). Errors of
  mean and variance are relative where the truth is above 1e-32 (`relative`: below, the terms that
  it is a sum of are no normal numbers of float32), and in units of the root of the second moment
  (`of scale`: what a layer behind it sees; the variance's is that of the deviation). Those of the
  derivatives are in units of what is natural for them, scale/std and scale/var, or of the truth.
- On --count of them, in chunks, no variance may be negative and no derivative infinite or NaN; it
  exits with 1 where one is. A run of all forms writes docs/moment_forms.md.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from _forms import FORMS, Form
from rich.console import Console
from rich.table import Table

import stochastic_net as sn

CHUNK = 250_000
TINY = np.finfo(np.float32).tiny
LEAST = 1e-32  # a sum of normal numbers


def moments_and_slopes(form: Form) -> Callable:
    """E and Var, and their derivatives by each mean and variance, as rows of two."""

    def both(*inputs):
        pairs = [sn.Gaussian(*inputs[2 * k : 2 * k + 2]) for k in range(form.number)]
        out = sn.propagate(form.ours)(*pairs)
        return out.mean, out.var

    @jax.jit
    def run(*inputs):
        zeros = [jnp.zeros_like(x) for x in inputs]
        rows = [jnp.stack(both(*inputs))]
        for k, x in enumerate(inputs):
            along = [*zeros[:k], jnp.ones_like(x), *zeros[k + 1 :]]
            rows.append(jnp.stack(jax.jvp(both, inputs, tuple(along))[1]))
        return jnp.stack(rows)

    return run


def accuracy(form: Form, run: Callable, options) -> list[float]:
    """The largest errors: of E and Var, relative and of scale; of the derivatives."""
    inputs = form.inputs(np.random.default_rng(options.seed), options.sample)
    got = np.asarray(run(*inputs), float)  # of (1 + inputs, 2, samples)
    exact = np.array([form.truth(*x) for x in zip(*inputs, strict=True)]).transpose(1, 2, 0)
    (mean, var), slopes = exact[0], exact[1:]
    size = np.maximum(np.abs(exact[0]), LEAST)
    relative = np.where(size > LEAST, np.abs(got[0] - exact[0]) / size, 0).max(1)
    deviation = np.sqrt(np.maximum(var, 0))
    scale = np.maximum(np.hypot(mean, deviation), TINY)
    of_mean = np.abs(got[0, 0] - mean) / scale
    of_std = np.abs(np.sqrt(got[0, 1]) - deviation) / scale
    own = [np.sqrt(x.astype(float)) if k == 0 else x.astype(float) for k, x in _units(inputs)]
    units = np.stack([np.stack([scale / x, scale**2 / x]) for x in own])
    of_slopes = np.abs(got[1:] - slopes) / (np.abs(slopes) + units)
    normal = var > LEAST
    return [*relative, *(np.where(normal, x, 0).max() for x in (of_mean, of_std, of_slopes))]


def _units(inputs: list[np.ndarray]):
    """For each input, which of the pair it is, and the variance of that."""
    return [(k % 2, inputs[k - k % 2 + 1]) for k in range(len(inputs))]


def faults(form: Form, run: Callable, options) -> int:
    """How many inputs have a negative variance or a derivative that is not finite."""
    dice, found = np.random.default_rng((options.seed, 1)), 0
    for _ in range(-(-options.count // CHUNK)):
        out = run(*form.inputs(dice, CHUNK))
        found += int(jnp.sum(~jnp.isfinite(out).all((0, 1)) | ~(out[0, 1] >= 0)))
    return found


HEAD = """# How exact the moments of one operation are

`propagate` in float32, as `python benchmarks/moment_forms.py --sample {sample}` writes it: the
largest errors against mpmath on {sample} Gaussians, mean/std in [-40, 40], std in 1e-6 .. 1e3.
Those of mean and variance are relative where the truth is above 1e-32; those of the derivatives by
mean and variance are in units of what is natural for them (`--help`). The last column counts
negative variances and derivatives that are infinite or NaN.

| | mean | variance | derivatives | faults in {count:.0e} |
| --- | --- | --- | --- | --- |
"""
PAGE = Path(__file__).parents[1] / "docs" / "moment_forms.md"


def page(rows: list[tuple], options) -> str:
    """A table of the rows: name, five errors, faults."""
    lines = (
        f"| {name} | {mean:.1e} | {var:.1e} | {slopes:.1e} | {wrong} |\n"
        for name, mean, var, _, _, slopes, wrong in rows
    )
    return HEAD.format(**vars(options)) + "".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", metavar="NAME", choices=FORMS, action="append")
    parser.add_argument("--count", type=int, default=10_000_000, help="default: 1e7")
    parser.add_argument("--sample", type=int, default=60, help="for mpmath (default: 60)")
    parser.add_argument("--seed", type=int, default=0, help="of the inputs (default: 0)")
    parser.add_argument("--out", type=Path, default=PAGE, help="where all forms are written to")
    options = parser.parse_args()
    table = Table("", "mean, relative", "variance", "mean, of scale", "deviation", "derivatives")
    table.add_column(f"faults in {options.count:.0e}")
    rows = []
    for name in options.only or FORMS:
        form = FORMS[name]
        run = moments_and_slopes(form)
        errors, wrong = accuracy(form, run, options), faults(form, run, options)
        table.add_row(name, *(f"{x:.1e}" for x in errors), str(wrong))
        print(name, *(f"{x:.1e}" for x in errors), wrong, flush=True)
        rows.append((name, *errors, wrong))
    Console(width=120).print(table)
    if not options.only:
        options.out.write_text(page(rows, options))
    return int(any(row[-1] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
