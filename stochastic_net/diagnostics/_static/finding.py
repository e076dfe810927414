"""One thing that `check_gradients` found."""

import dataclasses
from typing import Literal

from stochastic_net.diagnostics._program.source import Source, shown
from stochastic_net.diagnostics._static.messages import WORDS

Severity = Literal["error", "warning", "note"]


class BrokenGradient(AssertionError):
    """A gradient does not arrive, or arrives wrong: the message is the report."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """Where a gradient breaks, why, and what to do instead.

    `argument` is the path of the argument that goes without ("var", "params['w']"), `draw` the
    sampler concerned, `message` one sentence on why and `cure` one on what to do.
    """

    kind: str
    severity: Severity
    argument: str
    draw: str
    file: str
    line: int
    message: str
    cure: str
    code: str = ""

    @property
    def place(self) -> str:
        """The file and the line, as "net.py:12"."""
        return f"{shown(self.file)}:{self.line}" if self.line else "-"

    def __str__(self) -> str:
        return f"{self.severity}: {self.kind} at {self.place}: {self.message} {self.cure}"


def finding(
    kind: str,
    severity: Severity,
    source: Source,
    argument: str = "",
    draw: str = "",
    message: str = "",
    **words: str,
) -> Finding:
    """A finding with the words of its kind; `message` replaces those on why."""
    why, cure = WORDS[kind]
    given = {"argument": argument or "the argument", "draw": draw or "this draw", **words}
    return Finding(
        kind,
        severity,
        argument,
        draw,
        source.file,
        source.line,
        (message or why).format(**given),
        cure.format(**given),
        source.code,
    )
