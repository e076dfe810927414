"""The range of a `where`: each case as the comparison leaves it."""

from stochastic_net.diagnostics import _range
from stochastic_net.diagnostics._flow import Flow


def chosen(ins: list[Flow]) -> _range.Range:
    """What a `where` returns: each case as the comparison leaves it."""
    test, other, chosen = ins
    if test.test is None:
        return _range.union(other.range, chosen.range)
    name, left, right, of_left, of_right = test.test
    if left == right:  # x != x, which asks for NaN
        return other.range if name in ("ne", "lt", "gt") else chosen.range
    flipped = {"gt": "lt", "ge": "le", "lt": "gt", "le": "ge", "eq": "eq", "ne": "ne"}
    inverse = {"gt": "le", "ge": "lt", "lt": "ge", "le": "gt", "eq": "ne", "ne": "eq"}

    def kept(flow: Flow, holds: str) -> _range.Range:
        if flow.number == left and left is not None:
            return _bounded(flow.range, holds, of_right)
        if flow.number == right and right is not None:
            return _bounded(flow.range, flipped[holds], of_left)
        return flow.range

    return _range.union(kept(other, inverse[name]), kept(chosen, name))


def _bounded(r: _range.Range, holds: str, bound: _range.Range) -> _range.Range:
    if holds in ("gt", "ge"):
        low = max(r.low, bound.low)
        open_ = holds == "gt" and bound.low >= 0
        return _range.Range(low, max(r.high, low), _range.NEVER if low > 0 or open_ else r.zero)
    if holds in ("lt", "le"):
        high = min(r.high, bound.high)
        open_ = holds == "lt" and bound.high <= 0
        return _range.Range(min(r.low, high), high, _range.NEVER if high < 0 or open_ else r.zero)
    if holds == "ne" and bound.low == bound.high == 0:
        return r._replace(zero=_range.NEVER)
    return r


def softplus(ins: list[Flow]) -> _range.Range:
    """The range of logaddexp: above the larger of its operands."""
    low = max(f.range.low for f in ins)
    return _range.of(low, float("inf"), _range.NEVER if low >= 0 else None)
