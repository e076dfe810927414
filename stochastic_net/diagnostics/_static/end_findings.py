"""Where derivatives end, as findings."""

from stochastic_net.diagnostics._program.flow import Cut, Draw
from stochastic_net.diagnostics._program.source import NOWHERE
from stochastic_net.diagnostics._program.trace import Program
from stochastic_net.diagnostics._static.finding import Finding, Severity, finding
from stochastic_net.diagnostics._static.messages import HARD
from stochastic_net.diagnostics._static.structure import Structure, names

_ORDER = (
    *("refused", "draw", "biased_sampler", "while_loop", "custom_rule", "stop_gradient"),
    *("integer", "rounding", "argmax", "zero_factor", "no_derivative", "comparison"),
)


def end_findings(found: Structure, program: Program) -> list[Finding]:
    """One a line: an error when differentiated says more than a draw, that more than an end."""
    every = [*_raising(found, program), *_discrete(found, program), *_ends(found, program)]
    ends: dict[tuple, Finding] = {}
    for one in every:
        ends.setdefault((one.file, one.line, one.argument if not one.line else ""), one)
    return list(ends.values())


def _draw_of(found: Structure, cut: Cut) -> Draw | None:
    of_cut = [d for d in found.walk.draws.values() if d.bit & cut.noise]
    here = [d for d in of_cut if d.source[:2] == cut.source[:2]]
    return (here or of_cut or [None])[0]


def _chosen(cut: Cut, draw: Draw | None) -> str:
    """What is said instead where the user's line, not the sampler, makes it discrete."""
    if draw is None or cut.why == "wald" or cut.source.called == draw.source.called:
        return ""
    return HARD


def _raising(found: Structure, program: Program) -> list[Finding]:
    """Where differentiating is an error."""
    return [
        finding(
            cut.kind,
            "error",
            cut.source,
            names(program, cut.ended & program.watched),
            _name_of_noise(found, cut),
            why=cut.why,
        )
        for cut in found.walk.cuts.values()
        if cut.bit & found.together.raises
    ]


def _discrete(found: Structure, program: Program) -> list[Finding]:
    """Draws that do not move with their parameters, and that nothing makes up for."""
    opened = found.together.open & ~found.together.declared
    by_line: dict[tuple, Finding] = {}
    for cut in found.walk.cuts.values():
        if not cut.bit & opened or not cut.ended & program.watched:
            continue
        draw = _draw_of(found, cut)
        kind = "biased_sampler" if cut.why == "wald" else "draw"
        one = finding(
            kind,
            "error",
            cut.source,
            names(program, cut.ended & program.watched),
            draw.name if draw else "",
            _chosen(cut, draw),
        )
        by_line.setdefault((one.file, one.line, kind), one)
    return list(by_line.values())


def _ends(found: Structure, program: Program) -> list[Finding]:
    """Arguments without a path of derivatives to the output, by the place where it ends."""
    without = program.watched & ~found.together.diff
    by_cut: dict[tuple, tuple[Cut, int]] = {}
    unused = 0
    for i in range(len(program.leaves)):
        leaf = 1 << i
        if not without & leaf:
            continue
        if not found.together.info & leaf:
            unused |= leaf
            continue
        cuts = [c for c in found.walk.cuts.values() if c.bit & found.together.lost]
        cuts = [c for c in cuts if c.ended & leaf]
        for cut in _telling(cuts):
            place = (cut.source[:2], _kind(cut))
            before = by_cut.get(place, (cut, 0))
            by_cut[place] = (before[0], before[1] | leaf)
    findings = [
        finding(
            _kind(cut),
            _severity(cut, program, leaves),
            cut.source,
            names(program, leaves),
            _name_of_noise(found, cut),
            _chosen(cut, _draw_of(found, cut)) if _kind(cut) == "draw" else "",
            why=cut.why,
        )
        for cut, leaves in by_cut.values()
    ]
    if unused:
        findings.append(finding("unused", "error", NOWHERE, names(program, unused)))
    return findings


def _telling(cuts: list[Cut]) -> list[Cut]:
    """Of the places where derivatives of one argument end, those that say most."""
    strongest = min((_ORDER.index(_kind(c)) for c in cuts), default=0)
    if strongest <= _ORDER.index("custom_rule"):
        return [c for c in cuts if _ORDER.index(_kind(c)) == strongest][:1]
    plain = [c for c in cuts if _kind(c) != "comparison"]
    return plain or cuts


def _kind(cut: Cut) -> str:
    if cut.kind not in ("refused", "while_loop") and cut.noise:
        return "biased_sampler" if cut.why == "wald" else "draw"
    return cut.kind


def _severity(cut: Cut, program: Program, leaves: int) -> Severity:
    """A stop_gradient on what is called a target is meant."""
    if cut.kind != "stop_gradient":
        return "error"
    named = [leaf.argument.lower() for i, leaf in enumerate(program.leaves) if leaves >> i & 1]
    meant = all(any(word in name for word in _MEANT) for name in named)
    return "warning" if meant else "error"


_MEANT = ("target", "teacher", "ema", "frozen", "old", "reference", "momentum")


def _name_of_noise(found: Structure, cut: Cut) -> str:
    if not cut.noise:
        return ""
    draw = _draw_of(found, cut)
    return draw.name if draw else ""
