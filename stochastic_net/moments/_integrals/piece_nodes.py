"""Nodes on both sides of each place where a function is bent or jumps."""

from collections.abc import Callable, Iterator

import jax.numpy as jnp
import numpy as np
from jax import lax

from stochastic_net._types import Array
from stochastic_net.moments._integrals.nodes import Nodes, density
from stochastic_net.moments._integrals.taylor import Function
from stochastic_net.moments._integrals.two_lines import TwoLines
from stochastic_net.random._fence import both, shared

COUNT, REACH = 24, 7.5  # nodes of a piece, and deviations to which they go
_BEYOND = 3.0  # deviations of a piece that is further off than that


def ends_of(mean, scale, reach: float, breaks: tuple, where) -> Iterator[tuple]:
    """Where the pieces start and end, cut where the Gaussian has no mass; `where` is numpy or jnp.

    A piece with no part near the mean is that beside its break.
    """
    low, high, more = mean - reach * scale, mean + reach * scale, _BEYOND * scale
    for below, above in zip((None, *breaks), (*breaks, None), strict=True):
        start = low if above is None else where.minimum(low, above - more)
        end = high if below is None else where.maximum(high, below + more)
        yield (
            start if below is None else where.maximum(start, below),
            end if above is None else where.minimum(end, above),
        )


class PieceNodes(Nodes):
    """The nodes of one function and one Gaussian that is not wide, and the sums over them."""

    def __init__(
        self, function: Function, mean: Array, var: Array, breaks: tuple[Array, ...]
    ) -> None:
        self.function, self.mean, self.var, self.breaks = function, mean, var, breaks
        self.scale = jnp.sqrt(var)
        self.inverse = 1 / self.scale
        self.straight = jnp.zeros((), bool)
        pivot, zero = function(mean), jnp.zeros_like(mean)
        self.lines = TwoLines((zero, pivot), (zero, pivot))
        self.line_mean, self.line_var = pivot, zero

    def _sums(self, terms: Callable[..., list[Array]], count: int) -> list[Array]:
        nodes = list(zip(*np.polynomial.legendre.leggauss(COUNT), strict=True))
        sums = [jnp.zeros_like(self.mean)] * count
        for start, end in ends_of(self.mean, self.scale, REACH, self.breaks, jnp):
            start, length = lax.stop_gradient(start), lax.stop_gradient(end - start)
            first, stride = (start - self.mean) * self.inverse, length * self.inverse
            for place, weight in nodes:
                part = float(place + 1) / 2
                u, t = shared(start + part * length), shared(first + part * stride)
                mass = (0.5 * float(weight)) * stride * density(t)
                found = terms(u, t, mass, self.line_mean)
                sums = [s + x for s, x in zip(sums, found, strict=True)]
        return [x for k in range(0, count, 2) for x in both(*sums[k : k + 2])]
