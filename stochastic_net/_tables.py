"""Tables of strings, as text and as HTML: what every report prints."""

import html
from collections.abc import Sequence

Rows = Sequence[Sequence[str]]  # the first is the head


def text_table(rows: Rows) -> list[str]:
    """Lines with aligned columns: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def html_table(rows: Rows, notes: Sequence[str] = ()) -> str:
    """A table, and a paragraph for each note below it."""
    head, *body = rows
    table = _row(head, "th") + "".join(_row(row, "td") for row in body)
    return f"<table>{table}</table>" + "".join(f"<p>{html.escape(note)}</p>" for note in notes)


def _row(cells: Sequence[str], tag: str) -> str:
    style = "padding:1px 8px;white-space:nowrap;text-align:"
    sides = ["left", *["right"] * (len(cells) - 1)]
    inner = (
        f'<{tag} style="{style}{side}">{html.escape(cell)}</{tag}>'
        for cell, side in zip(cells, sides, strict=True)
    )
    return "<tr>" + "".join(inner) + "</tr>"
