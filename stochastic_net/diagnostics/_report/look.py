"""The look of the reports beside their tables: colours, widths, figures."""

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 100
GOOD, BAD, DOUBTFUL, QUIET = "#1f6f8b", "#b3261e", "#c1652f", "#777777"
PASSES = "#1b7f4b"  # a green, beside a red that is dashed for who sees no difference


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
