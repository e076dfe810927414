"""What a person sees while a network trains: a bar in a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Report(Protocol):
    """Called after a step."""

    def __call__(self, step: int, loss: float | None) -> None:
        """`loss` is None where it was not read from the device."""
        ...


@contextmanager
def progress(console: Console, title: str, start: int, total: int) -> Iterator[Report]:
    """A function to call after each step: shows step, rate, loss and time left."""
    show = _bar if console.is_terminal else _lines
    with show(console, title, start, total) as report:
        yield report


@contextmanager
def _bar(console: Console, title: str, start: int, total: int) -> Iterator[Report]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:.0f} steps/s"),
        TextColumn("loss {task.fields[loss]:.4f}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(title, total=total, completed=start, rate=0.0, loss=float("nan"))
        clock = _Clock(start)

        def report(step: int, loss: float | None) -> None:
            bar.update(task, completed=step, rate=clock.rate(step))
            if loss is not None:
                bar.update(task, loss=loss)

        yield report


@contextmanager
def _lines(console: Console, title: str, start: int, total: int) -> Iterator[Report]:
    clock = _Clock(start)

    def report(step: int, loss: float | None) -> None:
        rate = clock.rate(step)
        if loss is None or not (clock.due() or step == total):
            return
        console.print(
            f"{title}  step {step}/{total}  loss {loss:.4f}  {rate:.0f} steps/s  "
            f"{(total - step) / max(rate, 1e-9):.0f} s left",
            highlight=False,
        )

    yield report


class _Clock:
    """The rate since the first step, which compiles and is left out; a line every other second."""

    def __init__(self, start: int) -> None:
        self._first = start + 1
        self._began = self._said = time.monotonic()

    def rate(self, step: int) -> float:
        if step <= self._first:
            self._began = time.monotonic()
            return 0.0
        return (step - self._first) / max(time.monotonic() - self._began, 1e-9)

    def due(self, every: float = 2.0) -> bool:
        if time.monotonic() - self._said < every:
            return False
        self._said = time.monotonic()
        return True
