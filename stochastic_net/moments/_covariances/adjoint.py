"""Variances of outputs from the derivatives of each output by every node: correlation kept."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from stochastic_net._types import Array
from stochastic_net.moments._integrals.precision import wide_array
from stochastic_net.moments._program.tape import Replay, Run, Tape
from stochastic_net.moments._program.values import Value, gaussian, is_random


class Linear(NamedTuple):
    """A program as a linear one of the deviations of its nodes."""

    outputs: list[Value]
    means: list[Array]  # of the outputs that are random
    pull: Callable[[list[Array]], tuple[list[Array]]]  # from outputs to nodes
    record: Tape


def linear(run: Run) -> Linear:
    """The program that `run` runs."""
    record = Tape()
    outputs = run(record)

    def means(deviations: list[Array]) -> list[Array]:
        nodes = zip(deviations, record.variances, strict=True)
        return [x.moments()[0] for x in run(Replay(nodes)) if is_random(x)]

    at, pull = jax.vjp(means, [jnp.zeros_like(rest) for rest in record.rests])
    return Linear(outputs, at, pull, record)


def adjoint(run: Run) -> list[Value]:
    """The outputs with the same means, and the variances of the linear program."""
    program = linear(run)

    def total(parts: list[Array]) -> Array:
        return sum(part.sum() for part in parts)  # pyrefly: ignore[bad-return]

    new = iter(
        (mean, shares(program, i, total).astype(mean.dtype)) for i, mean in enumerate(program.means)
    )
    return [gaussian(*next(new)) if is_random(x) else x for x in program.outputs]


def shares(program: Linear, index: int, collect: Callable) -> Array:
    """`collect` of the shares (dy/dD)^2 Var D of all nodes, for every element y of one output."""
    out, rests = program.means[index], program.record.rests

    def one(place: Array):
        cotangents = [jnp.zeros_like(x) for x in program.means]
        cotangents[index] = (jnp.arange(out.size) == place).astype(out.dtype).reshape(out.shape)
        (slopes,) = program.pull(cotangents)
        # What a pattern of operations passed over may have overflowed, and has no slope.
        pairs = ((wide_array(s), wide_array(r)) for s, r in zip(slopes, rests, strict=True))
        return collect([jnp.where(s == 0, 0, s * s * r) for s, r in pairs])

    found = jax.lax.map(one, jnp.arange(out.size), batch_size=16)
    return jax.tree.map(lambda x: x.reshape(*out.shape, *x.shape[1:]), found)
