"""The one look of the reports: tables in text and HTML, and figures."""

import html
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 100
GOOD, BAD, DOUBTFUL, QUIET = "#1f6f8b", "#b3261e", "#c1652f", "#777777"


def table(rows: list[list[str]]) -> list[str]:
    """Lines of text; the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def html_table(rows: list[list[str]]) -> str:
    """The same for a notebook; the first row is the head."""
    head, *body = rows
    lines = "".join(f"<tr>{_cells(row, 'td')}</tr>" for row in body)
    return f"<table><tr>{_cells(head, 'th')}</tr>{lines}</table>"


def _cells(row: list[str], tag: str) -> str:
    left = ' style="text-align:left"'
    return "".join(f"<{tag}{'' if i else left}>{html.escape(x)}</{tag}>" for i, x in enumerate(row))


def short(name: str, width: int = 46) -> str:
    """A name that fits."""
    return name if len(name) <= width else name[: width - 3] + "..."


def wrapped(text: str, indent: str = "    ") -> list[str]:
    """Text in lines that fit."""
    return textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=True
    )


def figure(width: float, height: float) -> "Figure":
    """An empty figure.

    Raises:
      ImportError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "a plot needs matplotlib: pip install 'stochastic-net[notebooks]'"
        ) from error
    return Figure(figsize=(width, height), layout="constrained")
