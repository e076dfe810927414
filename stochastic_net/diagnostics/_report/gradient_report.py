"""What `check_gradients` found: a table, sentences, a picture."""

import dataclasses
import html
import math
from typing import TYPE_CHECKING

from stochastic_net._tables import html_table, text_table
from stochastic_net.diagnostics._report.gradients import ArgumentGradient, DrawGradient
from stochastic_net.diagnostics._report.graph import Graph
from stochastic_net.diagnostics._report.look import BAD, DOUBTFUL, GOOD, QUIET, short, wrapped
from stochastic_net.diagnostics._report.tables import argument_rows, draw_rows, untested
from stochastic_net.diagnostics._static.finding import BrokenGradient, Finding

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class GradientReport:
    """Whether the gradient of a function arrives; `findings` are sorted, errors first."""

    name: str
    findings: list[Finding]
    arguments: list[ArgumentGradient]
    draws: list[DrawGradient]
    num_samples: int
    graph: Graph

    @property
    def ok(self) -> bool:
        """Whether no finding is an error."""
        return not any(f.severity == "error" for f in self.findings)

    def raise_if_broken(self) -> None:
        """Raise `BrokenGradient`, an AssertionError with this report as its text, unless `ok`."""
        if not self.ok:
            raise BrokenGradient(f"\n{self}")

    def to_dict(self) -> dict:
        """All that the report says, for JSON; what is not finite is None."""
        return {
            "ok": self.ok,
            "name": self.name,
            "num_samples": self.num_samples,
            "findings": [dataclasses.asdict(f) for f in self.findings],
            "arguments": [_plain(dataclasses.asdict(a)) for a in self.arguments],
            "draws": [_plain(dataclasses.asdict(d)) for d in self.draws],
        }

    def __str__(self) -> str:
        lines = [self._title(), *text_table(argument_rows(self.arguments))]
        if self.draws:
            lines += ["", *text_table(draw_rows(self.draws))]
        for note in untested(self.arguments):
            lines += wrapped(note, "")
        for f in self.findings:
            lines += ["", *_sentences(f)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        colour = GOOD if self.ok else BAD
        title = f'<p><b style="color:{colour}">{html.escape(self._title())}</b></p>'
        tables = html_table(argument_rows(self.arguments))
        if self.draws:
            tables += "<br>" + html_table(draw_rows(self.draws))
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in untested(self.arguments))
        return title + tables + notes + "".join(map(_paragraph, self.findings))

    def plot(self) -> "Figure":
        """The flow of the gradient, needs matplotlib: blue where it passes, red where it ends."""
        from stochastic_net.diagnostics._report.plot import draw

        return draw(self.graph)

    def _title(self) -> str:
        counts = {s: sum(f.severity == s for f in self.findings) for s in ("warning", "note")}
        errors = len(self.findings) - sum(counts.values())
        verdict = "the gradient flows" if self.ok else f"{errors} error{'s' * (errors > 1)}"
        more = "".join(f", {n} {s}{'s' * (n > 1)}" for s, n in counts.items() if n)
        over = f" ({self.num_samples} keys)" if self.num_samples else " (structure only)"
        return short(f"{self.name}: {verdict}{more}{over}", 100)


def _plain(values: dict) -> dict:
    values["shape"] = list(values["shape"])
    return {
        k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()
    }


def _sentences(f: Finding) -> list[str]:
    of = f" of {short(f.argument, 40)}" if f.argument else ""
    head = f"{f.severity}: {f.kind}{of}" + (f", {f.place}" if f.line else "")
    code = [short(f"    | {f.code}", 100)] if f.code else []
    cure = [] if f.severity == "note" else wrapped("-> " + f.cure)
    return [head, *code, *wrapped(f.message), *cure]


def _paragraph(f: Finding) -> str:
    colour = {"error": BAD, "warning": DOUBTFUL, "note": QUIET}[f.severity]
    of = f" of {f.argument}" if f.argument else ""
    place = f", {f.place}" if f.line else ""
    cure = "" if f.severity == "note" else f"<br><i>{html.escape(f.cure)}</i>"
    code = f"<br><code>{html.escape(f.code)}</code>" if f.code else ""
    return (
        f'<p><b style="color:{colour}">{f.severity}: {html.escape(f.kind + of + place)}</b>{code}'
        f"<br>{html.escape(f.message)}{cure}</p>"
    )
