"""Programs inside a program: calls, branches on a constant, loops."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend import core
from jax.extend.core import JaxprEqn
from jax.extend.core import primitives as p

from stochastic_net._types import Array
from stochastic_net.moments._integrals.precision import Moments
from stochastic_net.moments._program.registry import called_by, refuse, register
from stochastic_net.moments._program.tape import Shared, Tape, tape
from stochastic_net.moments._program.values import Elementwise, Value, gaussian, is_random
from stochastic_net.moments._program.watch import CALLS, watch
from stochastic_net.moments._rules.interpret import interpret

Packed = tuple[Array, ...]  # (mean, var) of a random value, (array,) of a constant


def _closed(program: Any) -> core.ClosedJaxpr:
    return program if isinstance(program, core.ClosedJaxpr) else core.ClosedJaxpr(program, ())


@register("control", *CALLS)
def call(eqn: JaxprEqn, operands: list[Value]) -> list[Value]:
    """What is called is interpreted too."""
    names = ("jaxpr", "call_jaxpr", "fun_jaxpr")
    program = next(eqn.params[name] for name in names if name in eqn.params)
    with called_by(eqn):
        return interpret(_closed(program), operands)


@register("control", p.cond_p)
def branch(eqn: JaxprEqn, operands: list[Value]) -> list[Value]:
    """Any branch of a constant index; a value is random if it is in any of them."""
    index, *operands = operands
    if is_random(index):
        return refuse(eqn, "which branch is taken is random")
    if not isinstance(index, jax.core.Tracer):
        taken = np.clip(np.asarray(index), 0, len(eqn.params["branches"]) - 1)
        with called_by(eqn):
            return interpret(eqn.params["branches"][taken], operands)
    packed = list(map(_pack, operands))
    programs = eqn.params["branches"]
    random = _either(*(_output_flags(eqn, program, packed) for program in programs))
    runs = [_runner(eqn, program, random) for program in programs]
    return list(map(_unpack, lax.switch(index, runs, packed)))


@register("control", p.scan_p)
def scan(eqn: JaxprEqn, operands: list[Value]) -> list[Value]:
    """Step by step; what is carried is random if it ever becomes so."""
    consts, carried = _counts(eqn)
    program = eqn.params["jaxpr"]
    fixed, carry, xs = operands[:consts], operands[consts:][:carried], operands[consts + carried :]
    steps = [list(map(_pack, values)) for values in (fixed, carry, xs)]
    one = list(map(_one_of, steps[2]))
    nodes = Tape() if tape.get() else None
    state, flags = _settled(
        lambda state: _output_flags(eqn, program, [*steps[0], *state, *one], nodes), steps[1]
    )
    run, outside = _runner(eqn, program, flags), tape.get()

    def step(inside, state, x):
        outputs = run([*steps[0], *state, *x], inside)
        return outputs[:carried], outputs[carried:]

    how = {k: eqn.params[k] for k in ("length", "reverse", "unroll") if k in eqn.params}
    if not (outside and nodes and nodes.variances):
        state, ys = lax.scan(partial(step, None), state, steps[2], **how)
    elif outside.keeps_covariance:
        return _written_out(eqn, fixed, carry, xs)
    else:
        state, ys = outside.scan(step, state, steps[2], **how)
    return list(map(_unpack, [*state, *ys]))


def _written_out(
    eqn: JaxprEqn, fixed: list[Value], carry: list[Value], xs: list[Value]
) -> list[Value]:
    """A scan whose steps have nodes: where covariances are kept each is an operation of its own."""
    steps, results = range(eqn.params["length"]), eqn.outvars[len(carry) :]
    found: list[list[Value]] = [[] for _ in results]
    for k in reversed(steps) if eqn.params["reverse"] else steps:
        x = [_unpack(tuple(a[k] for a in _pack(value))) for value in xs]
        with called_by(eqn):
            outputs = interpret(eqn.params["jaxpr"], [*fixed, *carry, *x])
        carry = outputs[: len(carry)]
        for ys, y in zip(found, outputs[len(carry) :], strict=True):
            ys.append(y)
    if not steps:
        return [*carry, *(_nothing(x.aval) for x in results)]
    return [*carry, *(_stacked(ys[::-1] if eqn.params["reverse"] else ys) for ys in found)]


def _nothing(aval: Any) -> Array:
    return jnp.zeros(aval.shape, aval.dtype)


def _stacked(values: list[Value]) -> Value:
    packed = [_pack(x) for x in values]
    if any(map(is_random, values)):
        packed = list(map(_widen, packed))
    return _unpack(tuple(map(jnp.stack, zip(*packed, strict=True))))


def _one_of(x: Packed) -> tuple[jax.ShapeDtypeStruct, ...]:
    """The shape of one of what is scanned over."""
    return tuple(jax.ShapeDtypeStruct(a.shape[1:], a.dtype) for a in x)


def _counts(eqn: JaxprEqn) -> tuple[int, int]:
    """How many operands of a scan are constants, and how many are carried.

    These have inside the rank that they have outside, and what is scanned over one less; the names
    of the equation's parameters changed between JAX 0.10 and 0.12.
    """
    program = eqn.params["jaxpr"]

    def as_outside(outside: list, inside: list) -> int:
        return sum(len(a.aval.shape) == len(b.shape) for a, b in zip(outside, inside, strict=True))

    carried = as_outside(eqn.outvars, program.out_avals)
    return as_outside(eqn.invars, program.in_avals) - carried, carried


@register("control", p.while_p)
def loop(eqn: JaxprEqn, operands: list[Value]) -> list[Value]:
    """As long as a constant says."""
    first, second = eqn.params["cond_nconsts"], eqn.params["body_nconsts"]
    packed = list(map(_pack, operands))
    tests, fixed, carry = packed[:first], packed[first:][:second], packed[first + second :]
    body, test = eqn.params["body_jaxpr"], eqn.params["cond_jaxpr"]
    carry, flags = _settled(lambda state: _output_flags(eqn, body, [*fixed, *state]), carry)
    if any(_output_flags(eqn, test, [*tests, *carry])):
        return refuse(eqn, "how long it runs is random")
    run, ask = _runner(eqn, body, flags), _runner(eqn, test, [False])
    state = lax.while_loop(
        lambda state: ask([*tests, *state])[0][0], lambda state: run([*fixed, *state]), carry
    )
    return list(map(_unpack, state))


def _settled(flags_of: Callable, carry: list[Packed]) -> tuple[list[Packed], list[bool]]:
    """The carry with every entry random that the body makes random, and the body's flags."""
    while True:
        flags = flags_of(carry)
        wide = [_widen(x) if flag else x for x, flag in zip(carry, flags, strict=False)]
        if list(map(len, wide)) == list(map(len, carry)):
            return carry, [len(x) == 2 for x in carry] + flags[len(carry) :]
        carry = wide


