"""Gradients that are exactly zero though a path exists, and clips that flatten much."""

from stochastic_net.diagnostics._measure.directions import generic, random_near
from stochastic_net.diagnostics._measure.locate import saturation
from stochastic_net.diagnostics._measure.met import HERE, met, of_danger
from stochastic_net.diagnostics._measure.objective import Objective
from stochastic_net.diagnostics._measure.statistics import Statistics
from stochastic_net.diagnostics._program.source import NOWHERE
from stochastic_net.diagnostics._static.finding import Finding, finding
from stochastic_net.diagnostics._static.structure import Structure, names


def zeros(objective: Objective, at: Statistics, found: Structure, watched: list[int]):
    """Gradients that are exactly zero though a path exists, and clips that flatten much."""
    dead = [j for j, i in enumerate(watched) if at.zero[j] and found.together.diff >> i & 1]
    clips = {p for p, (n, s, _) in found.walk.flats.items() if s.called in ("clip", "clamp")}
    dangers = met(objective, objective.point, found) if dead else []
    findings = [of_danger(objective, d, level, "error", HERE) for d, level in dangers]
    stuck = sum(1 << watched[j] for j in dead)
    said = 0
    for danger, _ in dangers:
        said |= danger.sources & stuck
    dead = [j for j in dead if not said >> watched[j] & 1]
    places = set(found.walk.flats) if dead else clips
    if not places:
        return findings + _without_reason(objective, found, watched, dead)
    shares = saturation(objective, objective.point, places)
    flats = {p: found.walk.flats[p] for p, share in shares.items() if share == 1}
    located: set[int] = set()
    for name, source, bits in flats.values():
        leaves = [j for j in dead if bits >> watched[j] & 1]
        new = [j for j in leaves if j not in located]
        located.update(leaves)
        if new:
            named = names(objective.program, sum(1 << watched[j] for j in new))
            findings.append(finding("saturated", "error", source, named, operation=name))
    for place in clips:
        share = shares.get(place, 0.0)
        if 0.5 < share < 1:
            name, source, _ = found.walk.flats[place]
            findings.append(finding("clipped", "warning", source, share=f"{100 * share:.0f} %"))
    return findings + _without_reason(
        objective, found, watched, [j for j in dead if j not in located]
    )


def _without_reason(
    objective: Objective, found: Structure, watched: list[int], dead: list[int]
) -> list[Finding]:
    """Zero here; if at another point too, where no value is zero, a derivative ends on the way.

    The path that there is leads through a case that is never taken, for NaN for example.
    """
    if not dead:
        return []
    point, objective = objective.point, objective.fewer(8)
    others = [generic(point, seed=3), random_near(point, seed=4), random_near(point, seed=5)]
    zero = [objective.gradients(other).zero for other in others]
    elsewhere = [all(column) for column in zip(*zero, strict=True)]
    findings: list[Finding] = []
    meant = []
    for j in dead:
        bit = 1 << watched[j]
        cuts = [c for c in found.walk.cuts.values() if c.ended & bit and c.kind != "stop_gradient"]
        if elsewhere[j] and cuts and not found.walk.on_purpose & bit:
            named = objective.names[j]
            findings.append(finding(cuts[0].kind, "error", cuts[0].source, named, why=cuts[0].why))
        else:
            meant.append(j)
    return findings + _unlocated(objective, meant)


def _unlocated(objective: Objective, dead: list[int]) -> list[Finding]:
    if not dead:
        return []
    shown = ", ".join(objective.names[j] for j in dead[:2])
    shown += f" and {len(dead) - 2} more" if len(dead) > 2 else ""
    return [finding("zero_gradient", "warning", NOWHERE, shown)]
