"""Dangerous operations that are met at a point, as findings."""

import numpy as np

from stochastic_net._types import Array
from stochastic_net.diagnostics._measure.locate import bad_operands, first_not_finite
from stochastic_net.diagnostics._measure.objective import Objective
from stochastic_net.diagnostics._program.dangers import CURE
from stochastic_net.diagnostics._program.flow import Danger
from stochastic_net.diagnostics._program.source import NOWHERE, locate
from stochastic_net.diagnostics._static.finding import Finding, Severity, finding
from stochastic_net.diagnostics._static.structure import Structure, names

HERE = "what it is taken of is {met} at this point"


def met(objective: Objective, point: list[Array], found: Structure) -> list[tuple[Danger, int]]:
    """Dangers whose operand is 0 (1) or below (2) at a point."""
    bad = bad_operands(objective, point, found.dangers)
    return [(d, bad[d.place]) for d in found.dangers if d.place in bad]


def of_danger(
    objective: Objective,
    danger: Danger,
    level: int,
    severity: Severity,
    where: str,
    hidden: bool = False,
) -> Finding:
    """In words; `hidden` says that the values are finite all the same."""
    behind = danger.guarded or (hidden and danger.hidden)
    kind = "where_nan" if behind else ("negative" if level == 2 else "singular")
    words = CURE[danger.name]
    argument = names(objective.program, danger.sources & objective.program.watched)
    where = where.format(met="negative" if level == 2 else "0")
    if kind != "where_nan":
        words = words[0].upper() + words[1:]
    return finding(kind, severity, danger.source, argument, operation=words, where=where)


def not_finite_at(
    objective: Objective,
    point: list[Array],
    found: Structure,
    finite: list[float],
    severity: Severity,
    where: str,
) -> list[Finding]:
    """What makes gradients at a point not finite, `where` saying which point that is."""
    hidden = bool(np.isfinite(objective.values(point)).all())
    dangers = met(objective, point, found)
    if dangers:
        return [of_danger(objective, d, level, severity, where, hidden) for d, level in dangers]
    place = first_not_finite(objective, point)
    at_line = found.walk.equations.get(place) if place else None
    source = locate(*at_line) if at_line else NOWHERE
    bad = [j for j, share in enumerate(finite) if share < 1] or list(range(len(finite)))
    named = ", ".join(objective.names[j] for j in bad[:3])
    name = at_line[1].primitive.name if at_line else ""
    if name in CURE:
        words = CURE[name][0].upper() + CURE[name][1:]
        where = where.format(met="0 in this precision")
        return [finding("singular", severity, source, named, operation=words, where=where)]
    share = f"{100 * (1 - min(finite)):.3g} %"
    at = where.rpartition("{met} ")[2]
    return [finding("nan", severity, source, named, share=share, at=at)]
