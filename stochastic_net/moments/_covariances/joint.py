r"""Means that know their noise: what `covariance="full"` runs the program on.

As in `_program.tape`, every value is linear in the deviations D of the nodes before it,

  X = E X + sum_n T_n D_n,    Cov(X, Y) = sum_n T_n^T R_n U_n,    R_n = Cov(D_n, D_n).

The slopes T are the derivative of the program of means, which JAX takes along every D at once, and
whose rules so may ask for covariances on the way: what a node makes of its operand depends on them.
R_n is diagonal but for what two functions of correlated X_i, X_j share by their curvature,

  Cov(D_i, D_j) = E f''(X_i) E f''(X_j) Cov(X_i, X_j)^2 / 2 + ...    (Mehler's series).
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import zero_from_primal

from stochastic_net._types import Array, ArrayLike, PyTree, Shape
from stochastic_net.moments._integrals.precision import Moments, not_negative, product, wide_array
from stochastic_net.moments._program.tape import Run, Shared, Step, Tape
from stochastic_net.moments._program.values import Value, is_random
from stochastic_net.random import compute_dtype

_AXIS = "a deviation of stochastic_net.moments"


class Rehearsal(Tape):
    """A run that meets the nodes a `Joint` one will, for the shapes of their R."""

    keeps_covariance = True

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[Shape] = []

    def enter(
        self, mean: Array, var: Array, rest: Callable[[], Array], shared: Shared | None
    ) -> Moments:
        """One R, a matrix if it is shared."""
        self.weights.append((1, mean.size, mean.size) if shared else (1, mean.size))
        return super().enter(mean, var, rest, shared)

    def rehearsal(self) -> "Rehearsal":
        """Of a step of a loop."""
        return Rehearsal()

    def follow(  # pyrefly: ignore[bad-override]
        self, met: "Rehearsal", length: int
    ) -> None:
        """One R for each step of a loop, of which one is traced if there is none."""
        super().follow(met, length)
        self.weights += [(max(length, 1) * steps, *size) for steps, *size in met.weights]


class Direction(NamedTuple):
    """A number, and the place among the entries of all D that moves as it does."""

    amount: Array
    place: Array


class Joint(Tape):
    """A run whose means are differentiated by all deviations; the covariances of these, so far.

    `weights` are R_n, or its diagonal, of all nodes, for each step of the loops that these are in;
    of what is not met yet they are 0.
    """

    keeps_covariance = True

    def __init__(
        self,
        direction: Direction,
        weights: list[Array],
        first: int = 0,
        step: ArrayLike = 0,
        last: int = 0,
    ) -> None:
        self.weights = weights
        self._direction, self._next, self._step = direction, first, step
        self._met = last  # nodes, of which covariances are sums; those of a loop are met at once

    def enter(
        self, mean: Array, var: Array, rest: Callable[[], Array], shared: Shared | None
    ) -> Moments:
        """The mean with its own deviation; of its variance that is what operands do not explain."""
        place, self._next = self._next, self._next + 1
        self._met = max(self._met, self._next)
        start = sum(map(_entries, self.weights[:place])) + self._step * mean.size
        mean = _deviating(mean, start, *self._direction)
        explained = self.covariance(mean, mean)
        own = not_negative(wide_array(var - explained))
        weight = own.reshape(-1)
        if shared:
            weight = jnp.where(jnp.eye(own.size, dtype=bool), jnp.diag(weight), shared(self.matrix))
        self.weights[place] = lax.dynamic_update_index_in_dim(
            self.weights[place], _held(weight, mean), self._step, 0
        )
        return mean, explained + _held(own, mean).astype(mean.dtype)

    def scan(
        self, step: Step, met: Tape, carry: PyTree, xs: PyTree, **how: Any
    ) -> tuple[PyTree, PyTree]:
        """The same loop, that carries the weights of its nodes."""
        first, length = self._next, how["length"]
        self._next += len(met.labels)
        last = max(self._met, self._next)

        def weighed(state: tuple, x: tuple) -> tuple[tuple, PyTree]:
            (carry, weights), (index, x) = state, x
            joint = Joint(self._direction, list(weights), first, self._step * length + index, last)
            carry, y = step(joint, carry, x)
            return (carry, joint.weights), y

        state, steps = (carry, self.weights), (jnp.arange(length), xs)
        (carry, self.weights), ys = lax.scan(weighed, state, steps, **how)
        self._met = last
        return carry, ys

    def rehearsal(self) -> Rehearsal:
        """Of a step of a loop."""
        return Rehearsal()

    def covariance(self, x: Array, y: Array) -> Array:
        """Element by element, for the means of two values of one shape."""
        return _elementwise(x, y, self._so_far()).astype(x.dtype)

    def matrix(self, x: Array, y: Array) -> Array:
        """Of each element of one with each of the other."""
        return _matrix(x.reshape(-1), y.reshape(-1), self._so_far())

    def variance(self, mean: Array, var: Array) -> Callable[[], Array]:
        """That of all it depends on, when it is asked for."""
        return lambda: self.covariance(mean, mean)

    def _so_far(self) -> list[Array]:
        return self.weights[: self._met]


class Correlated(NamedTuple):
    """The outputs of a program, and the covariance of all elements of those that are random."""

    outputs: list[Value]
    means: list[Array]
    covariance: Array


def correlated(run: Run) -> Correlated:
    """The program that `run` runs, with all covariances kept on the way."""
    record = Rehearsal()
    outputs = run(record)
    weights = [
        jnp.zeros(shape, compute_dtype(x.dtype))
        for shape, x in zip(record.weights, record.variances, strict=True)
    ]
    count = sum(map(_entries, weights))

    def along(place: Array) -> tuple:
        def program(amount: Array) -> tuple[list[Array], list[Array]]:
            joint = Joint(Direction(amount, place), list(weights))
            means = [x.moments()[0] for x in run(joint) if is_random(x)]
            return means, joint.weights

        return jax.jvp(program, (jnp.zeros(()),), (jnp.ones(()),), has_aux=True)

    means, slopes, weights = jax.vmap(along, out_axes=(None, 0, None), axis_name=_AXIS)(
        jnp.arange(count)
    )
    parts = [_flat(wide_array(t)) for t in slopes]
    rows = jnp.concatenate(parts, 1) if parts else jnp.zeros((count, 0))
    return Correlated(outputs, means, _sum_over_nodes(rows, rows, weights))


@jax.custom_jvp
def _deviating(mean: Array, start: ArrayLike, amount: Array, place: Array) -> Array:
    """The mean, one entry of which moves with the amount: the entries are numbered from `start`."""
    return mean


@_deviating.defjvp
def _deviating_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    mean, start, _, place = primals
    unit = (start + jnp.arange(mean.size) == place).astype(mean.dtype).reshape(mean.shape)
    return mean, tangents[0] + tangents[2].astype(mean.dtype) * unit


@jax.custom_jvp
def _held(x: Array, mean: Array) -> Array:
    """x, which does not move with the deviations that `mean` moves with; yet with all else."""
    return x


@_held.defjvp
def _held_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Any]:
    return primals[0], zero_from_primal(primals[0], symbolic_zeros=True)


@jax.custom_jvp
def _elementwise(x: Array, y: Array, weights: list[Array]) -> Array:
    """Cov(x_i, y_i). It is a derivative's to say: without one there is no noise in x and y."""
    return wide_array(jnp.zeros_like(x))


