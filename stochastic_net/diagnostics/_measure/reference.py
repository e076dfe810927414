r"""What a gradient is compared with: differences of the mean, over the same noise on both sides.

(f(theta + h v) - f(theta - h v)) / 2h with one key for both has the expectation of the derivative
of E f along v, up to a term of order h^2. Three ways to have it, by what f does as theta moves:

- `small_steps`, where f is continuous: exact for every key but for its curvature, which a second
  step measures.
- `wide_steps`, where f jumps (rejection, hard choices). At a small step most keys see no jump and
  the rare ones carry the rest of the derivative. At a wide one many do, and Richardson's
  extrapolation takes the term of order h^2 off. The step is halved until that changes little.
- the same over a lattice instead of keys (`_quadrature`), where few numbers are drawn.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Rows = np.ndarray  # one entry a key (or a set of nodes)
Run = Callable[[float], Rows]  # f at theta + h v, for a step h

_STEP = 0.01
_WIDEST, _NARROWEST = 0.3, 0.02
_SETTLED = 0.25  # how much halving a step may change a difference


class Reference(NamedTuple):
    """The derivative of the mean along a direction, and how far it may be off for its step."""

    rows: Rows
    off: float
    by: str


def small_steps(run: Run) -> Reference:
    """By differences at a small step; how far the next larger one is from it says how curved."""
    near, far = _difference(run, _STEP), _difference(run, 2 * _STEP)
    change = far - near
    curved = abs(change.mean()) + 2 * _error(change)
    rounding = 4e-7 * np.abs(run(0.0)).mean() / _STEP
    return Reference(near, float(2 * curved + rounding), "small steps")


def wide_steps(run: Run, by: str = "wide steps") -> Reference | None:
    """By differences at the widest step at which halving it changes little; None if none is."""
    h = _WIDEST
    far = _difference(run, h)
    while h > _NARROWEST:
        near = _difference(run, h / 2)
        change = near - far
        size = max(abs(near.mean()), abs(far.mean()))
        if abs(change.mean()) <= _SETTLED * size + 2 * _error(change):
            off = (abs(change.mean()) + 2 * _error(change)) / 3
            return Reference((4 * near - far) / 3, float(off), by)
        h, far = h / 2, near
    return None


def _difference(run: Run, h: float) -> Rows:
    return (run(h) - run(-h)) / (2 * h)


def _error(rows: Rows) -> float:
    return float(rows.std(ddof=1) / np.sqrt(len(rows)))
