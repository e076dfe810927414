"""What the program alone says: where derivatives end, and which keys are used how."""

from typing import NamedTuple

from stochastic_net.diagnostics import _loops
from stochastic_net.diagnostics._finding import Finding, Severity, finding
from stochastic_net.diagnostics._flow import Cut, Danger, Draw, Flow, merge
from stochastic_net.diagnostics._keys import taken_from
from stochastic_net.diagnostics._messages import HARD
from stochastic_net.diagnostics._source import NOWHERE, Source
from stochastic_net.diagnostics._trace import Program
from stochastic_net.diagnostics._walk import Walk

__all__ = ["Structure", "structure"]
_ = _loops  # registers how loops are walked

_ORDER = (
    *("refused", "draw", "biased_sampler", "while_loop", "custom_rule", "stop_gradient"),
    *("integer", "rounding", "argmax", "zero_factor", "no_derivative", "comparison"),
)


class Structure(NamedTuple):
    """The walked program: its draws, cuts and dangers, and the flow of its outputs."""

    walk: Walk
    chosen: list[int]  # the outputs that count: metrics beside a loss do not
    together: Flow
    findings: list[Finding]

    @property
    def draws(self) -> list[Draw]:
        """The draws that the output depends on, one a call of a sampler."""
        return list({d.group: d for d in reversed(self.takers)}.values())[::-1]

    @property
    def takers(self) -> list[Draw]:
        """All random bits that the output depends on; a sampler may take several times."""
        return [d for d in self.walk.draws.values() if d.bit & self.together.info]

    @property
    def dangers(self) -> list[Danger]:
        """The dangerous operations on a path to the output."""
        return [d for d in self.walk.dangers.values() if d.bit & self.together.risk]


def structure(program: Program) -> Structure:
    """Walk a program and say what is found, without computing anything."""
    count = len(program.leaves)
    walk = Walk(count + 1, program.watched)
    ins = [
        Flow(
            diff=1 << i if leaf.watched else 0,
            info=1 << i,
            key=("leaf", i) if leaf.is_key else None,
            number=("leaf", i),
        )
        for i, leaf in enumerate(program.leaves)
    ]
    if program.takes_key:
        ins.append(Flow(info=1 << count, key=("key",), number=("key",)))
    outputs = walk.run(program.closed.jaxpr, program.closed.consts, ins)
    chosen = program.differentiated([bool(f.diff & program.watched) for f in outputs])
    together = merge(*(outputs[i] for i in chosen)) if chosen else Flow()
    found = Structure(walk, chosen, together, [])
    ends: dict[tuple, Finding] = {}  # one a line: an error when differentiated says more
    for one in (*_raising(found, program), *_discrete(found, program), *_ends(found, program)):
        ends.setdefault((one.file, one.line, one.argument if not one.line else ""), one)
    return found._replace(findings=[*ends.values(), *_keys(found), *_low(found)])


def names(program: Program, bits: int) -> str:
    """The leaves in a set, the first few by name."""
    found = [leaf.name for i, leaf in enumerate(program.leaves) if bits >> i & 1]
    if len(found) <= 3:
        return ", ".join(found)
    return f"{', '.join(found[:2])} and {len(found) - 2} more"


def sampler(draw: Draw | None, source: Source = NOWHERE) -> str:
    """What the user calls it."""
    if draw is None:
        return source.called
    return draw.name


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


def _keys(found: Structure) -> list[Finding]:
    walk = found.walk
    findings = []
    for members in taken_from(walk.draws.values(), walk.split.values()):
        sources = [source for source, _ in members]
        places = ", ".join(dict.fromkeys(map(str, sources)))
        findings.append(
            finding(
                "key_reuse",
                "error",
                sources[-1],
                draw=" and ".join(dict.fromkeys(s.called for s in sources)),
                count=str(len(members)),
                places=places,
            )
        )
    for bits, source in walk.shared.values():
        draw = next(d for d in walk.draws.values() if d.bit & bits)
        findings.append(finding("shared_key", "error", draw.source, draw=draw.name))
        del source
    for draw in found.draws:
        if draw.still and not draw.constant:
            findings.append(finding("loop_key", "error", draw.source, draw=draw.name))
        if draw.constant:
            findings.append(finding("constant_key", "warning", draw.source, draw=draw.name))
    return list({(f.kind, f.file, f.line): f for f in findings}.values())


_DISTINCT = {"bfloat16": "128 distinct values", "float16": "1,024 distinct values"}


def _low(found: Structure) -> list[Finding]:
    return [
        finding(
            "low_precision",
            "warning",
            draw.source,
            draw=draw.name,
            dtype=draw.low,
            count=_DISTINCT.get(draw.low, "few distinct values"),
        )
        for draw in found.draws
        if draw.low
    ]
