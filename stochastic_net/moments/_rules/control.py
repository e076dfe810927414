"""Programs inside a program: calls, branches on a constant, loops."""

import jax
import numpy as np
from jax import lax
from jax.extend.core import JaxprEqn
from jax.extend.core import primitives as p

from stochastic_net.moments._program.registry import called_by, refuse, register
from stochastic_net.moments._program.values import Value, is_random
from stochastic_net.moments._program.watch import CALLS, called
from stochastic_net.moments._rules.interpret import interpret
from stochastic_net.moments._rules.packed import output_flags, pack, runner, settled, unpack
from stochastic_net.moments._rules.soft_larger import log_add_exp


@register("control", *CALLS)
def call(eqn: JaxprEqn, operands: list[Value]) -> list[Value]:
    """What is called is interpreted too, unless it is known as a whole."""
    if known := log_add_exp(eqn, operands):
        return [known]
    with called_by(eqn):
        return interpret(called(eqn), operands)


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
    packed = list(map(pack, operands))
    programs = eqn.params["branches"]
    random = _either(*(output_flags(eqn, program, packed) for program in programs))
    runs = [runner(eqn, program, random) for program in programs]
    return list(map(unpack, lax.switch(index, runs, packed)))


@register("control", p.while_p)
def loop(eqn: JaxprEqn, operands: list[Value]) -> list[Value]:
    """As long as a constant says."""
    first, second = eqn.params["cond_nconsts"], eqn.params["body_nconsts"]
    packed = list(map(pack, operands))
    tests, fixed, carry = packed[:first], packed[first:][:second], packed[first + second :]
    body, test = eqn.params["body_jaxpr"], eqn.params["cond_jaxpr"]
    carry, flags = settled(lambda state: output_flags(eqn, body, [*fixed, *state]), carry)
    if any(output_flags(eqn, test, [*tests, *carry])):
        return refuse(eqn, "how long it runs is random")
    run, ask = runner(eqn, body, flags), runner(eqn, test, [False])
    state = lax.while_loop(
        lambda state: ask([*tests, *state])[0][0], lambda state: run([*fixed, *state]), carry
    )
    return list(map(unpack, state))


def _either(*flags: list[bool]) -> list[bool]:
    return [any(column) for column in zip(*flags, strict=True)]
