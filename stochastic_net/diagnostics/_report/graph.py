"""The flow of derivatives, small enough to draw: arguments, draws, where it ends, the output."""

import math
from typing import Literal, NamedTuple

from stochastic_net.diagnostics._program.flow import Draw
from stochastic_net.diagnostics._program.trace import Program
from stochastic_net.diagnostics._report.gradients import ArgumentGradient, DrawGradient
from stochastic_net.diagnostics._static.finding import Finding
from stochastic_net.diagnostics._static.structure import Structure

Kind = Literal["argument", "draw", "cut", "output"]
_OF_KEYS = ("key_reuse", "loop_key", "shared_key", "constant_key")
_MOST = 10  # of one kind; what is more is drawn together


class Node(NamedTuple):
    """A box."""

    kind: Kind
    label: str
    good: bool


class Edge(NamedTuple):
    """An arrow from one box to another, by their numbers."""

    start: int
    end: int
    good: bool
    label: str = ""


class Graph(NamedTuple):
    """Boxes and arrows."""

    nodes: list[Node]
    edges: list[Edge]


class _Group(NamedTuple):
    label: str
    bits: int


def graph(
    program: Program,
    found: Structure,
    findings: list[Finding],
    arguments: list[ArgumentGradient],
    draws: list[DrawGradient],
) -> Graph:
    """Arrows are good where derivatives pass; on them is the signal-to-noise ratio."""
    signals = {a.name: a.signal for a in arguments if not math.isnan(a.signal)}
    groups = _groups(program)
    nodes: list[Node] = []
    edges: list[Edge] = []

    def add(node: Node) -> int:
        nodes.append(node)
        return len(nodes) - 1

    together = found.together
    output = add(Node("output", program.name, not any(f.severity == "error" for f in findings)))
    cuts = {
        (f.file, f.line): f for f in findings if f.line and f.severity == "error" and f.argument
    }
    boxes = {place: add(Node("cut", f"{f.kind}\n{f.place}", False)) for place, f in cuts.items()}
    for place in boxes:
        edges.append(Edge(boxes[place], output, False))
    ends: dict[tuple, int] = {}
    for cut in found.walk.cuts.values():
        place = cut.source.file, cut.source.line
        ends[place] = ends.get(place, 0) | cut.ended
    for danger in found.walk.dangers.values():
        place = danger.source.file, danger.source.line
        ends[place] = ends.get(place, 0) | danger.sources
    spoilt = 0  # what arrives there is not finite
    for place, f in cuts.items():
        if f.kind in ("singular", "negative", "where_nan", "nan"):
            spoilt |= ends.get(place, 0)
    for group in groups:
        arrives = bool(together.diff & group.bits) and not group.bits & spoilt
        box = add(Node("argument", group.label, arrives))
        if arrives:
            edges.append(Edge(box, output, True, _signal(program, group, signals)))
        for place, end in boxes.items():
            if ends.get(place, 0) & group.bits:
                edges.append(Edge(box, end, False))
    known: dict[str, int] = {}
    for draw, walked in zip(draws, found.draws, strict=True):
        label = f"{draw.name}\n{draw.place}"
        if label in known or len(known) >= _MOST:
            continue
        end = _end_of(walked, boxes, cuts, found)
        misused = [
            f.kind
            for f in findings
            if f.kind in _OF_KEYS and (f.file, f.line) == (draw.file, draw.line)
        ]
        label_and_fault = "\n".join([label, *misused[:1]])
        known[label] = box = add(Node("draw", label_and_fault, not misused))
        on_arrow = "" if math.isnan(draw.signal) else _written(draw.signal)
        on_arrow = on_arrow if draw.passes else "no derivative"
        if end is None:
            edges.append(Edge(box, output, draw.passes, on_arrow))
        else:
            edges.append(Edge(box, end, False))
    return Graph(nodes, edges)


def _end_of(draw: Draw, boxes: dict, cuts: dict, found: Structure) -> int | None:
    """The box at which what a draw has to pass on ends."""
    for cut in found.walk.cuts.values():
        place = cut.source.file, cut.source.line
        if place in boxes and cuts[place].draw and cut.noise & draw.bit:
            return boxes[place]
    return None


def _groups(program: Program) -> list[_Group]:
    """The watched leaves, one by one if they are few, else by argument."""
    watched = [(i, leaf) for i, leaf in enumerate(program.leaves) if leaf.watched]
    if len(watched) <= _MOST:
        return [_Group(leaf.name, 1 << i) for i, leaf in watched]
    groups: dict[str, int] = {}
    for i, leaf in watched:
        groups[leaf.argument] = groups.get(leaf.argument, 0) | 1 << i
    return [
        _Group(f"{name}: {bits.bit_count()} arrays" if bits.bit_count() > 1 else name, bits)
        for name, bits in groups.items()
    ]


def _signal(program: Program, group: _Group, signals: dict[str, float]) -> str:
    leaves = [leaf.name for i, leaf in enumerate(program.leaves) if group.bits >> i & 1]
    found = sorted(signals[name] for name in leaves if name in signals)
    if not found:
        return ""
    return _written(found[len(found) // 2])


def _written(signal: float) -> str:
    return "exact" if signal == math.inf else f"SNR {signal:.2g}"
