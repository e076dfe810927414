"""The values between the layers of a program: what an accuracy meter looks at."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from jax.extend import core
from jax.extend.core import JaxprEqn
from jax.extend.core import primitives as p

from stochastic_net._types import Array
from stochastic_net.distributions import Gaussian
from stochastic_net.moments._program.current import Current
from stochastic_net.moments._program.registry import path, user_line
from stochastic_net.moments._program.values import Elementwise, Value
from stochastic_net.random._checkify import checked_p

Place: TypeAlias = tuple

LAYERS = {
    p.dot_general_p: "matrix product",
    p.conv_general_dilated_p: "convolution",
    p.reduce_window_max_p: "max pool",
    p.reduce_window_min_p: "min pool",
    p.reduce_window_sum_p: "sum pool",
    p.reduce_max_p: "maximum",
    p.reduce_min_p: "minimum",
    p.scan_p: "scan",
    p.while_p: "loop",
    p.cond_p: "branch",
}
CALLS = (
    *(p.jit_p, p.closed_call_p, p.remat_p, p.custom_jvp_call_p, p.custom_vjp_call_p),
    checked_p,
)


def called(eqn: JaxprEqn) -> core.ClosedJaxpr:
    """The program that one of `CALLS` runs."""
    names = ("jaxpr", "call_jaxpr", "fun_jaxpr")
    program: Any = next(eqn.params[name] for name in names if name in eqn.params)
    return program if isinstance(program, core.ClosedJaxpr) else core.ClosedJaxpr(program, ())


class Watch:
    """What goes into the layers of a program and comes out of them, by place."""

    def __init__(self) -> None:
        self.values: dict[Place, Value] = {}
        self.labels: dict[Place, str] = {}

    def see(self, eqn: JaxprEqn, inputs: list[Value], outputs: list[Value]) -> None:
        """Keep the values around an equation that is a layer."""
        if eqn.primitive not in LAYERS:
            return
        line = (user_line(eqn) or "").partition(" ")[0]
        for role, values in (("into", inputs), ("out of", outputs)):
            for index, value in enumerate(values):
                place = (*path(), id(eqn), role, index)
                self.values[place], self.labels[place] = (
                    value,
                    f"{line} {role} {LAYERS[eqn.primitive]}".strip(),
                )

    def random(self) -> dict[Place, Gaussian]:
        """The random ones; of what is a line of an earlier one, that is enough."""
        found = {}
        for place, value in self.values.items():
            if isinstance(value, Elementwise) and ("out of" in place or value.function):
                found[place] = Gaussian(*value.moments())
        return found


class Layers(NamedTuple):
    """The random values of a program in order, with their names and how to have them at a point."""

    labels: list[str]
    moments: list[Gaussian]
    at: Callable[..., list[Array]]


watch: Current[Watch | None] = Current("watch", None)
