"""Probes far out: values very large and very small, where functions overflow and saturate."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from stochastic_net._types import Array
from stochastic_net.diagnostics._measure.locate import saturation
from stochastic_net.diagnostics._measure.met import not_finite_at
from stochastic_net.diagnostics._measure.objective import Objective
from stochastic_net.diagnostics._measure.statistics import Statistics
from stochastic_net.diagnostics._static.finding import Finding, Severity, finding
from stochastic_net.diagnostics._static.structure import Structure, names

_LARGE, _SMALL = 1e3, 1e-25  # of 1e3 exp overflows, of 1e-25 a square vanishes in float32
_SCALES = {_LARGE: "1,000 times as large", _SMALL: "1e-25 times as large"}


def extremes(
    objective: Objective, at: Statistics, found: Structure, watched: list[int]
) -> list[Finding]:
    """Where all arguments are huge, where all are tiny.

    A gradient that is not finite is a warning: something overflows or vanishes inside that need
    not. Where at huge arguments the value overflows too it is a note, as is saturation.
    """
    findings: list[Finding] = []
    objective = objective.fewer(1)  # what overflows does so for every key
    for scale, words in _SCALES.items():
        point = [_scaled(x, scale) for x in objective.point]
        there = objective.gradients(point)
        if min(there.finite) < 1:
            whole = bool(np.isfinite(objective.values(point)).all())
            severity: Severity = "warning" if whole or scale == _SMALL else "note"
            where = f"what it is taken of is {{met}} at values {words} (probed)"
            met = not_finite_at(objective, point, found, there.finite, severity, where)
            # What has no line cannot be acted on.
            findings += [f if f.line else dataclasses.replace(f, severity="note") for f in met]
        elif scale == _LARGE:
            dead = [j for j in range(len(watched)) if there.zero[j] and not at.zero[j]]
            findings += _saturated(objective, point, found, watched, dead)
    return findings


def _scaled(x: Array, scale: float) -> Array:
    """In the range of the type: float16 ends at 65504."""
    values = np.asarray(x, np.float64) * scale
    top = float(jnp.finfo(x.dtype).max) / 16
    return jnp.asarray(np.clip(values, -top, top), x.dtype)


def _saturated(objective, point, found: Structure, watched: list[int], dead: list[int]):
    """Which flat regions end the gradient there."""
    bits = sum(1 << watched[j] for j in dead)
    flats = {p: flat for p, flat in found.walk.flats.items() if flat[2] & bits}
    if not flats:
        return []
    shares = saturation(objective, point, set(flats))
    return [
        finding(
            "saturated",
            "note",
            source,
            names(objective.program, reach & bits),
            operation=f"{name}, at values {_SCALES[_LARGE]}, probed",
        )
        for place, (name, source, reach) in flats.items()
        if shares.get(place, 0) == 1
    ]
