"""Dangers at the given point, at zero variances and at points near, and those not met at all."""

import re

import jax.numpy as jnp
import numpy as np

from stochastic_net._types import Array
from stochastic_net.diagnostics._measure.directions import random_near
from stochastic_net.diagnostics._measure.met import HERE, met, not_finite_at, of_danger
from stochastic_net.diagnostics._measure.objective import Objective
from stochastic_net.diagnostics._measure.statistics import Statistics
from stochastic_net.diagnostics._program.flow import Danger
from stochastic_net.diagnostics._static.finding import Finding, Severity
from stochastic_net.diagnostics._static.structure import Structure

_VARIANCE = re.compile(r"(^|[._\['\"])(var|vars|variance|variances|sigma2|sigma_sq)(['\"\]]|$|_)")
_ZERO = "what it is taken of is {met} where the variance is zero, which is legal (probed)"
_NEAR = "what it is taken of is {met} at a point near this one (probed)"
_NOT_MET = "nothing keeps what it is taken of from being {met} (not met at this point)"
_ROOTS = ("sqrt", "rsqrt", "pow", "cbrt")


def not_finite(objective: Objective, at: Statistics, found: Structure) -> list[Finding]:
    """At the given point: an error, at the operation that makes it."""
    bad = min(at.finite) < 1
    if not bad and found.dangers:  # the logarithm of a negative number has a derivative
        bad = not np.isfinite(objective.values(objective.point)).all()
    return not_finite_at(objective, objective.point, found, at.finite, "error", HERE) if bad else []


def probes(objective: Objective, found: Structure, watched: list[int]) -> list[Finding]:
    """At zero variances and at points near; then what only the program says."""
    dangers = found.dangers
    if not dangers:
        return []
    findings: dict[tuple, Finding] = {}
    objective = objective.fewer(8)

    def add(one: Finding, danger: Danger) -> None:
        findings.setdefault(danger.place, one)

    for danger in dangers:
        if danger.guarded:
            add(of_danger(objective, danger, 1, "error", ""), danger)
    point = objective.point
    variances = [bool(_VARIANCE.search(name)) for name in objective.names]
    if any(variances):
        flat = [jnp.zeros_like(x) if v else x for x, v in zip(point, variances, strict=True)]
        for danger, level in _broken(objective, flat, found):
            root = danger.name in _ROOTS
            severity: Severity = "error" if root else "warning"
            add(of_danger(objective, danger, level, severity, _ZERO), danger)
    for danger, level in _broken(objective, random_near(point), found):
        severity = "error" if danger.layer and level == 2 else "warning"
        add(of_danger(objective, danger, level, severity, _NEAR), danger)
    for danger in dangers:
        if not danger.sampler:
            level = 2 if danger.below else 1
            add(of_danger(objective, danger, level, "warning", _NOT_MET), danger)
    return list(findings.values())


def _broken(objective: Objective, point: list[Array], found: Structure):
    if all(share == 1 for share in objective.gradients(point).finite):
        return []
    return met(objective, point, found)
