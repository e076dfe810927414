"""Acceptance-rejection over whole arrays: every element proposes until all are accepted."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax import lax

from stochastic_net._types import Array

# Rounds before the loop, fused into one pass: on CPU a round of the loop costs three of these, and
# after four rounds the loop is seldom entered.
_STRAIGHT = 4

Proposal = Callable[[Array], Array]  # round -> proposals, inf where they are rejected


def first_accepted(propose: Proposal) -> Array:
    """The first proposal of each element that is not rejected, which is said by an infinite one.

    No element has a loop of its own and none is moved: the rounds are whole arrays with a mask, so
    that the draw vectorises, and shards with one reduced bit a round. With an acceptance of p there
    are about log(size) / -log(1 - p) rounds. One array says both what was drawn and whether it was:
    of two, XLA on CPU computes the proposals twice.
    """

    def retry(n: Array, value: Array) -> Array:
        return jnp.where(jnp.isinf(value), propose(n), value)

    value = propose(jnp.uint32(0))
    for n in range(1, _STRAIGHT):
        value = retry(jnp.uint32(n), value)

    def unfinished(state) -> Array:
        return jnp.isinf(state[1]).any()

    def again(state):
        n, value = state
        return n + np.uint32(1), retry(n, value)

    return lax.while_loop(unfinished, again, (jnp.uint32(_STRAIGHT), value))[1]
