r"""The sample variance of independent Gaussians: what layer, group and instance norm divide by.

S = sum_j (x_j - mean x)^2 / N is a quadratic form, of which

  E S = (sum (m_j - mean m)^2 + (1 - 1/N) sum v_j) / N,
  Var S = (4 sum v_j (m_j - mean m)^2 + 2 (1 - 2/N) sum v_j^2 + 2 (sum v_j)^2 / N^2) / N^2.

Networks write it as mean(x^2) - mean(x)^2; taken for independent, the two terms have a variance
that can be a thousand times that of their difference.
"""

import math

import jax.numpy as jnp

from stochastic_net._types import Array
from stochastic_net.moments._precision import rounded, wide
from stochastic_net.moments._tape import Moments, node
from stochastic_net.moments._values import Line


def spread(line: Line, axes: tuple[int, ...]) -> Moments:
    """E and Var of the sample variance of a line over `axes`."""
    like, _ = line.moments()
    mean, var = wide(line.moments())
    n = math.prod(mean.shape[axis] for axis in axes)
    away = jnp.square(mean - mean.mean(axes, keepdims=True))
    total, shifted = var.sum(axes), (var * away).sum(axes)
    first = (away.sum(axes) + (1 - 1 / n) * total) / n
    second = 2 * (1 - 2 / n) * jnp.square(var).sum(axes) + 2 * jnp.square(total / n)
    out = rounded((first, (4 * shifted + second) / n**2), like)
    return node(*out, lambda: (second / n**2).astype(like.dtype))


def of_centred(var: Array, axes: tuple[int, ...]) -> Array:
    """Var (x_i - mean x) = (1 - 2/N) v_i + sum_j v_j / N^2."""
    n = math.prod(var.shape[axis] for axis in axes)
    return (1 - 2 / n) * var + var.sum(axes, keepdims=True) / n**2
