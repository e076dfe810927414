"""Does the gradient arrive? Every continuous distribution by parameter by library, measured.

For each library, distribution and parameter the script draws in float32 (shape --draws), in
reverse mode, and compares in float64

- each of 400 draws' own derivative with the truth there, -(dF/dtheta) / p(z);
- the mean of d f(z) / d theta with d E f / d theta by quadrature, for bounded test functions f.

It prints the findings and writes them as markdown. Run it on a quiet machine: the last row of each
table is a time. What is not installed is left out and said so.
"""

import argparse
import dataclasses
import datetime
import math
import os
import platform
import sys
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import _laws
import _rivals
import _vectors
import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

SIGMAS = 5.0  # of a bias that is called one
LARGEST = float(np.finfo(np.float32).max)  # a slope beyond is this one
PER_DRAW = 400
OFF = 1e-3  # relative: of a single draw's derivative that is called wrong
SLACK = 1e-4  # relative: what float32 may put aside before a bias is called one
NAMES = [*_laws.LAWS, *_vectors.VECTORS]
ROUNDING = float(np.finfo(np.float32).eps)

# How a draw of ours depends on a parameter that is not of location and scale: through the implicit
# derivative. All others are explicit functions of noise that has no parameters.
IMPLICIT = {
    ("TruncatedGaussian", "*"),
    ("StudentT", "df"),
    ("Gamma", "concentration"),
    ("InverseGamma", "concentration"),
    ("Beta", "*"),
    ("Dirichlet", "*"),
    ("InverseGaussian", "*"),
    ("GeneralizedNormal", "power"),
    ("VonMises", "concentration"),
    ("VonMisesFisher", "concentration"),
    ("Wishart", "concentration"),
    ("LKJCholesky", "*"),
    ("Mixture", "*"),
}


# Draws that do not move as their quantile does, by design: a ratio of gammas, or of a normal number
# and a gamma. The libraries named here are those whose draws do.
OTHER_PATH = {
    ("Beta", "concentration1"): ("stochastic_net", "PyTorch"),
    ("Beta", "concentration0"): ("stochastic_net", "PyTorch"),
    ("StudentT", "df"): ("stochastic_net",),
}


@dataclasses.dataclass
class Cell:
    """What was found for one library, setting and parameter."""

    verdict: str  # ok, biased, zero, not finite, raises, absent, unused
    error: float | None = None  # largest relative error of a draw's derivative
    z: float | None = None
    relative: float | None = None  # of the expectation's gradient
    variance: float | None = None  # of the estimate, beside the quantile's own derivative
    share: float = 0.0  # of gradients that are not finite
    exception: str = ""


def settings_of(name: str) -> list[dict]:
    return _vectors.VECTORS[name].settings if name in _vectors.VECTORS else _laws.SETTINGS[name]


def batched(setting: dict, draws: int) -> dict:
    return {
        k: np.broadcast_to(np.float32(v), (draws, *np.shape(v))).copy() for k, v in setting.items()
    }


# Drawing and differentiating: outputs (a number a draw) and their gradients, by either framework.


def outputs(name: str, z):
    """The numbers that are differentiated: the draw itself, or functions of a vector."""
    if name in _laws.LAWS:
        return [z]
    return [f(z) for f, _ in _vectors.VECTORS[name].functions.values()]


def jax_gradients(name: str, label: str, parameters: list[str]):
    """A jitted function (key, all parameters) -> outputs and, for each, gradients by parameter."""
    where, library = _rivals.library(label).load(), _rivals.library(label)
    builder = _rivals.builders(name)[label]

    def run(key, everything):
        def draw(moving):
            d = builder.make(where, SimpleNamespace(**everything | moving))
            return outputs(name, library.draw(d, key))

        values, pull = jax.vjp(draw, {p: everything[p] for p in parameters})
        gradients = []
        for i in range(len(values)):
            ones = [jnp.ones_like(v) if j == i else jnp.zeros_like(v) for j, v in enumerate(values)]
            gradients.append(pull(ones)[0])
        return values, gradients

    return jax.jit(run)


def torch_gradients(name: str, label: str, parameters: list[str]):
    """The same in PyTorch; the key seeds its generator."""
    import torch

    where, library = _rivals.library(label).load(), _rivals.library(label)
    builder = _rivals.builders(name)[label]

    def run(key, everything):
        torch.manual_seed(int(jax.random.bits(key, dtype=jnp.uint32)))
        leaves = {k: torch.tensor(v, requires_grad=k in parameters) for k, v in everything.items()}
        values = outputs(name, library.draw(builder.make(where, SimpleNamespace(**leaves)), None))
        gradients = []
        for value in values:
            wanted = [leaves[p] for p in parameters]
            found = torch.autograd.grad(value.sum(), wanted, retain_graph=True, allow_unused=True)
            zero = [
                torch.zeros_like(w) if g is None else g for g, w in zip(found, wanted, strict=True)
            ]
            gradients.append(dict(zip(parameters, zero, strict=True)))
        return [v.detach() for v in values], gradients

    return run


