"""Keys that are used twice, shared or fixed, noise in few bits, and what is not looked into."""

from stochastic_net.diagnostics._program.keys import taken_from
from stochastic_net.diagnostics._static.finding import Finding, finding
from stochastic_net.diagnostics._static.structure import Structure


def key_findings(found: Structure) -> list[Finding]:
    """Of keys, then of noise, then of kernels."""
    return [*_keys(found), *_low(found), *_opaque(found)]


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


def _opaque(found: Structure) -> list[Finding]:
    return [finding("opaque", "note", source) for source in found.walk.opaque.values()]
