"""What values can be: bounds, and whether 0 is among them; tells sqrt(x + eps) from sqrt(x).

`zero` says how 0 is met: never, at points (a norm, where all entries vanish), or on a whole region
of inputs (a relu), where a derivative that is infinite at 0 will be met for certain.
"""

import math
from typing import NamedTuple

import numpy as np
from jax.extend.core import JaxprEqn

from stochastic_net.diagnostics._words import words

NEVER, POINTS, REGION = 0, 1, 2
_INF = math.inf


class Range(NamedTuple):
    """Values between two bounds, and how 0 is met."""

    low: float = -_INF
    high: float = _INF
    zero: int = POINTS

    @property
    def positive(self) -> bool:
        """Never 0 nor below."""
        return self.low > 0 or (self.low == 0 and self.zero == NEVER)


ANY = Range()
_POSITIVE = Range(0.0, _INF, NEVER)


def of(low: float, high: float, zero: int | None = None) -> Range:
    """Bounds, with 0 met at points where it is between them and nothing else is known."""
    low, high = (-_INF if math.isnan(low) else low), (_INF if math.isnan(high) else high)
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
    reduce_precision pvary sort top_k cumsum_ unstack reduce_window_max optimization_barrier
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
        return _POSITIVE if a.positive or y % 2 == 0 else ANY
    if y % 2 == 0:
        ends = sorted((abs(a.low), abs(a.high)))
        low = 0.0 if a.low <= 0 <= a.high else _power(ends[0], y)
        return Range(low, _power(ends[1], y), a.zero)
    return Range(0.0, _INF, a.zero) if a.low >= 0 else Range(-_INF, _INF, a.zero)


def _power(x: float, y: int) -> float:
    try:
        return x**y
    except OverflowError:
        return _INF


def _div(a: Range, b: Range) -> Range:
    if b.positive:
        inverse = Range(0.0 if b.high == _INF else 1 / b.high, _INF if b.low == 0 else 1 / b.low, 0)
        return _mul(a, inverse)
    return Range(-_INF, _INF, max(a.zero, POINTS if a.zero else NEVER))


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
    low = -_INF if a.low == 0 else math.log(a.low)
    return of(low, _safe(math.log, a.high) if a.high > 0 else 0.0, POINTS)


def _log1p(a: Range) -> Range:
    if a.low <= -1:
        return of(-_INF, _safe(math.log1p, a.high) if a.high > -1 else _INF)
    return Range(math.log1p(a.low), _safe(math.log1p, a.high), a.zero)


def _sqrt(a: Range) -> Range:
    return Range(math.sqrt(max(a.low, 0.0)), _safe(math.sqrt, max(a.high, 0.0)), a.zero)


def _sum(a: Range, *_: Range) -> Range:
    if a.low >= 0:
        return Range(a.low, _INF, a.zero)
    if a.high <= 0:
        return Range(-_INF, a.high, a.zero)
    return ANY


def _monotone(f):
    return lambda a: Range(_safe(f, a.low), _safe(f, a.high), a.zero)


def _safe(f, x: float) -> float:
    try:
        return f(x)
    except OverflowError:
        return _INF
    except ValueError:
        return -_INF


def _product_sum(a: Range, b: Range) -> Range:
    return Range(0.0, _INF, max(a.zero, b.zero)) if a.low >= 0 and b.low >= 0 else ANY


def _pow(a: Range, _: Range) -> Range:
    return Range(0.0, _INF, a.zero) if a.low >= 0 else ANY


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
    "exp2": lambda a: _POSITIVE,
    "expm1": lambda a: of(-1.0 if a.low < 0 else 0.0, _INF, a.zero),
    "logistic": lambda a: Range(0.0, 1.0, NEVER),
    "log": _log,
    "log1p": _log1p,
    "sqrt": _sqrt,
    "rsqrt": lambda a: _POSITIVE,
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
    "iota": lambda: Range(0.0, _INF, REGION),
    "concatenate": union,
    "pad": union,
    "random_gamma": lambda *_: _POSITIVE,
    **dict.fromkeys(
        words("eq ne lt le gt ge is_finite not and or"), lambda *_: Range(0.0, 1.0, REGION)
    ),
}
