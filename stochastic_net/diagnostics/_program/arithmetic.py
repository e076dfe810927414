"""What range the values of an operation have, by those of its operands."""

import math

from jax.extend.core import JaxprEqn

from stochastic_net.diagnostics._program.bounds import (
    ANY,
    INF,
    NEVER,
    POINTS,
    POSITIVE,
    REGION,
    Range,
    of,
    union,
)
from stochastic_net.diagnostics._program.words import words


def after(eqn: JaxprEqn, ins: list[Range], squared: bool = False) -> Range:
    """The range of an operation's outputs; `squared` says that a product is of one value."""
    name = eqn.primitive.name
    if name in _SAME:
        return ins[0]
    rule = _RULES.get(name)
    if name == "mul" and squared:
        return _square(ins[0])
    if name == "integer_pow":
        return _integer_power(ins[0], eqn.params["y"])
    return rule(*ins) if rule is not None else ANY


_SAME = words(
    """
    broadcast_in_dim reshape transpose squeeze expand_dims slice copy copy_p rev
    stop_gradient convert_element_type reduce_max reduce_min dynamic_slice gather
    reduce_precision pvary sort top_k cumsum_ unstack reduce_window_max
    """
)


def _add(a: Range, b: Range) -> Range:
    zero = None
    if (a.low >= 0 and b.low >= 0) or (a.high <= 0 and b.high <= 0):
        zero = min(a.zero, b.zero)
    return of(a.low + b.low, a.high + b.high, zero)


def _neg(a: Range) -> Range:
    return Range(-a.high, -a.low, a.zero)


def _products(a: Range, b: Range) -> list[float]:
    return [0.0 if 0 in (x, y) else x * y for x in (a.low, a.high) for y in (b.low, b.high)]


def _mul(a: Range, b: Range) -> Range:
    found = _products(a, b)
    return Range(min(found), max(found), max(a.zero, b.zero))


def _square(a: Range) -> Range:
    found = [x * x for x in (a.low, a.high)]
    low = 0.0 if a.low <= 0 <= a.high else min(found)
    return Range(low, max(found), a.zero)


def _integer_power(a: Range, y: int) -> Range:
    if y < 0:
        return POSITIVE if a.positive or y % 2 == 0 else ANY
    if y % 2 == 0:
        ends = sorted((abs(a.low), abs(a.high)))
        low = 0.0 if a.low <= 0 <= a.high else _power(ends[0], y)
        return Range(low, _power(ends[1], y), a.zero)
    return Range(0.0, INF, a.zero) if a.low >= 0 else Range(-INF, INF, a.zero)


def _power(x: float, y: int) -> float:
    try:
        return x**y
    except OverflowError:
        return INF


def _div(a: Range, b: Range) -> Range:
    if b.positive:
        inverse = Range(0.0 if b.high == INF else 1 / b.high, INF if b.low == 0 else 1 / b.low, 0)
        return _mul(a, inverse)
    return Range(-INF, INF, max(a.zero, POINTS if a.zero else NEVER))


def _abs(a: Range) -> Range:
    low = 0.0 if a.low <= 0 <= a.high else min(abs(a.low), abs(a.high))
    return Range(low, max(abs(a.low), abs(a.high)), a.zero)


def _max(a: Range, b: Range) -> Range:
    low, high = max(a.low, b.low), max(a.high, b.high)
    return of(low, high, _kinked(a, b, low))


def _min(a: Range, b: Range) -> Range:
    return _neg(_max(_neg(a), _neg(b)))


def _kinked(a: Range, b: Range, low: float) -> int:
    """How max(a, b) is 0: on a region where one is the constant 0 and the other can be below."""
    if low > 0:
        return NEVER
    for bound, other in ((a, b), (b, a)):
        if bound.low == bound.high == 0:
            return REGION if other.low < 0 else other.zero
    if low == 0 and NEVER in (a.zero, b.zero):
        return NEVER
    return max(a.zero, b.zero)


def _clamp(low: Range, x: Range, high: Range) -> Range:
    return _min(_max(low, x), high)


def _exp(a: Range) -> Range:
    return Range(_safe(math.exp, a.low), _safe(math.exp, a.high), NEVER)


def _log(a: Range) -> Range:
    if a.low < 0:
        return ANY
    low = -INF if a.low == 0 else math.log(a.low)
    return of(low, _safe(math.log, a.high) if a.high > 0 else 0.0, POINTS)


def _log1p(a: Range) -> Range:
    if a.low <= -1:
        return of(-INF, _safe(math.log1p, a.high) if a.high > -1 else INF)
    return Range(math.log1p(a.low), _safe(math.log1p, a.high), a.zero)


def _sqrt(a: Range) -> Range:
    return Range(math.sqrt(max(a.low, 0.0)), _safe(math.sqrt, max(a.high, 0.0)), a.zero)


def _sum(a: Range, *_: Range) -> Range:
    if a.low >= 0:
        return Range(a.low, INF, a.zero)
    if a.high <= 0:
        return Range(-INF, a.high, a.zero)
    return ANY


def _monotone(f):
    return lambda a: Range(_safe(f, a.low), _safe(f, a.high), a.zero)


def _safe(f, x: float) -> float:
    try:
        return f(x)
    except OverflowError:
        return INF
    except ValueError:
        return -INF


def _product_sum(a: Range, b: Range) -> Range:
    return Range(0.0, INF, max(a.zero, b.zero)) if a.low >= 0 and b.low >= 0 else ANY


def _pow(a: Range, _: Range) -> Range:
    return Range(0.0, INF, a.zero) if a.low >= 0 else ANY


_RULES = {
    "add": _add,
    "add_any": _add,
    "sub": lambda a, b: _add(a, _neg(b)),
    "neg": _neg,
    "mul": _mul,
    "div": _div,
    "square": _square,
    "abs": _abs,
    "max": _max,
    "min": _min,
    "clamp": _clamp,
    "exp": _exp,
    "exp2": lambda a: POSITIVE,
    "expm1": lambda a: of(-1.0 if a.low < 0 else 0.0, INF, a.zero),
    "logistic": lambda a: Range(0.0, 1.0, NEVER),
    "log": _log,
    "log1p": _log1p,
    "sqrt": _sqrt,
    "rsqrt": lambda a: POSITIVE,
    "tanh": _monotone(math.tanh),
    "erf": _monotone(math.erf),
    "erfc": lambda a: Range(0.0, 2.0, NEVER),
    "sin": lambda a: of(-1.0, 1.0),
    "cos": lambda a: of(-1.0, 1.0),
    "reduce_sum": _sum,
    "cumsum": _sum,
    "reduce_window_sum": _sum,
    "dot_general": _product_sum,
    "conv_general_dilated": _product_sum,
    "pow": _pow,
    "iota": lambda: Range(0.0, INF, REGION),
    "concatenate": union,
    "pad": union,
    "random_gamma": lambda *_: POSITIVE,
    **dict.fromkeys(
        words("eq ne lt le gt ge is_finite not and or"), lambda *_: Range(0.0, 1.0, REGION)
    ),
}
