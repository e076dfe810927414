"""Values as arrays, as they go into and come out of a program that is traced."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core
from jax.extend.core import JaxprEqn

from stochastic_net._types import Array
from stochastic_net.moments._integrals.precision import Moments
from stochastic_net.moments._program.registry import called_by, refuse
from stochastic_net.moments._program.tape import Shared, Tape, tape
from stochastic_net.moments._program.values import Elementwise, Value, gaussian, is_random
from stochastic_net.moments._program.watch import watch
from stochastic_net.moments._rules.interpret import interpret

Packed = tuple[Array, ...]  # (mean, var) of a random value, (array,) of a constant


def pack(value: Value) -> Packed:
    """The arrays of a value."""
    return value.moments() if isinstance(value, Elementwise) else (jnp.asarray(value),)


def unpack(x: Packed) -> Value:
    """The value of these arrays."""
    return gaussian(*x) if len(x) == 2 else x[0]


def widen(x: Packed) -> Packed:
    """A constant as a random value of variance 0."""
    return x if len(x) == 2 else (x[0], jnp.zeros_like(x[0]))


def settled(flags_of: Callable, carry: list[Packed]) -> tuple[list[Packed], list[bool]]:
    """The carry with every entry random that the body makes random, and the body's flags."""
    while True:
        flags = flags_of(carry)
        wide = [widen(x) if flag else x for x, flag in zip(carry, flags, strict=False)]
        if list(map(len, wide)) == list(map(len, carry)):
            return carry, [len(x) == 2 for x in carry] + flags[len(carry) :]
        carry = wide


def runner(
    eqn: JaxprEqn, program: core.ClosedJaxpr, flags: list[bool]
) -> Callable[..., list[Packed]]:
    """The program on packed values; outputs flagged random are, the others are constants."""

    def run(packed: list[Packed], record: Tape | None = None) -> list[Packed]:
        outputs = _inside(eqn, program, packed, pack, record)
        return [widen(x) if flag else x for x, flag in zip(outputs, flags, strict=True)]

    return run


def output_flags(
    eqn: JaxprEqn, program: core.ClosedJaxpr, packed: list[tuple], nodes: Tape | None = None
) -> list[bool]:
    """Which outputs are random; nothing is computed. The nodes are written to `nodes`."""
    flags: list[bool] = []

    def read(value: Value) -> bool:
        if nodes:
            pack(value)
        return is_random(value)

    def run(packed: list[Packed]) -> None:
        flags.extend(_inside(eqn, program, packed, read, nodes))

    jax.eval_shape(run, packed)
    return flags


def _inside(
    eqn: JaxprEqn,
    program: core.ClosedJaxpr,
    packed: list,
    read: Callable[[Value], Any],
    record: Tape | None = None,
) -> list:
    """What `read` says of the program's outputs; its nodes go to `record` or are refused."""
    record = record or (tape.get() and _Barred(eqn))
    with called_by(eqn), tape.being(record), watch.being(None):
        return list(map(read, interpret(program, list(map(unpack, packed)))))


class _Barred(Tape):
    def __init__(self, eqn: JaxprEqn) -> None:
        self.eqn = eqn

    def enter(
        self, mean: Array, var: Array, rest: Callable[[], Array], shared: Shared | None
    ) -> Moments:
        return self._refuse()

    def scan(self, *args: Any, **how: Any) -> Any:
        return self._refuse()

    def _refuse(self) -> Any:
        return refuse(
            self.eqn, 'covariance="adjoint" and "full" follow only what is linear inside it'
        )
