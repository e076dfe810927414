"""The result of a run as a table: for the terminal, as Markdown, as JSON."""

import dataclasses
import json

from rich import box
from rich.table import Table

from stochastic_net.training._evaluation import Evaluation

_COLUMNS = ("test set", "noise", "mode", "accuracy", "NLL", "Brier", "ECE")


def table(evaluations: list[Evaluation], title: str) -> Table:
    """The named test sets, a row for each mode."""
    result = Table(*_COLUMNS, title=title, box=box.SIMPLE)
    for column in result.columns[3:]:
        column.justify = "right"
    for row in _rows(evaluations):
        result.add_row(*row)
    return result


def markdown(evaluations: list[Evaluation], title: str) -> str:
    """The same table for a README."""
    rows = [_COLUMNS, ("---", "---", "---", "--:", "--:", "--:", "--:"), *_rows(evaluations)]
    return f"{title}\n\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def as_json(evaluations: list[Evaluation]) -> str:
    """All levels, in full precision."""
    rows = [
        {"mode": e.mode, "level": e.level, "test_set": e.test_set, **dataclasses.asdict(e.scores)}
        for e in evaluations
    ]
    return json.dumps(rows, indent=2) + "\n"


def _rows(evaluations: list[Evaluation]) -> list[tuple[str, ...]]:
    named = [e for e in evaluations if e.test_set]
    return [
        (
            e.test_set or "",
            f"x {e.level:g}",
            e.mode,
            f"{100 * e.scores.accuracy:.1f} ± {100 * e.scores.accuracy_error:.1f} %",
            f"{e.scores.nll:.3f}",
            f"{e.scores.brier:.3f}",
            f"{e.scores.ece:.3f}",
        )
        for e in sorted(named, key=lambda e: (e.level, e.mode))
    ]
