r"""The sample variance of independent Gaussians: what layer, group and instance norm divide by.

S = sum_j (x_j - mean x)^2 / N is a quadratic form, of which

  E S = (sum (m_j - mean m)^2 + (1 - 1/N) sum v_j) / N,
  Var S = (4 sum v_j (m_j - mean m)^2 + 2 (1 - 2/N) sum v_j^2 + 2 (sum v_j)^2 / N^2) / N^2.

Networks write it as mean(x^2) - mean(x)^2; taken for independent, the two terms have a variance
that can be a thousand times that of their difference. What is then divided by a function of S
varies with it,

  Cov(x_i - mean x, S) = 2 (v_i (m_i - mean m) - sum_j v_j (m_j - mean m) / N) / N,

which takes the radial direction out of a norm: without it one over 4 channels is 1.7 times too
wide.
"""

import math

import jax
import jax.numpy as jnp

from stochastic_net._types import Array
from stochastic_net.moments._integrals.precision import Moments, rounded, wide
from stochastic_net.moments._program.tape import covariance, keeps_covariance, node
from stochastic_net.moments._program.values import Line, Root, Value, moments
from stochastic_net.moments._rules.origins import is_divided, norm_scale
from stochastic_net.moments._rules.products import product
from stochastic_net.random._fence import once


def spread(line: Line, axes: tuple[int, ...]) -> Moments:
    """E and Var of the sample variance of a line over `axes`."""
    like, _ = line.moments()
    mean, var = wide(line.moments())
    if keeps_covariance():
        centred = mean - mean.mean(axes, keepdims=True)
        own = (centred, covariance(centred, centred) + jnp.zeros_like(mean))
        squares = product(own, own)
        return rounded((squares[0].mean(axes), squares[1].mean(axes)), like)
    n = math.prod(mean.shape[axis] for axis in axes)
    away = jnp.square(mean - mean.mean(axes, keepdims=True))
    sums = [x.sum(axes) for x in (away, var, jnp.square(var), var * away)]
    first, var, rest = _of_sums(once(jnp.asarray(1 / n, mean.dtype)), *sums)
    return node(*rounded((first, var), like), lambda: rest.astype(like.dtype))


@jax.jit  # traced once
def _of_sums(part: Array, away: Array, total: Array, squares: Array, shifted: Array) -> tuple:
    """E S, Var S and its second order. `part` is 1 / N, which XLA is not to know: passes of numbers
    of the same shape then are the same for each N, and compiled once."""
    mean = part * total
    first = part * away + (1 - part) * mean
    second = 2 * (part * (1 - 2 * part)) * (part * squares) + 2 * jnp.square(part * mean)
    return first, 4 * part * (part * shifted) + second, second


def of_centred(var: Array, axes: tuple[int, ...]) -> Array:
    """Var (x_i - mean x) = (1 - 2/N) v_i + sum_j v_j / N^2."""
    n = math.prod(var.shape[axis] for axis in axes)
    return (1 - 2 / n) * var + var.sum(axes, keepdims=True) / n**2


def normalised(x: Value, y: Value) -> tuple[Moments, Moments, Array | float]:
    """The moments of two factors, and their covariance where they are those of a norm.

    One then is a line less its mean and the other a function of the line's sample variance, whose
    own variance is at least what its slope explains: no closed form may say less.
    """
    pairs = moments(x), moments(y)
    for index, (one, two) in enumerate(((x, y), (y, x))):
        scale = None if keeps_covariance() else norm_scale(two)
        if scale is not None and is_divided(one, scale):
            mean, var = rounded(scale.line.moments(), pairs[0][0])
            n = math.prod(mean.shape[axis] for axis in scale.axes)
            pull = var * (mean - mean.mean(scale.axes, keepdims=True))
            shared = 2 * (pull - pull.mean(scale.axes, keepdims=True)) / n
            factor, own = pairs[1 - index]
            wide_enough = factor, jnp.maximum(own, scale.spread() * jnp.square(factor))
            both = (pairs[0], wide_enough) if index == 0 else (wide_enough, pairs[1])
            return *both, scale.relative() * factor * shared
    return *pairs, 0.0


def as_independent(line: Line, axes: tuple[int, ...]) -> Line:
    """A line of independent elements whose differences vary as those of `line` do on average.

    With c_i = Var (x_i - mean x) and N > 2 that is sum_j Var (x_i - x_j) = N c_i + sum c, of
    variances v_i + v_j. It is `line` itself unless covariances are kept.
    """
    mean, _ = line.moments()
    n = math.prod(mean.shape[axis] for axis in axes)
    if not keeps_covariance() or n < 2:
        return line
    centred = mean - mean.mean(axes, keepdims=True)
    own = covariance(centred, centred) + jnp.zeros_like(mean)
    total = own.sum(axes, keepdims=True)
    if n == 2:
        return Line(Root(mean, total))
    return Line(Root(mean, jnp.maximum((n * own + total - total * n / (n - 1)) / (n - 2), 0)))
