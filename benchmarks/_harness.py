"""How we measure: rounds interleaved, ratios paired, peaks in a child, limits beside them."""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table


class Job(NamedTuple):
    """One task of one contender: a blocking call, and what its compiler says of it."""

    run: Callable[[], object]
    compile_s: float | None = None
    plan_mb: float | None = None  # arguments + outputs + temporaries


class Contender(NamedTuple):
    """`package` is what it needs; `build(options)` makes its jobs, one a task."""

    package: str
    build: Callable[[argparse.Namespace], dict[str, Job]]


def jax_job(function: Callable, *args) -> Job:
    """Jit `function`, time its compilation and read its memory plan."""
    jitted, start = jax.jit(function), time.perf_counter()
    plan = jitted.lower(*args).compile().memory_analysis()
    compile_s = time.perf_counter() - start
    size = plan.argument_size_in_bytes + plan.output_size_in_bytes + plan.temp_size_in_bytes
    return Job(lambda: jax.block_until_ready(jitted(*args)), compile_s, size / 1e6)


def torch_device() -> str:
    """Where PyTorch has to run to be beside JAX."""
    return "cuda" if jax.default_backend() == "gpu" else "cpu"


def torch_job(run: Callable[[], object]) -> Job:
    """A job of PyTorch's, whose calls return before a GPU is done."""
    if torch_device() == "cpu":
        return Job(run)
    import torch

    def blocking() -> None:
        run()
        torch.cuda.synchronize()

    return Job(blocking)


def wanted(task: str, options: argparse.Namespace) -> bool:
    """Whether the user asked for this task; builders of many tasks need not make the others."""
    return not options.only or options.only in task


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def mean_seconds(run: Callable[[], object], span: float = 0.1) -> float:
    """The mean over as many calls as take that many seconds, one at least.

    A call of a millisecond takes turns being on one core and on all of them, as the kernel places
    its threads: a median of single calls is then either the one or the other.
    """
    total, calls = seconds(run), 1
    while total < span:
        total, calls = total + seconds(run), calls + 1
    return total / calls


def interleave(runs: dict[tuple[str, str], Callable], rounds: int) -> dict[tuple, list[float]]:
    """Time every run once a round, in an order drawn anew; as many untimed calls go before."""
    times: dict[tuple, list[float]] = {name: [] for name in runs}
    order, dice = list(runs), random.Random(0)
    for _ in range(rounds):
        dice.shuffle(order)
        for name in order:
            mean_seconds(runs[name])  # caches, threads and clocks as in a loop of this one
            times[name].append(mean_seconds(runs[name]))
    return times


def ratio(times: list[float], reference: list[float]) -> tuple[float, float, float]:
    """The ratio of medians and its 95 % bootstrap interval, rounds resampled in pairs."""
    pair = np.array([times, reference])
    rounds = np.random.default_rng(0).integers(0, len(times), (4000, len(times)))
    top, bottom = np.median(pair[:, rounds], axis=2)
    return np.median(times) / np.median(reference), *np.quantile(top / bottom, [0.025, 0.975])


def machine() -> dict[str, object]:
    """Where the figures come from, and the best it does: a large product and a large copy."""
    side, words, device = 2048, 2**27, jax.devices()[0]
    matrix, vector = jnp.ones((side, side)), [jnp.ones(words)]
    product = jax.jit(lambda x: x @ x)
    in_place = jax.jit(lambda x: x + 1, donate_argnums=0)  # so that no new page has to be mapped

    def multiply() -> None:
        product(matrix).block_until_ready()

    def pass_over() -> None:
        vector.append(in_place(vector.pop()).block_until_ready())

    multiply_s, pass_s = (min(seconds(run) for _ in range(10)) for run in (multiply, pass_over))
    packages = [p for p in ("jax", "flax", "numpyro", "torch") if importlib.util.find_spec(p)]
    return {p: importlib.metadata.version(p) for p in packages} | {
        "device": f"{device.platform} {device.device_kind}",
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "gflop_per_s": round(2e-9 * side**3 / multiply_s),
        "gbyte_per_s": round(8e-9 * words / pass_s, 1),
    }


