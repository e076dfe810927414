"""The one registry: primitive -> how its moments are had. Open to the user's own primitives."""

import pathlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Literal

import jax
from jax.extend.core import JaxprEqn, Primitive

from stochastic_net.moments._program.current import Current
from stochastic_net.moments._program.no_rule import NoRule
from stochastic_net.moments._program.values import Value

# A rule maps an equation and its operands, one of them random, to the equation's values.
Rule = Callable[[JaxprEqn, list[Value]], list[Value]]
RULES: dict[Primitive, Rule] = {}

Kind = Literal["exact", "fused", "approximated", "control", "your own", "no rule"]
_KINDS: dict[Primitive, Kind] = {}

_LIBRARIES = (
    str(pathlib.Path(__file__).parents[2]),  # and not a clone of that name, where the user may be
    str(pathlib.Path(jax.__file__).parent),
    "site-packages",
    "<",
)


def register(kind: Kind, *primitives: Primitive) -> Callable[[Rule], Rule]:
    """Make the decorated function the rule of these primitives."""

    def add(rule: Rule) -> Rule:
        RULES.update(dict.fromkeys(primitives, rule))
        _KINDS.update(dict.fromkeys(primitives, kind))
        return rule

    return add


def kind_of_rule(primitive: Primitive) -> Kind:
    """What `propagate` does with a primitive.

    Returns:
      "exact" on mean and variance of independent elements; "fused" with the elementwise operations
      around it; "approximated" by taking a maximum for Gaussian; "control" where the program inside
      is run by its own rules; "your own"; or "no rule".

    Example:
      >>> import stochastic_net as sn
      >>> from jax.extend.core import primitives
      >>> sn.moments.kind_of_rule(primitives.tanh_p), sn.moments.kind_of_rule(primitives.fft_p)
      ('fused', 'no rule')
    """
    return _KINDS.get(primitive, "no rule")


_calls: Current[tuple[JaxprEqn, ...]] = Current("calls", ())


def called_by(eqn: JaxprEqn) -> AbstractContextManager[None]:
    """While the program inside `eqn` is run: its own equations may come from another caller's."""
    return _calls.being((*_calls.get(), eqn))


def path() -> tuple[int, ...]:
    """Which calls lead to the program that is run."""
    return tuple(map(id, _calls.get()))


def refuse(eqn: JaxprEqn, why: str = "") -> Any:
    """Raise `NoRule` for an equation."""
    at = user_line(eqn)
    raise NoRule(
        f"no rule for the moments of `{eqn.primitive.name}`"
        + (f", called at {at}" if at else "")
        + (f": {why}" if why else "")
        + ". Give it one with @sn.moments.rule(primitive), have propagate take its tangent "
        'with otherwise="linearize" or draws with otherwise="sample", or keep randomness out of it.'
    )


def user_line(eqn: JaxprEqn) -> str | None:
    """The user's line that calls an equation, as "file.py:12 (function)"."""
    return next(filter(None, map(_line, (*_calls.get(), eqn))), None)


def _line(eqn: JaxprEqn) -> str | None:
    traceback = eqn.source_info.traceback
    for frame in traceback.frames if traceback else ():
        name = frame.file_name
        if not any(part in name for part in _LIBRARIES):
            return f"{name.rsplit('/', 1)[-1]}:{frame.line_num} ({frame.function_name})"
    return None
