"""Where a gradient is not finite, here or nearby, and where it is exactly zero: at which line."""

import re

import jax.numpy as jnp
import numpy as np

from stochastic_net._types import Array
from stochastic_net.diagnostics._bias import generic
from stochastic_net.diagnostics._dangers import CURE
from stochastic_net.diagnostics._finding import Finding, Severity, finding
from stochastic_net.diagnostics._flow import Danger
from stochastic_net.diagnostics._locate import bad_operands, first_not_finite, saturation
from stochastic_net.diagnostics._numbers import Objective, Statistics
from stochastic_net.diagnostics._source import NOWHERE, locate
from stochastic_net.diagnostics._structure import Structure, danger_words, names

_VARIANCE = re.compile(r"(^|[._\['\"])(var|vars|variance|variances|sigma2|sigma_sq)(['\"\]]|$|_)")
_HERE = "what it is taken of is {met} at this point"
_ZERO = "what it is taken of is {met} where the variance is zero, which is legal (probed)"
_NEAR = "what it is taken of is {met} at a point near this one (probed)"
_NOT_MET = "nothing keeps what it is taken of from being {met} (not met at this point)"
_ROOTS = ("sqrt", "rsqrt", "pow", "cbrt")


def not_finite(objective: Objective, at: Statistics, found: Structure) -> list[Finding]:
    """At the given point: an error, at the operation that makes it."""
    bad = [j for j, share in enumerate(at.finite) if share < 1]
    if not bad and found.dangers and not np.isfinite(objective.values(objective.point)).all():
        bad = list(range(len(at.finite)))  # the logarithm of a negative number has a derivative
    if not bad:
        return []
    met = _met(objective, objective.point, found)
    if met:
        return [_danger(objective, d, level, "error", _HERE) for d, level in met]
    place = first_not_finite(objective, objective.point)
    at_line = found.walk.equations.get(place) if place else None
    source = locate(*at_line) if at_line else NOWHERE
    named = ", ".join(objective.names[j] for j in bad[:3])
    name = at_line[1].primitive.name if at_line else ""
    if name in CURE:
        words = CURE[name][0].upper() + CURE[name][1:]
        where = "what it is taken of is 0 in this precision at this point"
        return [finding("singular", "error", source, named, operation=words, where=where)]
    share = f"{100 * (1 - min(at.finite)):.3g} %"
    return [finding("nan", "error", source, named, share=share)]


def _met(objective: Objective, point: list[Array], found: Structure) -> list[tuple[Danger, int]]:
    """Dangers whose operand is 0 or below at a point."""
    bad = bad_operands(objective, point, found.dangers)
    return [(d, bad[d.place]) for d in found.dangers if d.place in bad]


def _danger(objective: Objective, d: Danger, level: int, severity: Severity, where: str) -> Finding:
    kind = "where_nan" if d.guarded else ("negative" if level == 2 else "singular")
    words = danger_words(d)
    if kind != "where_nan":
        words = words[0].upper() + words[1:]
    argument = names(objective.program, d.sources & objective.program.watched)
    met = "negative" if level == 2 else "0"
    where = where.format(met=met)
    return finding(kind, severity, d.source, argument, operation=words, where=where)


def probes(objective: Objective, found: Structure, watched: list[int]) -> list[Finding]:
    """At zero variances and at points near; then what only the program says."""
    dangers = found.dangers
    if not dangers:
        return []
    findings: dict[tuple, Finding] = {}

    def add(one: Finding, danger: Danger) -> None:
        findings.setdefault(danger.place, one)

    for danger in dangers:
        if danger.guarded:
            add(_danger(objective, danger, 1, "error", ""), danger)
    point = objective.point
    variances = [bool(_VARIANCE.search(name)) for name in objective.names]
    if any(variances):
        flat = [jnp.zeros_like(x) if v else x for x, v in zip(point, variances, strict=True)]
        for danger, level in _broken(objective, flat, found):
            root = danger.name in _ROOTS
            severity: Severity = "error" if root else "warning"
            add(_danger(objective, danger, level, severity, _ZERO), danger)
    for danger, level in _broken(objective, _near(point), found):
        severity = "error" if danger.layer and level == 2 else "warning"
        add(_danger(objective, danger, level, severity, _NEAR), danger)
    for danger in dangers:
        if not danger.sampler:
            level = 2 if danger.below else 1
            add(_danger(objective, danger, level, "warning", _NOT_MET), danger)
    return list(findings.values())


def _broken(objective: Objective, point: list[Array], found: Structure):
    if all(share == 1 for share in objective.gradients(point).finite):
        return []
    return _met(objective, point, found)


def _near(point: list[Array], seed: int = 2) -> list[Array]:
    """Random values of the size of those given; what is positive stays so."""
    rng = np.random.default_rng(seed)

    def move(x: Array) -> Array:
        values = np.asarray(x, np.float64)
        noise = rng.normal(size=values.shape)
        one_signed = (values >= 0).all() or (values <= 0).all()
        size = np.sqrt(np.mean(np.square(values))) if values.size else 0.0
        return jnp.asarray(
            values * np.exp(0.5 * noise) if one_signed else values + size * noise, x.dtype
        )

    return [move(x) for x in point]


def zeros(objective: Objective, at: Statistics, found: Structure, watched: list[int]):
    """Gradients that are exactly zero though a path exists, and clips that flatten much."""
    dead = [j for j, i in enumerate(watched) if at.zero[j] and found.together.diff >> i & 1]
    clips = {p for p, (n, s, _) in found.walk.flats.items() if s.called in ("clip", "clamp")}
    met = _met(objective, objective.point, found) if dead else []
    findings = [_danger(objective, d, level, "error", _HERE) for d, level in met]
    stuck = sum(1 << watched[j] for j in dead)
    said = 0
    for danger, _ in met:
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
    elsewhere = objective.gradients(generic(objective.point, seed=3)).zero
    findings: list[Finding] = []
    meant = []
    for j in dead:
        bit = 1 << watched[j]
        cuts = [c for c in found.walk.cuts.values() if c.ended & bit and c.kind != "stop_gradient"]
        if elsewhere[j] and cuts:
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