def peak_mb(run: Callable[[], object]) -> float:
    """How far resident memory rises in a run (Linux only: the kernel's high-water mark)."""

    def status(field: str) -> float:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(x.split()[1]) for x in lines if x.startswith(field)) * 1024e-6

    def settle() -> None:
        run()
        time.sleep(0.1)  # JAX frees its temporaries a moment after the result is there

    settle()
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget earlier peaks, compilation's among them
    for _ in range(5):
        settle()
    return status("VmHWM") - before


def peak_in_child(name: str, task: str) -> float | None:
    """`peak_mb` in a process that runs nothing else and returns freed memory at once."""
    child = subprocess.run(
        [sys.executable, *sys.argv, "--peak-of", name, task],
        env=os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"},
        capture_output=True,
        text=True,
        check=False,
    )
    return None if child.returncode else float(child.stdout)


def measure(contenders: dict[str, Contender], limit_ms: Callable, options) -> dict:
    """One row of figures for each task and contender; the first contender is the reference."""
    here = {n: c for n, c in contenders.items() if importlib.util.find_spec(c.package)}
    report = {"options": {k: str(v) for k, v in vars(options).items()}, "machine": machine()}
    jobs = {
        (task, name): job
        for name, contender in here.items()
        for task, job in contender.build(options).items()
        if wanted(task, options)
    }
    times = interleave({place: job.run for place, job in jobs.items()}, options.rounds)
    report["missing"], report["rows"] = [n for n in contenders if n not in here], []
    for (task, name), job in jobs.items():
        over, low, high = ratio(times[task, name], times[task, next(iter(here))])
        ms, limit = 1e3 * float(np.median(times[task, name])), limit_ms(task, report["machine"])
        row = {"task": task, "name": name, "ms": ms, "ratio": over, "low": low, "high": high}
        row |= {"limit_ms": limit, "x_limit": ms / limit, **job._asdict()}
        row["peak_mb"] = None if options.no_peak else peak_in_child(name, task)
        report["rows"].append({k: v for k, v in row.items() if k != "run"})
    return report


def show(report: dict) -> None:
    """The report as one table."""
    console = Console(width=110)
    console.print(", ".join(f"{k} {v}" for k, v in report["machine"].items()))
    table = Table()
    for column in ("", "ms", "ratio", "95 %", "x limit", "compile s", "plan MB", "peak MB"):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    for task in dict.fromkeys(row["task"] for row in report["rows"]):
        rows = [row for row in report["rows"] if row["task"] == task]
        table.add_section()
        table.add_row(f"[bold]{task}[/]")
        table.add_row("this machine's limit", f"{rows[0]['limit_ms']:.2f}")
        for r in rows:
            figures = [f"{r['ms']:.2f}", f"{r['ratio']:.3f}", f"{r['low']:.3f} to {r['high']:.3f}"]
            figures += [f"{r['x_limit']:.1f}"]
            rest = (("compile_s", ".2f"), ("plan_mb", ".1f"), ("peak_mb", ".1f"))
            figures += ["-" if r[name] is None else format(r[name], spec) for name, spec in rest]
            table.add_row(r["name"], *figures)
    console.print(table)
    for name in report["missing"]:
        console.print(f"{name}: not installed")


def main(
    description: str,
    contenders: dict[str, Contender],
    limit_ms: Callable,
    key_impl: str = "threefry2x32",
) -> None:
    """The command line of a benchmark."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=40, help="interleaved rounds (default: 40)")
    parser.add_argument(
        "--key-impl", default=key_impl, help="of every JAX key (default: %(default)s)"
    )
    parser.add_argument("--only", metavar="TEXT", help="measure the tasks with TEXT in their name")
    parser.add_argument(
        "--no-peak", action="store_true", help="leave out peak memory, which takes a process each"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--peak-of", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak_of:
        name, task = options.peak_of
        options.only = task
        print(peak_mb(contenders[name].build(options)[task].run))
        return
    report = measure(contenders, limit_ms, options)
    show(report)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")
