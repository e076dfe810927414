"""The picture of a `Graph`."""

from typing import TYPE_CHECKING

from stochastic_net.diagnostics._report.graph import Graph, Node
from stochastic_net.diagnostics._report.look import BAD, PASSES, QUIET, figure, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMN = {"argument": 0.0, "draw": 0.0, "cut": 1.0, "output": 2.0}
_BOX = {"argument": "round,pad=0.35", "draw": "round4,pad=0.35", "output": "round,pad=0.35"}
_ALIGN = {0.0: "right", 1.0: "center", 2.0: "left"}
_LEGEND = (
    "green: the derivative passes, red: it ends, grey: draws. "
    "SNR: mean gradient over its deviation from key to key"
)


def draw(graph: Graph) -> "Figure":
    """Arguments and draws to the left, where gradients end in the middle, the output right."""
    places = _places(graph.nodes)
    lowest, highest = min(y for _, y in places), max(y for _, y in places)
    canvas = figure(9, 1.1 + 0.6 * (highest - lowest + 1))
    axes = canvas.subplots()
    axes.set_axis_off()
    axes.set_xlim(-0.62, 2.6)
    axes.set_ylim(lowest - 0.9, highest + 0.5)
    for edge in graph.edges:
        (x, y), (to_x, to_y) = places[edge.start], places[edge.end]
        start, end = graph.nodes[edge.start], graph.nodes[edge.end]
        x = x + (_half(start) if start.kind == "cut" else 0.04)
        to_x = to_x - (_half(end) if end.kind == "cut" else 0.04)
        quiet = start.kind == "draw" and end.kind == "output"
        colour = QUIET if quiet else (PASSES if edge.good else BAD)
        line = "-" if edge.good else (":" if quiet else "--")
        style = {"arrowstyle": "-|>", "color": colour, "lw": 1.6, "ls": line}
        axes.annotate("", xy=(to_x, to_y), xytext=(x, y), arrowprops=style)
        if edge.label:
            at_x, at_y = 0.8 * x + 0.2 * to_x, 0.8 * y + 0.2 * to_y
            axes.text(
                *(at_x, at_y, edge.label),
                fontsize=8,
                color=colour,
                ha="center",
                va="center",
                bbox={"fc": "white", "ec": "none", "pad": 0.8},
            )
    for node, (x, y) in zip(graph.nodes, places, strict=True):
        colour = QUIET if node.kind == "draw" and node.good else (PASSES if node.good else BAD)
        axes.text(
            *(x, y, "\n".join(map(_label, node.label.split("\n")))),
            ha=_ALIGN[_COLUMN[node.kind]],
            va="center",
            fontsize=8,
            color=colour,
            bbox={"boxstyle": _BOX.get(node.kind, "square,pad=0.4"), "fc": "white", "ec": colour},
        )
    axes.text(-0.62, lowest - 0.75, _LEGEND, fontsize=7, color=QUIET, va="center")
    return canvas


def _half(node: Node) -> float:
    """Of the width of a box."""
    return 0.035 + 0.0095 * max(map(len, map(_label, node.label.split("\n"))))


def _label(line: str) -> str:
    """The end of a file's name and the line say more than its beginning."""
    return line if len(line) <= 26 else ("..." + line[-23:] if ".py:" in line else short(line, 26))


def _places(nodes: list[Node]) -> list[tuple[float, float]]:
    """Rows from the top; the middle column lies between rows, off the straight arrows."""
    columns = {c: [n for n in nodes if _COLUMN[n.kind] == c] for c in set(_COLUMN.values())}
    most = max(map(len, columns.values()))
    places = {}
    for x, column in columns.items():
        gap = most / max(len(column), 1)
        for i, node in enumerate(column):
            places[id(node)] = (x, most - gap * (i + 0.5) - (0.55 if x == 1.0 else 0.0))
    return [places[id(node)] for node in nodes]
