"""What `check_gradients` found: a table, sentences, a picture."""

import dataclasses
import html
import math
from typing import TYPE_CHECKING

from stochastic_net._tables import html_table, text_table
from stochastic_net._types import Shape
from stochastic_net.diagnostics._finding import BrokenGradient, Finding
from stochastic_net.diagnostics._graph import Graph
from stochastic_net.diagnostics._look import BAD, DOUBTFUL, GOOD, short, wrapped

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class ArgumentGradient:
    """The gradient of one argument over the keys; norms are over its elements.

    `bias_z` is None where it was not tested: the reference does not hold where f jumps, where a
    derivative is ended on purpose, or where the gradient is zero.
    """

    name: str
    shape: Shape
    norm: float = math.nan
    error: float = math.nan
    signal: float = math.nan
    finite: float = math.nan
    zero: bool = False
    bias_z: float | None = None
    arrives: bool = True


@dataclasses.dataclass(frozen=True)
class GradientReport:
    """Whether the gradient of a function arrives; `findings` are sorted, errors first."""

    name: str
    findings: list[Finding]
    arguments: list[ArgumentGradient]
    draws: list[str]
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
            "draws": self.draws,
        }

    def __str__(self) -> str:
        lines = [self._title(), *text_table(self._rows())]
        if self.draws:
            lines += wrapped("draws: " + ", ".join(self.draws), "")
        for f in self.findings:
            lines += ["", *_sentences(f)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        colour = GOOD if self.ok else BAD
        draws = f"<p>draws: {html.escape(', '.join(self.draws))}</p>" if self.draws else ""
        return (
            f'<p><b style="color:{colour}">{html.escape(self._title())}</b></p>'
            f"{html_table(self._rows())}{draws}{''.join(map(_paragraph, self.findings))}"
        )

    def plot(self) -> "Figure":
        """The flow of the gradient, needs matplotlib: blue where it passes, red where it ends."""
        from stochastic_net.diagnostics._plot import draw

        return draw(self.graph)

    def _title(self) -> str:
        errors = sum(f.severity == "error" for f in self.findings)
        others = len(self.findings) - errors
        verdict = "the gradient flows" if self.ok else f"{errors} error{'s' * (errors > 1)}"
        more = f", {others} warning{'s' * (others > 1)}" if others else ""
        over = f" ({self.num_samples} keys)" if self.num_samples else " (structure only)"
        return short(f"{self.name}: {verdict}{more}{over}", 100)

    def _rows(self) -> list[list[str]]:
        rows = [["argument", "shape", "|gradient|", "+-", "SNR", "finite", "bias z", ""]]
        shown = self.arguments
        if len(shown) > 24:
            faulty = [a for a in shown if _verdict(a)]
            shown = (faulty + [a for a in shown if not _verdict(a)])[:24]
        for a in shown:
            rows.append(
                [
                    short(a.name, 38),
                    short("x".join(map(str, a.shape)) or "-", 14),
                    _number(a.norm),
                    _number(a.error),
                    "exact" if a.signal == math.inf else _number(a.signal, 2),
                    "-" if math.isnan(a.finite) else f"{100 * a.finite:.3g} %",
                    "-" if a.bias_z is None else f"{a.bias_z:.1f}",
                    _verdict(a),
                ]
            )
        if len(shown) < len(self.arguments):
            rows.append([f"and {len(self.arguments) - len(shown)} more", *[""] * 7])
        return rows


def _verdict(a: ArgumentGradient) -> str:
    if not a.arrives:
        return "broken"
    if a.finite < 1:
        return "not finite"
    return "zero" if a.zero else ""


def _number(x: float, digits: int = 3) -> str:
    return "-" if math.isnan(x) else f"{x:.{digits}g}"


def _plain(values: dict) -> dict:
    values["shape"] = list(values["shape"])
    return {
        k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()
    }


def _sentences(f: Finding) -> list[str]:
    of = f" of {short(f.argument, 40)}" if f.argument else ""
    head = f"{f.severity}: {f.kind}{of}" + (f", {f.place}" if f.line else "")
    code = [short(f"    | {f.code}", 100)] if f.code else []
    return [head, *code, *wrapped(f.message), *wrapped("-> " + f.cure)]


def _paragraph(f: Finding) -> str:
    colour = BAD if f.severity == "error" else DOUBTFUL
    of = f" of {f.argument}" if f.argument else ""
    place = f", {f.place}" if f.line else ""
    code = f"<br><code>{html.escape(f.code)}</code>" if f.code else ""
    return (
        f'<p><b style="color:{colour}">{f.severity}: {html.escape(f.kind + of + place)}</b>{code}'
        f"<br>{html.escape(f.message)}<br><i>{html.escape(f.cure)}</i></p>"
    )
