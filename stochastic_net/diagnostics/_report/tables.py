"""The tables of a gradient report."""

import math

from stochastic_net._types import Shape
from stochastic_net.diagnostics._report.gradients import ArgumentGradient, DrawGradient
from stochastic_net.diagnostics._report.look import short

_MOST = 24  # rows


def argument_rows(arguments: list[ArgumentGradient]) -> list[list[str]]:
    """A row for every argument, those with a fault first if they are many."""
    rows = [["argument", "shape", "|gradient|", "+-", "SNR", "finite", "bias z", ""]]
    shown = arguments
    if len(shown) > _MOST:
        faulty = [a for a in shown if _verdict(a)]
        shown = (faulty + [a for a in shown if not _verdict(a)])[:_MOST]
    for a in shown:
        z = "-" if a.bias_z is None else f"{a.bias_z:.1f}"
        figures = [_number(a.norm), _number(a.error), _signal(a.signal), _share(a.finite), z]
        rows.append([short(a.name, 38), _shape(a.shape), *figures, _verdict(a)])
    if len(shown) < len(arguments):
        rows.append([f"and {len(arguments) - len(shown)} more", *[""] * 7])
    return rows


def draw_rows(draws: list[DrawGradient]) -> list[list[str]]:
    """A row for every draw; its gradient is "none" where it has no derivative."""
    rows = [["draw", "key", "shape", "|gradient|", "+-", "SNR", "finite"]]
    for d in draws[:_MOST]:
        norm = _number(d.norm) if d.passes else "none"
        figures = [norm, _number(d.error), _signal(d.signal), _share(d.finite)]
        rows.append([short(str(d), 33), short(d.key, 12), _shape(d.shape, 12), *figures])
    if len(draws) > _MOST:
        rows.append([f"and {len(draws) - _MOST} more", *[""] * 6])
    return rows


def untested(arguments: list[ArgumentGradient]) -> list[str]:
    """For which arguments a bias could not be looked for, a sentence a reason."""
    by_reason: dict[str, list[str]] = {}
    for a in arguments:
        if a.untested and a.arrives and a.complete and not a.zero:  # else it is said below
            by_reason.setdefault(a.untested, []).append(a.name)
    return [f"no reference for a bias: {_some(names)} ({why})" for why, names in by_reason.items()]


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(short(name, 30) for name in names[:3]) + more


def _verdict(a: ArgumentGradient) -> str:
    if not a.arrives:
        return "broken"
    if a.finite < 1:
        return "not finite"
    return "zero" if a.zero else "" if a.complete else "part missing"


def _shape(shape: Shape, width: int = 14) -> str:
    return short("x".join(map(str, shape)) or "-", width)


def _number(x: float) -> str:
    return "-" if math.isnan(x) else f"{x:.3g}"


def _signal(x: float) -> str:
    return "exact" if x == math.inf else "-" if math.isnan(x) else f"{x:.2g}"


def _share(x: float) -> str:
    return "-" if math.isnan(x) else f"{100 * x:.3g} %"
