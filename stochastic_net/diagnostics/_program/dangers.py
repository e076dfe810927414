"""Operations whose derivative is infinite or undefined at 0 or below."""

from jax.extend.core import JaxprEqn

from stochastic_net.diagnostics._program import bounds
from stochastic_net.diagnostics._program.bounds import Range

# operation: which operand, and whether it is also undefined below 0
_AT_ZERO = {
    "sqrt": (0, True),
    "rsqrt": (0, True),
    "log": (0, True),
    "div": (1, False),
    "pow": (0, True),
    "cbrt": (0, False),
}
_AT_ONE = ("acos", "asin", "atanh")


def exposed(eqn: JaxprEqn, ranges: list[Range]) -> tuple[int, int, bool] | None:
    """Which operand can be 0, how 0 is met, and whether it can be below where that matters."""
    name = eqn.primitive.name
    if name == "integer_pow" and eqn.params["y"] < 0:
        index, from_below = 0, False
    elif name in _AT_ZERO:
        index, from_below = _AT_ZERO[name]
    elif name in _AT_ONE:
        index, from_below = 0, False
    else:
        return None
    found = ranges[index]
    if name in _AT_ONE:
        inside = found.low > -1 and found.high < 1
        return None if inside else (0, bounds.POINTS, False)
    below = from_below and found.low < 0
    zero = found.zero
    if name == "pow" and ranges[1].low >= 1:
        zero = bounds.NEVER
    if zero == bounds.NEVER and not below:
        return None
    return index, zero, below


CURE = {
    "sqrt": "a square root has an infinite derivative at 0 and none below",
    "rsqrt": "1 / sqrt(x) and its derivative are infinite at 0",
    "log": "a logarithm and its derivative are infinite at 0",
    "div": "a quotient and its derivative are infinite where the denominator is 0",
    "integer_pow": "the derivative of a negative power is infinite at 0",
    "pow": "a fractional power has an infinite derivative at 0 and none below",
    "acos": "arccos has an infinite derivative at -1 and 1",
    "asin": "arcsin has an infinite derivative at -1 and 1",
    "atanh": "arctanh and its derivative are infinite at -1 and 1",
    "cbrt": "cbrt has an infinite derivative at 0",
}