@_elementwise.defjvp
def _elementwise_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    out = wide_array(jnp.zeros(primals[0].size, primals[0].dtype))
    one, two = (_rows(t) for t in tangents[:2])
    for weight, a, b in _by_node(one, two, primals[2]):
        out = out + (_weighted(weight, a) * b).sum(0)
    out = out.reshape(primals[0].shape)
    return out, zero_from_primal(out, symbolic_zeros=True)


@jax.custom_jvp
def _matrix(x: Array, y: Array, weights: list[Array]) -> Array:
    """Cov(x_i, y_j)."""
    return wide_array(jnp.zeros((x.size, y.size), x.dtype))


@_matrix.defjvp
def _matrix_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    one, two = (_rows(t) for t in tangents[:2])
    out = _sum_over_nodes(one, two, primals[2])
    return out, zero_from_primal(out, symbolic_zeros=True)


def _rows(tangent: Array) -> Array:
    """The derivatives along all deviations, one a row."""
    return _flat(lax.all_gather(wide_array(tangent), _AXIS))


def _flat(rows: Array) -> Array:
    """One vector a row, of which there may be none."""
    return rows.reshape(rows.shape[0], math.prod(rows.shape[1:]))


def _entries(weight: Array) -> int:
    return weight.shape[0] * weight.shape[1]


def _by_node(one: Array, two: Array, weights: list[Array]) -> Iterator[tuple[Array, Array, Array]]:
    start = 0
    for weight in weights:
        stop = start + _entries(weight)
        yield weight, one[start:stop], two[start:stop]
        start = stop


def _weighted(weight: Array, rows: Array) -> Array:
    if weight.ndim == 2:
        return weight.reshape(-1, 1) * rows
    return product(weight, rows.reshape(*weight.shape[:2], -1)).reshape(rows.shape)


def _sum_over_nodes(one: Array, two: Array, weights: list[Array]) -> Array:
    out = jnp.zeros((one.shape[1], two.shape[1]), one.dtype)
    for weight, a, b in _by_node(one, two, weights):
        out = out + product(_weighted(weight, a).T, b)
    return out
