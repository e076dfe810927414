"""Functions of functions: what parts have in common is computed once."""

from collections.abc import Callable, Sequence

from stochastic_net._types import Array
from stochastic_net.moments._integrals.taylor import Function
from stochastic_net.moments._program.current import Current


class Composition:
    """u -> apply(part(u), ...), of which the parts may share parts of their own.

    In a Newton step y - g(y) / h(y) three parts are functions of y: ten such steps would apply the
    first of them 59,049 times. They are applied in the order of a stack, not by recursion, so that
    a program may be longer than Python's stack is deep.
    """

    def __init__(self, apply: Callable[..., Array], parts: Sequence[Function]) -> None:
        self._apply, self._parts = apply, parts

    def __call__(self, u: Array) -> Array:
        seen = _seen.get()
        if seen is None:
            with _seen.being({}):
                return self(u)
        waiting = [self]
        while waiting:
            part = waiting[-1]
            missing = [x for x in part._nested() if (id(x), id(u)) not in seen]
            if missing:
                waiting += missing
                continue
            waiting.pop()
            if (id(part), id(u)) not in seen:
                value = part._apply(*(x(u) for x in part._parts))
                seen[id(part), id(u)] = u, value  # u as well, that no other array gets its id
        return seen[id(self), id(u)][1]

    def _nested(self) -> list["Composition"]:
        return [x for x in self._parts if isinstance(x, Composition)]


_seen: Current[dict[tuple[int, int], tuple[Array, Array]] | None] = Current("seen", None)


def identity(u: Array) -> Array:
    """u."""
    return u
