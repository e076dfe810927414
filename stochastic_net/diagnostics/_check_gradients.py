"""Whether the gradient really gets there, and if not, at which line it breaks."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from stochastic_net._types import Key
from stochastic_net.diagnostics._bias import Bias, bias
from stochastic_net.diagnostics._finding import Finding, finding
from stochastic_net.diagnostics._gradient_report import ArgumentGradient, GradientReport
from stochastic_net.diagnostics._graph import graph
from stochastic_net.diagnostics._numbers import Objective, affordable, has_output
from stochastic_net.diagnostics._probes import not_finite, probes, zeros
from stochastic_net.diagnostics._source import NOWHERE
from stochastic_net.diagnostics._structure import Structure, structure
from stochastic_net.diagnostics._trace import Program, trace
from stochastic_net.random import check_key


def check_gradients(
    f: Callable[..., Any],
    *args: Any,
    key: Key,
    argnums: int | Sequence[int] | None = None,
    num_samples: int | None = None,
    numbers: bool = True,
) -> GradientReport:
    r"""Find out whether the gradient of `f` reaches its arguments, and where it breaks if not.

    Two kinds of evidence are combined. The *structure*: the program of f is walked, into everything
    that it calls, and every value is known to depend on the arguments and draws by a path of
    derivatives, or only through a place where the derivative ends. What an operation's derivative
    does is asked of JAX's own rule for it. The *numbers*: over many keys the gradient g_k is
    computed at the given point, beside it at zero variances and at points near, and

      signal-to-noise = |E g| / sqrt(E |g - E g|^2),
      z of the bias   = (mean of g_k . v - (f_k(theta + h v) - f_k(theta - h v)) / 2h) / its error.

    A gradient is called biased if an unbiased one would look so with probability below 1e-2, and on
    twice as many other keys below 1e-3 (Student's t over the keys, beyond what the step h itself
    explains), so that the false-alarm rate is 1e-5 for each argument tested. Where f jumps as theta
    moves, the difference is no reference and no z is given.

    Args:
      f: a function of arrays, pytrees of arrays, Gaussians and modules, or a module; not only one
        written with this library. What it returns is a number or a pytree; of several numbers the
        gradient of a fixed random combination is taken. It is run, many times.
      *args: its arguments. Every floating leaf is differentiated, of Flax modules the parameters.
      key: one typed key, consumed. It goes to the parameter of f called `key` (or `rng`,
        `rng_key`, `seed`), or to the one parameter that is left; keys among `args` are replaced by
        children of it when draws are repeated.
      argnums: which of `args` to differentiate; all by default. Leave data and targets out.
      num_samples: over how many keys; by default 8 to 1000, fewer the longer f takes.
      numbers: False leaves the numbers out: nothing is computed, and the answer is there at once.

    Returns:
      A `GradientReport`: `print(report)` is a table, `report.ok`, `report.findings`,
      `report.plot()`, `report.raise_if_broken()`.

    Raises:
      TypeError: nothing in the arguments can be differentiated, or `key` is not a typed key.
      ValueError: an entry of `argnums` that is not there, fewer than 2 samples.

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> def loss(logits, rewards, key):
      ...     return rewards[jax.random.categorical(key, logits)]
      >>> key = jax.random.key(0)
      >>> report = sn.check_gradients(loss, jnp.zeros(3), jnp.arange(3.0), key=key)
      >>> report.ok, report.findings[0].kind, report.findings[0].argument
      (False, 'draw', 'logits')
    """
    check_key(key)
    if num_samples is not None and num_samples < 2:
        raise ValueError(f"num_samples must be at least 2, got {num_samples}.")
    with jax.debug_key_reuse(False):  # reuse is a finding here, not an error
        program = trace(f, args, key, argnums)
        found = structure(program)
        if not numbers:
            return _report(program, found, found.findings, [], 0)
        return _with_numbers(program, found, key, num_samples)


def assert_gradients_flow(
    f: Callable[..., Any],
    *args: Any,
    key: Key,
    argnums: int | Sequence[int] | None = None,
    num_samples: int | None = None,
) -> None:
    """Raise `BrokenGradient` (an AssertionError) unless `check_gradients` finds no error.

    For a test of your own; the message is the report. Arguments are those of `check_gradients`.

    Raises:
      BrokenGradient: a gradient does not arrive, or arrives wrong.

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> def loss(x, key):
      ...     return (x.sample(key) ** 2).sum()
      >>> x = sn.Gaussian(jnp.zeros(3), jnp.ones(3))
      >>> sn.diagnostics.assert_gradients_flow(loss, x, key=jax.random.key(0))
    """
    report = check_gradients(f, *args, key=key, argnums=argnums, num_samples=num_samples)
    report.raise_if_broken()


def _with_numbers(
    program: Program, found: Structure, key: Key, num_samples: int | None
) -> GradientReport:
    findings = list(found.findings)
    impossible = any(f.kind in ("refused", "while_loop") for f in findings)
    if impossible or not has_output(program, found.chosen):
        return _report(program, found, findings, [], 0)
    objective = Objective(program, key, num_samples or affordable(program), found.chosen)
    try:
        objective.trace_gradient()
    except Exception as error:  # the user's program may raise anything when differentiated
        reason = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        findings.append(finding("refused", "error", NOWHERE, "an argument", why=reason))
        return _report(program, found, findings, [], 0)
    at = objective.gradients(objective.point)
    watched = [i for i, leaf in enumerate(program.leaves) if leaf.watched]
    findings += not_finite(objective, at, found)
    findings += zeros(objective, at, found, watched)
    if all(share == 1 for share in at.finite):
        findings += probes(objective, found, watched)
    z: dict[int, Bias] = {}
    if all(share == 1 for share in at.finite):
        explained = _explained(found)
        test = [j for j, i in enumerate(watched) if not explained >> i & 1 and not at.zero[j]]
        z = bias(objective, at, test) if test else {}
        z |= dict.fromkeys(test, z[-1]) if -1 in z else {}
        apart = {-1: z[-1]} if -1 in z else z
        findings += [_biased(objective, found, j, one) for j, one in apart.items() if one.biased]
    rows = [
        ArgumentGradient(
            program.leaves[i].name,
            np.shape(program.leaves[i].value),
            _norm(at.mean[j]),
            _norm(at.error[j]),
            at.signal(j),
            at.finite[j],
            at.zero[j],
            z[j].z if j in z else None,
        )
        for j, i in enumerate(watched)
    ]
    return _report(program, found, findings, rows, objective.num_samples)


def _explained(found: Structure) -> int:
    """Leaves whose difference to finite differences is said by the structure, or cannot be told."""
    bits = found.walk.on_purpose | found.walk.jumps
    for cut in found.walk.cuts.values():
        reached = cut.jump or cut.bit & (found.together.lost | found.together.open)
        if reached and cut.kind not in ("stop_gradient", "zero_factor"):
            bits |= cut.ended
    return bits


def _biased(objective: Objective, found: Structure, j: int, one: Bias) -> Finding:
    draws = found.draws
    figures = (
        f"along one direction {one.gradient:.4g}, by finite differences of the mean "
        f"{one.reference:.4g}, z = {one.z:.1f}"
    )
    rules = list(found.walk.rules.values())
    source = rules[0] if rules else (draws[0].source if draws else NOWHERE)
    name = objective.names[j] if j >= 0 else "the arguments together"
    return finding("bias", "error", source, name, draws[0].name if draws else "", figures=figures)


def _norm(x: np.ndarray) -> float:
    return float(np.sqrt(np.sum(np.square(x, dtype=np.float64))))


def _report(program: Program, found: Structure, findings, rows, count: int) -> GradientReport:
    order = {"error": 0, "warning": 1, "note": 2}
    found_once: dict[tuple, Finding] = {}
    for one in sorted(findings, key=lambda f: order[f.severity]):
        found_once.setdefault((one.kind, one.file, one.line, one.argument), one)
    unique = list(found_once.values())
    broken = program.watched & ~found.together.diff
    rows = rows or [
        ArgumentGradient(leaf.name, np.shape(leaf.value)) for leaf in program.leaves if leaf.watched
    ]
    lost = {leaf.name for i, leaf in enumerate(program.leaves) if broken >> i & 1}
    rows = [dataclasses.replace(row, arrives=row.name not in lost) for row in rows]
    signals = {row.name: row.signal for row in rows if not math.isnan(row.signal)}
    return GradientReport(
        program.name,
        unique,
        rows,
        [f"{d.name} at {d.source}" for d in found.draws],
        count,
        graph(program, found, unique, signals),
    )