def _widen(x: Packed) -> Packed:
    return x if len(x) == 2 else (x[0], jnp.zeros_like(x[0]))


def _pack(value: Value) -> Packed:
    return value.moments() if isinstance(value, Elementwise) else (jnp.asarray(value),)


def _unpack(x: Packed) -> Value:
    return gaussian(*x) if len(x) == 2 else x[0]


def _runner(
    eqn: JaxprEqn, program: core.ClosedJaxpr, flags: list[bool]
) -> Callable[..., list[Packed]]:
    """The program on packed values; outputs flagged random are, the others are constants."""

    def run(packed: list[Packed], record: Tape | None = None) -> list[Packed]:
        outputs = _inside(eqn, program, packed, _pack, record)
        return [_widen(x) if flag else x for x, flag in zip(outputs, flags, strict=True)]

    return run


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
        return list(map(read, interpret(program, list(map(_unpack, packed)))))


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


def _output_flags(
    eqn: JaxprEqn, program: core.ClosedJaxpr, packed: list[tuple], nodes: Tape | None = None
) -> list[bool]:
    """Which outputs are random; nothing is computed. The nodes are written to `nodes`."""
    flags: list[bool] = []

    def read(value: Value) -> bool:
        if nodes:
            _pack(value)
        return is_random(value)

    def run(packed: list[Packed]) -> None:
        flags.extend(_inside(eqn, program, packed, read, nodes))

    jax.eval_shape(run, packed)
    return flags


def _either(*flags: list[bool]) -> list[bool]:
    return [any(column) for column in zip(*flags, strict=True)]
