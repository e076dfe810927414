"""The picture of a `Graph`."""

from typing import TYPE_CHECKING

from stochastic_net.diagnostics._graph import Graph, Node
from stochastic_net.diagnostics._look import BAD, GOOD, QUIET, figure, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMN = {"argument": 0.0, "draw": 0.0, "cut": 1.0, "output": 2.0}


def draw(graph: Graph) -> "Figure":
    """Arguments and draws to the left, where gradients end in the middle, the output right."""
    places = _places(graph.nodes)
    rows = max(len([n for n in graph.nodes if _COLUMN[n.kind] == c]) for c in (0.0, 1.0))
    canvas = figure(9, 1.2 + 0.75 * max(rows, 1))
    axes = canvas.subplots()
    axes.set_axis_off()
    axes.set_xlim(-0.45, 2.35)
    axes.set_ylim(-0.6, max(rows, 1) - 0.4)
    for edge in graph.edges:
        start, end = places[edge.start], places[edge.end]
        quiet = graph.nodes[edge.start].kind == "draw" and edge.good
        colour = (QUIET if quiet else GOOD) if edge.good else BAD
        axes.annotate(
            "",
            xy=end,
            xytext=start,
            arrowprops={
                "arrowstyle": "-|>",
                "color": colour,
                "lw": 1.6,
                "ls": "-" if edge.good else "--",
                "shrinkA": 52,
                "shrinkB": 52,
            },
        )
        if edge.label:
            x, y = (0.62 * a + 0.38 * b for a, b in zip(start, end, strict=True))
            axes.text(x, y + 0.09, edge.label, fontsize=8, color=colour, ha="center")
    for node, (x, y) in zip(graph.nodes, places, strict=True):
        colour = QUIET if node.kind == "draw" else (GOOD if node.good else BAD)
        label = "\n".join(short(line, 26) for line in node.label.split("\n"))
        style = "round,pad=0.35" if node.kind in ("argument", "output") else "sawtooth,pad=0.35"
        style = "circle,pad=0.2" if node.kind == "draw" and len(label) < 4 else style
        style = "round4,pad=0.35" if node.kind == "draw" else style
        axes.text(
            x,
            y,
            label,
            ha="center",
            va="center",
            fontsize=8,
            color=colour,
            bbox={"boxstyle": style, "fc": "white", "ec": colour, "lw": 1.4},
        )
    return canvas


def _places(nodes: list[Node]) -> list[tuple[float, float]]:
    columns = {c: [n for n in nodes if _COLUMN[n.kind] == c] for c in set(_COLUMN.values())}
    most = max(map(len, columns.values()))
    places = {}
    for x, column in columns.items():
        gap = most / max(len(column), 1)
        for i, node in enumerate(column):
            places[id(node)] = (x, most - gap * (i + 0.5) - 0.5)
    return [places[id(node)] for node in nodes]
