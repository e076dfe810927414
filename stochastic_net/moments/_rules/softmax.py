r"""Softmax, log-softmax and log-sum-exp of independent Gaussian logits, as nodes of a program.

A published mean-field form is wrong by 0.06 in the mean at logits of deviation 3 (Daunizeau 2017,
arXiv:1703.00091), the log-normal ratio by a factor of 400 in the variance.

In a jaxpr a softmax has no name: it is e / sum(e) for e = exp(x - stop_gradient(max(x))). A shift
by a `stop_gradient` of the largest is taken as the constant that its author says it may be.
"""

import jax.numpy as jnp

from stochastic_net._types import Array
from stochastic_net.moments._integrals.laplace import deviation
from stochastic_net.moments._integrals.precision import Moments, rounded, wide
from stochastic_net.moments._integrals.softmax import integrals
from stochastic_net.moments._integrals.softmax_rest import likeliest
from stochastic_net.moments._program.tape import node
from stochastic_net.moments._program.values import Line

_SMALL = 0.05  # deviations below which the variance of p is that of its linear part
_SURE = 0.6  # p above which 1 - p has the digits
_SMALL_SUM = 0.15  # and that of log S of its quadratic part


def softmax_node(line: Line, axes: tuple[int, ...]) -> Moments:
    """The softmax of a line, as a node of the program."""
    like, _ = line.moments()
    mean, var = wide(line.moments())
    found = integrals(mean, var, axes)
    p = found.first
    sure = likeliest(mean, axes) & (p > _SURE)
    others = jnp.where(sure, 0, p)
    rest = others.sum(axes, keepdims=True)  # 1 - p where sure
    linear = _linear(others, var, axes)
    explained = jnp.where(
        sure, rest * rest * var + linear, (1 - 2 * p) * var + _linear(p, var, axes)
    )
    explained = p * p * jnp.maximum(explained, 0)
    small = deviation(var).max(axes, keepdims=True) < _SMALL
    spread = jnp.where(sure, found.rest - rest * rest, found.second - p * p)
    out = jnp.where(small, explained, jnp.maximum(spread, 0.0))
    return node(*rounded((p, out), like), lambda: (out - explained).astype(like.dtype))


class LogSumExp:
    """log sum exp of a line over `axes`: its moments, and those of the line less it."""

    def __init__(self, line: Line, axes: tuple[int, ...]) -> None:
        self.line, self.axes = line, axes
        self._like, _ = line.moments()
        self._mean, self._var = wide(line.moments())
        found = integrals(self._mean, self._var, axes)
        self._p, self._log_sum = found.first, found.log_sum
        self._explained = _linear(self._p, self._var, axes)
        small = deviation(self._var).max(axes, keepdims=True) < _SMALL_SUM
        near = self._explained + _quadratic(self._p, self._var, axes)
        self._log_sum_var = jnp.where(small, near, jnp.maximum(found.log_sum_var, self._explained))

    def node(self) -> Moments:
        """Of log S, without the axes."""
        mean, var = self._log_sum.squeeze(self.axes), self._log_sum_var.squeeze(self.axes)
        return node(*rounded((mean, var), self._like), lambda: self._rest().squeeze(self.axes))

    def log_softmax(self) -> Moments:
        """Of x - log S: Cov(x_i, log S) = v_i E p_i, by Stein's lemma."""
        var = jnp.maximum(self._var * (1 - 2 * self._p) + self._log_sum_var, 0.0)
        rest = jnp.broadcast_to(self._rest(), var.shape)
        return node(*rounded((self._mean - self._log_sum, var), self._like), lambda: rest)

    def _rest(self) -> Array:
        return (self._log_sum_var - self._explained).astype(self._like.dtype)


def _linear(p: Array, var: Array, axes: tuple[int, ...]) -> Array:
    """sum_j p_j^2 v_j, the variance of log S that its slopes explain."""
    return (p * p * var).sum(axes, keepdims=True)


def _quadratic(p: Array, var: Array, axes: tuple[int, ...]) -> Array:
    """sum_ij H_ij^2 v_i v_j / 2 for the second derivatives H = diag(p) - p p^T."""
    linear = _linear(p, var, axes)
    own = (p * p * (1 - 2 * p) * var * var).sum(axes, keepdims=True)
    return 0.5 * jnp.maximum(own + linear * linear, 0.0)
