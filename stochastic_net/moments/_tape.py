r"""Where variance enters a program: what `covariance="adjoint"` sums over.

At an operation that is not linear, Z = f(X) with the moments M and V, Stein's lemma splits Z into

  Z = M + g (X - m) + D,    g = dM/dm,    Cov(X, D) = 0,    Var D = V - g^2 v,

for a Gaussian X ~ N(m, v), and likewise for products and maxima. An output y then depends on the
deviations X - m and D of all nodes by a linear program, the derivative of the program of means
with variances held fixed; its variance is sum (dy/dD)^2 Var D over the nodes, correlations between
paths that part and meet again included. Left out is that two functions of one X have correlated D.
"""

import contextvars
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import jax.numpy as jnp
from jax import lax

from stochastic_net._types import Array


class Tape:
    """The deviations D to add, in the order of the nodes, and the variances of the nodes met."""

    def __init__(self, deviations: list[Array] | None = None) -> None:
        self.deviations = deviations
        self.rests: list[Array] = []

    def enter(self, mean: Array, rest: Array) -> Array:
        """`mean` and the deviation of a node of variance `rest`."""
        self.rests.append(lax.stop_gradient(jnp.maximum(rest, 0)))
        if self.deviations is None:
            return mean
        return mean + self.deviations[len(self.rests) - 1]


_current: contextvars.ContextVar[Tape | None] = contextvars.ContextVar("tape", default=None)


@contextmanager
def running(tape: Tape | None) -> Iterator[Tape | None]:
    """With that tape, or with none."""
    token = _current.set(tape)
    try:
        yield tape
    finally:
        _current.reset(token)


def node(mean: Array, var: Array, rest: Callable[[], Array]) -> tuple[Array, Array]:
    """The moments of a node, of whose variance `rest()` is not in its operands."""
    tape = _current.get()
    if tape is None:
        return mean, var
    return tape.enter(mean, rest()), lax.stop_gradient(var)
