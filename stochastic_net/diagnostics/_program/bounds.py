"""What values can be: bounds, and whether 0 is among them; tells sqrt(x + eps) from sqrt(x).

`zero` says how 0 is met: never, at points (a norm, where all entries vanish), or on a whole region
of inputs (a relu), where a derivative that is infinite at 0 will be met for certain.
"""

import math
from typing import NamedTuple

import numpy as np

NEVER, POINTS, REGION = 0, 1, 2
INF = math.inf


class Range(NamedTuple):
    """Values between two bounds, and how 0 is met."""

    low: float = -INF
    high: float = INF
    zero: int = POINTS

    @property
    def positive(self) -> bool:
        """Never 0 nor below."""
        return self.low > 0 or (self.low == 0 and self.zero == NEVER)


ANY = Range()
POSITIVE = Range(0.0, INF, NEVER)


def of(low: float, high: float, zero: int | None = None) -> Range:
    """Bounds, with 0 met at points where it is between them and nothing else is known."""
    low, high = (-INF if math.isnan(low) else low), (INF if math.isnan(high) else high)
    inside = low <= 0 <= high
    return Range(low, high, (POINTS if zero is None else zero) if inside else NEVER)


def of_constant(value) -> Range:
    """Of a known array."""
    array = np.asarray(value)
    if not array.size or array.dtype.kind not in "fiub":
        return ANY
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        return ANY
    return Range(float(array.min()), float(array.max()), REGION if (array == 0).any() else NEVER)


def union(*ranges: Range) -> Range:
    """One of several."""
    return Range(
        min(r.low for r in ranges), max(r.high for r in ranges), max(r.zero for r in ranges)
    )
