"""What was walked and measured, as a report."""

import dataclasses
from typing import NamedTuple

import numpy as np

from stochastic_net.diagnostics._measure.bias import Bias
from stochastic_net.diagnostics._measure.statistics import Statistics
from stochastic_net.diagnostics._program.keys import described
from stochastic_net.diagnostics._program.spots import Spot
from stochastic_net.diagnostics._program.trace import Program
from stochastic_net.diagnostics._report.gradient_report import GradientReport
from stochastic_net.diagnostics._report.gradients import ArgumentGradient, DrawGradient
from stochastic_net.diagnostics._report.graph import graph
from stochastic_net.diagnostics._static.finding import Finding
from stochastic_net.diagnostics._static.structure import Structure

_ORDER = {"error": 0, "warning": 1, "note": 2}


class Measured(NamedTuple):
    """The numbers: of leaves, in the order of `watched`, and of draws, in that of `moving`."""

    count: int
    watched: list[int]
    at: Statistics
    z: dict[int, Bias]
    reasons: dict[int, str]
    moving: dict[int, Spot]  # draws that can be shifted, by their bit
    at_draws: Statistics


def assemble(
    program: Program, found: Structure, findings: list[Finding], measured: Measured | None = None
) -> GradientReport:
    """The report; without numbers where there are none."""
    unique = _once(findings)
    arguments, draws = _arguments(program, found, measured), _draws(program, found, measured)
    count = measured.count if measured else 0
    picture = graph(program, found, unique, arguments, draws)
    return GradientReport(program.name, unique, arguments, draws, count, picture)


def _once(findings: list[Finding]) -> list[Finding]:
    found: dict[tuple, Finding] = {}
    for one in sorted(findings, key=lambda f: _ORDER[f.severity]):
        found.setdefault((one.kind, one.file, one.line, one.argument), one)
    return list(found.values())


def _arguments(
    program: Program, found: Structure, measured: Measured | None
) -> list[ArgumentGradient]:
    opened = found.together.open & ~found.together.declared
    missing = 0
    for cut in found.walk.cuts_in(opened):
        missing |= cut.ended
    leaves = [(i, leaf) for i, leaf in enumerate(program.leaves) if leaf.watched]
    rows = []
    for j, (i, leaf) in enumerate(leaves):
        arrives, complete = bool(found.together.diff >> i & 1), not missing >> i & 1
        shape = np.shape(leaf.value)
        row = ArgumentGradient(leaf.name, shape, arrives=arrives, complete=complete)
        rows.append(_with_figures(row, j, measured) if measured else row)
    return rows


def _with_figures(row: ArgumentGradient, j: int, measured: Measured) -> ArgumentGradient:
    at, one = measured.at, measured.z.get(j)
    norm, error = at.norms(j)
    tested = one is not None and bool(one.by)
    return dataclasses.replace(
        row,
        norm=norm,
        error=error,
        signal=at.signal(j),
        finite=at.finite[j],
        zero=at.zero[j],
        bias_z=one.z if one and tested else None,
        reference=one.by if one else "",
        untested=measured.reasons.get(j, ""),
    )


def _draws(program: Program, found: Structure, measured: Measured | None) -> list[DrawGradient]:
    rows = []
    names = {("leaf", i): leaf.name for i, leaf in enumerate(program.leaves)}
    for draw in found.draws:
        source, key = draw.source, described(draw.key, names)
        passes = bool(draw.bit & found.together.diff)
        moving = list(measured.moving) if measured else []
        if measured is None or draw.bit not in moving:
            rows.append(DrawGradient(draw.name, source.file, source.line, draw.shape, key, passes))
            continue
        k, at = moving.index(draw.bit), measured.at_draws
        shape = measured.moving[draw.bit].shape
        about = (draw.name, source.file, source.line, shape, key, passes)
        norm, error = at.norms(k)
        rows.append(DrawGradient(*about, norm, error, at.signal(k), at.finite[k]))
    return rows