def gradients_of(name: str, label: str, parameters: list[str]):
    maker = torch_gradients if label.startswith("PyTorch") else jax_gradients
    return maker(name, label, parameters)


# Judging.


def per_draw_error(law: _laws.Law, parameter: str, z: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Relative errors at some draws, less what the rounding of the draw itself changes."""
    order = np.argsort(z)
    some = order[np.linspace(0, z.size - 1, PER_DRAW).astype(int)]
    z, slope = z[some], slope[some]
    inside = (z > law.low) & (z < law.high) & (np.abs(z) > 1e-36) & np.isfinite(z)
    z, slope = z[inside], slope[inside]
    if not z.size:
        return np.array([np.nan])
    around = [np.nextafter(np.float32(z), np.float32(end)).astype(float) for end in (-1e38, 1e38)]
    with np.errstate(all="ignore"):
        slopes = (np.asarray(law.slopes[parameter](x)) for x in (z, *around))
        truth, below, above = (np.clip(x, -LARGEST, LARGEST) for x in slopes)
    rounding = np.nan_to_num(np.abs(above - below), nan=np.inf, posinf=np.inf)
    typical = np.median(np.abs(truth), axis=0)
    with np.errstate(invalid="ignore"):
        miss = np.maximum(np.abs(slope - truth) - rounding, 0)
    return miss / np.maximum(np.abs(truth), 0.01 * typical + 1e-37)


def judge(sample: np.ndarray, truth: np.ndarray, size: float) -> Cell:
    """The mean of gradients, shape (functions, draws, ...), beside the truth (functions, ...).

    `size` is that of the parameter: a truth that it does not make larger than 1e-10 is 0.
    """
    finite = np.isfinite(sample)
    if not finite.all():
        return Cell("not finite", share=float(1 - finite.mean()))
    if not sample.any() and size * np.abs(truth).max() > 1e-10:
        return Cell("zero")
    mean, error = sample.mean(1), sample.std(1) / math.sqrt(sample.shape[1])
    largest = np.abs(truth).reshape(len(truth), -1).max(1)
    floor = SLACK * largest.reshape(-1, *[1] * (truth.ndim - 1))
    z = (mean - truth) / (error + floor / SIGMAS + 1e-10 / size)
    worst = np.unravel_index(np.abs(z).argmax(), z.shape)
    relative = float((mean - truth)[worst] / max(abs(truth[worst]), 1e-30))
    verdict = "biased" if abs(z[worst]) > SIGMAS else "ok"
    return Cell(verdict, z=float(z[worst]), relative=relative)


def numbers_cell(law: _laws.Law, parameter: str, truth, z, slope, size, other_path) -> Cell:
    """Of a univariate law: bias and per-draw error from one derivative a draw."""
    if not np.isfinite(slope).all() or not np.isfinite(z).all():
        bad = ~np.isfinite(slope.reshape(len(z), -1)).all(-1) | ~np.isfinite(z)
        return Cell("not finite", share=float(bad.mean()))
    expand = (...,) + (None,) * (slope.ndim - 1)

    def moved(z, slope):
        with np.errstate(all="ignore"):
            return np.stack([d(z)[expand] * slope for _, d in law.tests().values()])

    cell = judge(moved(z, slope), truth, max(size, law.centre()[1]))
    errors = per_draw_error(law, parameter, z, slope)
    if cell.verdict == "zero":
        return cell
    if np.median(errors) < 0.05 and not other_path:
        cell.error = float(errors.max())
    else:  # another path of the draw through the same law: noisier or quieter, and unbiased or not
        z, slope = z[:5000], slope[:5000]  # the truth takes a thousand numbers a draw
        with np.errstate(all="ignore"):
            own = np.nan_to_num(moved(z, np.asarray(law.slopes[parameter](z))))
        cell.variance = float(np.median(moved(z, slope).var(1) / own.var(1)))
    return cell


def measure(name: str, label: str, setting: dict, options, cache: dict) -> dict[str, Cell]:
    """One cell a parameter."""
    parameters, builder = list(setting), _rivals.builders(name).get(label)
    if builder is None:
        unused = _rivals.unused(name, label)
        return {p: Cell("unused" if unused else "absent", exception=unused or "") for p in setting}
    own = [p for p in parameters if not builder.only or p in builder.only]
    cells = {p: Cell("absent") for p in parameters if p not in own}
    everything = batched(setting, options.draws)
    try:
        found = differentiate(name, label, own, everything, cache)
        groups = [(own, found)]
    except Exception:
        groups = []
        for p in own:
            try:
                groups.append(([p], differentiate(name, label, [p], everything, cache)))
            except Exception as error:
                cells[p] = Cell("raises", exception=type(error).__name__)
    for group, (values, gradients) in groups:
        for p in group:
            slopes = [np.asarray(g[p], np.float64) for g in gradients]
            cells[p] = judge_parameter(name, label, setting, p, values, slopes, cache)
    return {p: cells[p] for p in parameters}


def differentiate(name, label, parameters, everything, cache):
    where = ("run", name, label, tuple(parameters))
    if where not in cache:
        cache[where] = gradients_of(name, label, parameters)
    values, gradients = cache[where](jax.random.key(17), everything)
    return [np.asarray(v, np.float64) for v in values], gradients


def truth(name: str, setting: dict, parameter: str) -> np.ndarray:
    if name in _laws.LAWS:
        return _laws.true_gradients(_laws.LAWS[name], setting, parameter)
    return _vectors.true_gradients(name, setting, parameter)


def judge_parameter(name, label, setting, parameter, values, slopes, cache) -> Cell:
    size = float(np.abs(setting[parameter]).max())
    where = ("truth", name, str(setting), parameter)
    if where not in cache:
        cache[where] = truth(name, setting, parameter)
    if name in _laws.LAWS:
        law = _laws.law_at(name, setting)
        other = (name, parameter) in OTHER_PATH and label not in OTHER_PATH[name, parameter]
        return numbers_cell(law, parameter, cache[where], values[0], slopes[0], size, other)
    sample = _vectors.VECTORS[name].project(np.stack(slopes), setting, parameter)
    return judge(sample, cache[where], size)


def nanoseconds(name: str, label: str, options) -> float | None:
    """Of a draw and its gradient in every parameter, an element of the draw; the best of some."""
    builder = _rivals.builders(name).get(label)
    if builder is None:
        return None
    setting = settings_of(name)[0]
    own = [p for p in setting if not builder.only or p in builder.only]
    everything = batched(setting, options.timed_draws)
    if not label.startswith("PyTorch"):
        everything = jax.tree.map(jnp.asarray, everything)
    try:
        run = gradients_of(name, label, own)
        best = math.inf
        for i in range(options.repetitions + 1):
            key, start = jax.random.key(i), time.perf_counter()
            jax.block_until_ready(run(key, everything))
            best = min(best, time.perf_counter() - start) if i else math.inf
    except Exception:
        return None
    return 1e9 * best / options.timed_draws


# Telling.


def kind(name: str, parameter: str) -> str:
    return "implicit" if {(name, "*"), (name, parameter)} & IMPLICIT else "exact"


def percent(x: float) -> str:
    return f"{100 * x:+.0f} %" if abs(x) >= 0.01 else f"{100 * x:+.2f} %"


def amount(x: float) -> str:
    return f"{x:.0f}" if x >= 1 else f"{max(x, 0.001):.1g}"


def text(cell: Cell) -> str:
    """A cell in the table."""
    if cell.verdict == "ok":
        if cell.error is not None:
            error = max(cell.error, 1e-7)
            return f"**off {error:.0e}**" if error > OFF else f"ok {error:.0e}"
        return "ok" if cell.variance is None else f"ok, var x {cell.variance:.2g}"
    return {
        "biased": lambda: f"**biased {percent(cell.relative)}** (z {abs(cell.z):.0f})",
        "zero": lambda: "**0**",
        "not finite": lambda: f"**NaN {amount(100 * cell.share)} %**",
        "raises": lambda: f"*{cell.exception}*",
        "absent": lambda: "",
        "unused": lambda: f"(has {cell.exception})",
    }[cell.verdict]()


def short(setting: dict) -> str:
    return ", ".join(
        f"{k} {v:g}" if np.ndim(v) == 0 else f"{k} {v}".replace("], [", "; ")
        for k, v in setting.items()
    )


def section(name: str, report: dict, labels: list[str]) -> list[str]:
    """The table of one distribution."""
    cells, times = report["cells"][name], report["times"].get(name, {})
    settings = settings_of(name)
    labels = [label for label in labels if any((i, label) in cells for i in range(len(settings)))]
    lines = [f"### {name}", ""]
    lines += [f"{chr(97 + i)}: {short(setting)}  " for i, setting in enumerate(settings)]
    lines += ["", "| parameter | ours | | " + " | ".join(labels) + " |"]
    lines += ["| --- | --- | --- |" + " --- |" * len(labels)]
    for parameter in settings[0]:
        for i in range(len(settings)):
            row = [text(cells[i, label][parameter]) for label in labels]
            head = [f"`{parameter}`", kind(name, parameter)] if not i else ["", ""]
            lines.append("| " + " | ".join([*head, chr(97 + i), *row]) + " |")
    if times:
        row = [f"{times[label]:.0f}" if times.get(label) else "" for label in labels]
        lines.append("| *ns* | | | " + " | ".join(row) + " |")
    return [*lines, ""]


def faults(cells: dict, label: str) -> dict[str, dict[str, str]]:
    """What is wrong, by parameter and setting."""
    found: dict[str, dict[str, str]] = {}
    for (i, other), by_parameter in cells.items():
        for parameter, cell in by_parameter.items() if other == label else ():
            wrong = cell.verdict in ("biased", "zero", "not finite", "raises")
            if wrong or (cell.error or 0) > OFF:
                found.setdefault(parameter, {})[chr(97 + i)] = text(cell)
    return found


def sentence(name: str, found: dict[str, dict[str, str]]) -> str:
    """Those of one distribution, in few words."""
    kinds = {what for by_setting in found.values() for what in by_setting.values()}
    settings = settings_of(name)
    if len(kinds) == 1 and sum(map(len, found.values())) == len(settings) * len(settings[0]):
        return f"{name} {kinds.pop()}"
    told = []
    for parameter, by_setting in found.items():
        parts = []
        for what in dict.fromkeys(by_setting.values()):
            places = " ".join(k for k, v in by_setting.items() if v == what)
            parts.append(f"{places} {what}")
        told.append(f"`{parameter}` {', '.join(parts)}")
    return f"{name} {', '.join(told)}"


def findings(report: dict, labels: list[str]) -> list[str]:
    """What is not as it should be, library by library."""
    lines = []
    for label in labels:
        by_name = {name: faults(cells, label) for name, cells in report["cells"].items()}
        told = [sentence(name, found) for name, found in by_name.items() if found]
        lines.append(f"- {label}: {'; '.join(told) or 'nothing'}.")
    return lines


def markdown(report: dict, options) -> str:
    labels = report["labels"]
    command = "python benchmarks/gradients.py"
    lines = [
        "# Which gradients arrive",
        "",
        "Generated by `benchmarks/gradients.py`; do not edit.",
        "",
        "## How it was measured",
        "",
        f"`{command}{report['flags']}` on {report['date']}: {report['machine']};"
        f" {report['versions']}.",
        "",
        f"Each library makes {options.draws:,} draws in float32 with the parameters at the settings"
        " a (moderate), b and c (extreme) and differentiates them in reverse mode (PyTorch:"
        " `rsample`). An entry is",
        "",
        "| | |",
        "| --- | --- |",
        "| ok 2e-07 | unbiased, and each draw moves as its quantile does: the number is the largest"
        f" relative error of dz/dθ at {PER_DRAW} draws from the lowest to the highest, against"
        " -(dF/dθ) / p(z) in float64 (less what the rounding of z itself changes; where the"
        " derivative passes through 0, relative to a hundredth of its median) |",
        "| ok, var x 2 | unbiased, by another path than the quantile's; the variance of its"
        " gradient beside the quantile's |",
        f"| **off 2e-02** | unbiased, but such an error is above {OFF:g} |",
        "| ok | unbiased (vectors and matrices: no truth at a single draw) |",
        f"| **biased +13 %** (z 40) | the mean of d f(z)/dθ is not d E f/dθ, found by quadrature:"
        f" more than {SIGMAS:g} standard errors (and {SLACK:g}) off for one of three bounded test"
        " functions, with the relative error there |",
        "| **0** | every gradient is 0, silently |",
        "| **NaN 3 %** | so many draws or gradients are NaN or infinite |",
        "| *ValueError* | differentiating raises that |",
        "| | the library has no such distribution or parameter |",
        "",
        "*ours*: `exact` if our draw is an explicit function of the parameter and of noise without"
        f" one, `implicit` if dz/dθ = -(dF/dθ) / p(z). *ns*: draw and gradient in all parameters,"
        f" an element, at setting a, the best of {options.repetitions} runs of"
        f" {options.timed_draws:,} elements. `jax.random` has no locations and scales; where it"
        " has the sampler they were put around it by hand.",
        "",
        f"The two truths, quadrature of f(z) and quadrature of f'(z) dz/dθ, agree to"
        f" {report['truths']:.0e}.",
        "",
        "## What was found wrong",
        "",
        "Letters are the settings of the tables below; *off* is an error at a single draw above"
        f" {OFF:g}.",
        "",
        *findings(report, labels),
        "",
        "## The tables",
        "",
    ]
    for name in report["cells"]:
        lines += section(name, report, labels)
    return "\n".join(lines).rstrip() + "\n"


def truths_agree(names: list[str]) -> float:
    """The largest relative disagreement of the two ways to d E f / d theta."""
    worst = 0.0
    for name in names:
        for setting in _laws.SETTINGS.get(name, []):
            law = _laws.law_at(name, setting)
            for parameter in setting:
                one = _laws.true_gradients(_laws.LAWS[name], setting, parameter)
                two = _laws.slope_gradients(law, parameter)
                if np.abs(two).max() > 1e-30:
                    worst = max(worst, float(np.abs(one - two).max() / np.abs(two).max()))
    return worst


def here(labels: list[str]) -> dict[str, str]:
    packages = {_rivals.library(label).package: _rivals.library(label) for label in labels}
    versions = [
        f"{p} {library.version()}" for p, library in packages.items() if p != "stochastic_net"
    ]
    processor = (
        next(
            (
                line.partition(":")[2].strip()
                for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")
            ),
            platform.machine(),
        )
        if Path("/proc/cpuinfo").exists()
        else platform.machine()
    )
    return {
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores of {processor}, {jax.devices()[0].platform}",
        "versions": ", ".join([*versions, f"Python {platform.python_version()}"]),
        "flags": "".join(f" {a}" for a in sys.argv[1:]),
    }


def write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = path.with_suffix(".tmp")
    whole.write_text(content)
    whole.replace(path)


def run(options) -> dict:
    names = [n for n in NAMES if not options.only or options.only.lower() in n.lower()]
    labels = [k for k, v in _rivals.LIBRARIES.items() if v.here()]
    report = {"cells": {}, "times": {}, "labels": labels, **here(labels)}
    columns = (TextColumn("{task.description:40}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task("truth", total=len(names))
        report["truths"] = truths_agree(names)
        for name in names:
            cache, found, start = {}, {}, time.perf_counter()
            for label in dict.fromkeys([*labels, *_rivals.builders(name)]):
                progress.update(task, description=f"{name}: {label}")
                for i, setting in enumerate(settings_of(name)):
                    found[i, label] = measure(name, label, setting, options, cache)
                if options.speed:
                    times = report["times"].setdefault(name, {})
                    times[label] = nanoseconds(name, label, options)
            report["cells"][name] = found
            jax.clear_caches()
            progress.advance(task)
            if not progress.console.is_terminal:
                progress.console.print(f"{name}: {time.perf_counter() - start:.0f} s")
    extra = [k for cells in report["cells"].values() for _, k in cells if k not in labels]
    report["labels"] += list(dict.fromkeys(extra))
    return report


def show(report: dict) -> None:
    """The cells of the first setting and the worst of the others, as one table."""
    labels = report["labels"]
    table = Table("", "", *labels)
    for name, cells in report["cells"].items():
        for parameter in settings_of(name)[0]:
            row = []
            for label in labels:
                texts = [text(c[parameter]) for (_, k), c in cells.items() if k == label]
                row.append(" / ".join(texts).replace("*", "") if any(texts) else "")
            table.add_row(name, parameter, *row)
        table.add_section()
    Console(width=200).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", metavar="TEXT", help="the distributions with TEXT in their name")
    parser.add_argument("--draws", type=int, default=200_000, help="default: %(default)s")
    parser.add_argument("--no-speed", dest="speed", action="store_false", help="leave out times")
    parser.add_argument("--timed-draws", type=int, default=100_000, help=argparse.SUPPRESS)
    parser.add_argument("--repetitions", type=int, default=5, help="of a time (%(default)s)")
    parser.add_argument("--out", type=Path, help="where to write (default: docs/gradients.md)")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")  # of the peers, by the hundred
    report = run(options)
    show(report)
    default = Path(__file__).parents[1] / "docs" / "gradients.md"
    if options.out or not options.only:  # a part never replaces the whole
        write(options.out or default, markdown(report, options))


if __name__ == "__main__":
    main()
