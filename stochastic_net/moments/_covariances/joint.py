r"""Means that know their noise: what `covariance="full"` runs the program on.

As in `_program.tape`, every value is linear in the deviations D of the nodes before it,

  X = E X + sum_n T_n D_n,    Cov(X, Y) = sum_n T_n^T R_n U_n,    R_n = Cov(D_n, D_n).

The slopes T are the derivative of the program of means, which JAX takes along every D at once, and
whose rules so may ask for covariances on the way: what a node makes of its operand depends on them.
R_n is diagonal but for what two functions of correlated X_i, X_j share by their curvature,

  Cov(D_i, D_j) = E f''(X_i) E f''(X_j) Cov(X_i, X_j)^2 / 2 + ...    (Mehler's series).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from stochastic_net._types import Array
from stochastic_net.moments._integrals.precision import Moments, not_negative, wide_array
from stochastic_net.moments._program.tape import Run, Shared, Tape
from stochastic_net.moments._program.values import Value, is_random

_AXIS = "a deviation of stochastic_net.moments"


class Rehearsal(Tape):
    """A run that meets the nodes a `Joint` one will, for their shapes."""

    keeps_covariance = True


class Joint(Tape):
    """A run whose means are differentiated by all deviations; the covariances of these, so far."""

    keeps_covariance = True

    def __init__(self, deviations: list[Array]) -> None:
        self._next = iter(deviations)
        self.weights: tuple[Array, ...] = ()  # of each node: R_n, or its diagonal

    def enter(
        self, mean: Array, var: Array, rest: Callable[[], Array], shared: Shared | None
    ) -> Moments:
        """The mean with its own deviation; of its variance that is what operands do not explain."""
        mean = mean + next(self._next)  # first: a derivative by what is outside must not answer
        own = not_negative(wide_array(var - self.covariance(mean, mean))).reshape(-1)
        if shared is not None and own.size > 1:
            off = shared(self.matrix)
            own = jnp.where(jnp.eye(own.size, dtype=bool), jnp.diag(own), off)
        self.weights += (own,)
        return mean, self.covariance(mean, mean)

    def covariance(self, x: Array, y: Array) -> Array:
        """Element by element, for the means of two values of one shape."""
        return _elementwise(x, y, self.weights).astype(x.dtype)

    def matrix(self, x: Array, y: Array) -> Array:
        """Of each element of one with each of the other."""
        return _matrix(x.reshape(-1), y.reshape(-1), self.weights)

    def variance(self, mean: Array, var: Array) -> Callable[[], Array]:
        """That of all it depends on, when it is asked for."""
        return lambda: self.covariance(mean, mean)


class Correlated(NamedTuple):
    """The outputs of a program, and the covariance of all elements of those that are random."""

    outputs: list[Value]
    means: list[Array]
    covariance: Array


def correlated(run: Run) -> Correlated:
    """The program that `run` runs, with all covariances kept on the way."""
    record = Rehearsal()
    outputs = run(record)
    zeros = [jnp.zeros_like(x) for x in record.variances]
    count = sum(x.size for x in zeros)

    def program(deviations: list[Array]) -> tuple[list[Array], tuple[Array, ...]]:
        joint = Joint(deviations)
        means = [x.moments()[0] for x in run(joint) if is_random(x)]
        return means, joint.weights

    def along(place: Array) -> tuple:
        return jax.jvp(program, (zeros,), (_unit(place, zeros),), has_aux=True)

    means, slopes, weights = jax.vmap(along, out_axes=(None, 0, None), axis_name=_AXIS)(
        jnp.arange(count)
    )
    rows = jnp.concatenate([wide_array(t).reshape(count, -1) for t in slopes], 1)
    return Correlated(outputs, means, _sum_over_nodes(rows, rows, weights))


def _unit(place: Array, like: list[Array]) -> list[Array]:
    """One at that place of all the entries, 0 elsewhere."""
    units, start = [], 0
    for x in like:
        units.append((jnp.arange(start, start + x.size) == place).astype(x.dtype).reshape(x.shape))
        start += x.size
    return units


@jax.custom_jvp
def _elementwise(x: Array, y: Array, weights: tuple[Array, ...]) -> Array:
    """Cov(x_i, y_i). It is a derivative's to say: without one there is no noise in x and y."""
    return wide_array(jnp.zeros_like(x))


@_elementwise.defjvp
def _elementwise_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    out = wide_array(jnp.zeros(primals[0].size, primals[0].dtype))
    one, two = (_rows(t) for t in tangents[:2])
    for weight, a, b in _by_node(one, two, primals[2]):
        out = out + (_weighted(weight, a) * b).sum(0)
    out = out.reshape(primals[0].shape)
    return out, jnp.zeros_like(out)


@jax.custom_jvp
def _matrix(x: Array, y: Array, weights: tuple[Array, ...]) -> Array:
    """Cov(x_i, y_j)."""
    return wide_array(jnp.zeros((x.size, y.size), x.dtype))


@_matrix.defjvp
def _matrix_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    one, two = (_rows(t) for t in tangents[:2])
    out = _sum_over_nodes(one, two, primals[2])
    return out, jnp.zeros_like(out)


def _rows(tangent: Array) -> Array:
    """The derivatives along all deviations, one a row."""
    rows = lax.all_gather(wide_array(tangent), _AXIS)
    return rows.reshape(rows.shape[0], -1)


def _by_node(one: Array, two: Array, weights: tuple[Array, ...]):
    start = 0
    for weight in weights:
        stop = start + weight.shape[0]
        yield weight, one[start:stop], two[start:stop]
        start = stop


def _weighted(weight: Array, rows: Array) -> Array:
    return weight @ rows if weight.ndim == 2 else weight[:, None] * rows


def _sum_over_nodes(one: Array, two: Array, weights: tuple[Array, ...]) -> Array:
    out = jnp.zeros((one.shape[1], two.shape[1]), one.dtype)
    for weight, a, b in _by_node(one, two, weights):
        out = out + _weighted(weight, a).T @ b
    return out
