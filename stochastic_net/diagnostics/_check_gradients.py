"""Whether the gradient really gets there, and if not, at which line it breaks."""

from collections.abc import Callable, Sequence
from typing import Any

import jax

from stochastic_net._types import Key
from stochastic_net.diagnostics._measure.bias import Bias, bias
from stochastic_net.diagnostics._measure.comparable import FEW, comparable
from stochastic_net.diagnostics._measure.extremes import extremes
from stochastic_net.diagnostics._measure.objective import Objective, has_output
from stochastic_net.diagnostics._measure.probes import not_finite, probes
from stochastic_net.diagnostics._measure.work import affordable
from stochastic_net.diagnostics._measure.zeros import zeros
from stochastic_net.diagnostics._program.source import NOWHERE, raised_at
from stochastic_net.diagnostics._program.spots import spot
from stochastic_net.diagnostics._program.trace import Program, trace
from stochastic_net.diagnostics._report.assemble import Measured, assemble
from stochastic_net.diagnostics._report.gradient_report import GradientReport
from stochastic_net.diagnostics._static.finding import Finding, finding
from stochastic_net.diagnostics._static.static import structure
from stochastic_net.diagnostics._static.structure import Structure
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
    computed at the given point, beside it at zero variances, at points near and at values very
    large and very small. For every leaf of the arguments, and for every draw (the derivative in the
    value drawn), the report has the mean gradient, its standard error, and


      signal-to-noise = |E g| / sqrt(E |g - E g|^2),
      z of the bias   = (mean of g_k . v - (f_k(theta + h v) - f_k(theta - h v)) / 2h) / its error.

    A gradient is called biased if an unbiased one would look so with probability below 1e-2, and on
    twice as many other keys below 1e-3 (Student's t over the keys, beyond what the step h itself
    explains), so that the false-alarm rate is 1e-5 for each argument tested. Where f jumps as theta
    moves, the difference is taken at wide steps, extrapolated to none, or, where up to four numbers
    are drawn, by quadrature over all noise. Without a reference (behind a stop_gradient, at a jump
    that no noise smooths, in 16-bit floats) there is no z, and the report says why.

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
            return assemble(program, found, found.findings)
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
        return assemble(program, found, findings)
    # What is drawn has a gradient where it has a derivative, and where it can be shifted.
    moving = {d.bit: spot(d) for d in found.draws if d.bit & found.together.diff}
    places = {bit: one for bit, one in moving.items() if one is not None}
    count = num_samples or affordable(program)
    objective = Objective(program, key, count, found.chosen, list(places.values()))
    try:
        objective.trace_gradient()
    except Exception as error:  # the user's program may raise anything when differentiated
        reason = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        findings.append(finding("refused", "error", raised_at(error), "an argument", why=reason))
        return assemble(program, found, findings)
    at, at_draws = objective.measure(objective.point)
    watched = [i for i, leaf in enumerate(program.leaves) if leaf.watched]
    findings += not_finite(objective, at, found)
    findings += zeros(objective, at, found, watched)
    z: dict[int, Bias] = {}
    reasons: dict[int, str] = {}
    if all(share == 1 for share in at.finite):
        findings += extremes(objective, at, found, watched)
        findings += probes(objective, found, watched)
        tests, reasons = comparable(found, at, watched)
        z = bias(objective, at, tests, found.takers)
        findings += _biased(objective, found, watched, z)
        reasons |= {j: FEW for j, one in z.items() if not one.by}
    moved = places if objective.spots else {}
    measured = Measured(count, watched, at, z, reasons, moved, at_draws)
    return assemble(program, found, findings, measured)


def _biased(
    objective: Objective, found: Structure, watched: list[int], z: dict[int, Bias]
) -> list[Finding]:
    apart = {j: one for j, one in z.items() if j < 0} or z  # tested together, if negative
    findings = []
    for j, one in apart.items():
        if not one.biased:
            continue
        figures = (
            f"along one direction {one.gradient:.4g}, by differences of the mean ({one.by}) "
            f"{one.reference:.4g}, z = {one.z:.1f}"
        )
        bits = 1 << watched[j] if j >= 0 else objective.program.watched
        cuts = [c for c in found.walk.cuts.values() if c.ended & bits and c.noise]
        sources = [*found.walk.rules.values(), *(c.source for c in cuts)]
        sources += [d.source for d in found.draws]
        name = objective.names[j] if j >= 0 else "the arguments together"
        draw = found.draws[0].name if found.draws else ""
        source = sources[0] if sources else NOWHERE
        findings.append(finding("bias", "error", source, name, draw, figures=figures))
    return findings
