"""The range of a `where`: each case as the comparison leaves it."""

from stochastic_net.diagnostics._program import bounds
from stochastic_net.diagnostics._program.flow import Flow


def chosen(ins: list[Flow]) -> bounds.Range:
    """What a `where` returns: each case as the comparison leaves it."""
    test, other, chosen = ins
    if test.test is None:
        return bounds.union(other.range, chosen.range)
    name, left, right, of_left, of_right = test.test
    if left == right:  # x != x, which asks for NaN
        return other.range if name in ("ne", "lt", "gt") else chosen.range
    flipped = {"gt": "lt", "ge": "le", "lt": "gt", "le": "ge", "eq": "eq", "ne": "ne"}
    inverse = {"gt": "le", "ge": "lt", "lt": "ge", "le": "gt", "eq": "ne", "ne": "eq"}

    def kept(flow: Flow, holds: str) -> bounds.Range:
        if flow.number == left and left is not None:
            return _bounded(flow.range, holds, of_right)
        if flow.number == right and right is not None:
            return _bounded(flow.range, flipped[holds], of_left)
        return flow.range

    return bounds.union(kept(other, inverse[name]), kept(chosen, name))


def _bounded(r: bounds.Range, holds: str, bound: bounds.Range) -> bounds.Range:
    if holds in ("gt", "ge"):
        low = max(r.low, bound.low)
        open_ = holds == "gt" and bound.low >= 0
        return bounds.Range(low, max(r.high, low), bounds.NEVER if low > 0 or open_ else r.zero)
    if holds in ("lt", "le"):
        high = min(r.high, bound.high)
        open_ = holds == "lt" and bound.high <= 0
        return bounds.Range(min(r.low, high), high, bounds.NEVER if high < 0 or open_ else r.zero)
    if holds == "ne" and bound.low == bound.high == 0:
        return r._replace(zero=bounds.NEVER)
    return r


def softplus(ins: list[Flow]) -> bounds.Range:
    """The range of logaddexp: above the larger of its operands."""
    low = max(f.range.low for f in ins)
    return bounds.of(low, float("inf"), bounds.NEVER if low >= 0 else None)
