"""What a report says of the gradient of an argument, and of that at a draw."""

import dataclasses
import math

from stochastic_net._types import Shape
from stochastic_net.diagnostics._program.source import shown


@dataclasses.dataclass(frozen=True)
class ArgumentGradient:
    """The gradient of one argument over the keys; norms are over its elements.

    `reference` is what the mean gradient was compared with ("small steps", "wide steps",
    "quadrature"); where nothing can be, `bias_z` is None and `untested` says why.
    """

    name: str
    shape: Shape
    norm: float = math.nan
    error: float = math.nan
    signal: float = math.nan
    finite: float = math.nan
    zero: bool = False
    bias_z: float | None = None
    reference: str = ""
    untested: str = ""
    arrives: bool = True
    complete: bool = True  # False where a discrete draw takes a part of the gradient away


@dataclasses.dataclass(frozen=True)
class DrawGradient:
    """A random draw, and the gradient that arrives there: the derivative in the drawn value.

    `key` is the key it takes, by how it is made: "key[1]" is `split(key)[1]` or `fold_in(key, 1)`.
    Norms are over the elements of the value, in a loop over those of every step. `passes` is False
    where nothing of what was drawn has a derivative at the output: a mask, a class, a count.
    """

    name: str
    file: str
    line: int
    shape: Shape
    key: str
    passes: bool
    norm: float = math.nan
    error: float = math.nan
    signal: float = math.nan
    finite: float = math.nan

    @property
    def place(self) -> str:
        """The file and the line, as "net.py:12"."""
        return f"{shown(self.file)}:{self.line}" if self.line else "?"

    def __str__(self) -> str:
        return f"{self.name} at {self.place}"
