"""The larger of two (Clark 1961, Operations Research 9, 145-162), without cancellation.

With `high` the one of the larger mean, max = high + relu(low - high), and for D = low - high,
Cov(high, relu(D)) = Cov(high, D) P(D > 0) (Stein's lemma).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from stochastic_net._types import Array
from stochastic_net.moments._integrals.kink import above, bent, packed_relu, positive_part, relu
from stochastic_net.moments._integrals.precision import Moments, rounded, wide
from stochastic_net.moments._integrals.tail import standard
from stochastic_net.moments._program.tape import covariance, node, tape
from stochastic_net.random._fence import both, once


def larger(x: Moments, y: Moments) -> Moments:
    """E and the variance of max(X, Y), for independent X and Y where no covariance is kept."""
    like, both_vary = x[0], covariance(x[0], y[0])
    x, y = wide(x), wide(y)
    if tape.get() is None:
        return rounded(_independent(x, y), like)
    pair = in_order(x, y, both_vary)
    out, share = _by_parts(pair, both_vary)
    return with_gap(pair, out, share, both_vary, lambda v: relu(pair.gap, v)[0], like)


class Pair(NamedTuple):
    """The one of the larger mean and the other, and E and Var of their difference."""

    high: Moments
    low: Moments
    gap: Array
    spread: Array


def in_order(x: Moments, y: Moments, both_vary: Array | float) -> Pair:
    """The pair of two that have this covariance."""
    swap = y[0] > x[0]
    high, low = (
        (jnp.where(swap, b[0], a[0]), jnp.where(swap, b[1], a[1])) for a, b in ((x, y), (y, x))
    )
    return Pair(high, low, low[0] - high[0], jnp.maximum(low[1] + high[1] - 2 * both_vary, 0))


def _by_parts(pair: Pair, both_vary: Array | float) -> tuple[Moments, Array]:
    """E and Var, and P(D > 0): for where their derivatives go into many passes."""
    high, _, gap, spread = pair
    share = once(positive_part(gap, spread))
    return of_parts(high, packed_relu(gap, spread), share, both_vary), share


def of_parts(high: Moments, more: Moments, share: Array, both_vary: Array | float) -> Moments:
    """E and Var of high + f(D), from those of f(D) and share = E f'(D)."""
    var = jnp.maximum(high[1] + more[1] - 2 * (high[1] - both_vary) * share, 0)
    return both(high[0] + more[0], var)


def with_gap(
    pair: Pair,
    out: Moments,
    share: Array,
    both_vary: Array | float,
    bent: Callable[[Array], Array],
    like: Array,
) -> Moments:
    """The node of high + f(D) with the moments `out`, where `bent` is E f(D) of Var D."""
    high, low, gap, spread = pair
    kept = jnp.square(1 - share) * high[1] + jnp.square(share) * low[1]
    kept = kept + 2 * share * (1 - share) * both_vary

    def shared(matrix: Callable) -> Array:
        bend = jax.jvp(bent, (spread,), (jnp.ones_like(spread),))[1].reshape(-1)
        return 2 * bend[:, None] * bend[None] * jnp.square(matrix(gap, gap))

    return node(*rounded(out, like), lambda: (out[1] - kept).astype(like.dtype), shared)


@jax.custom_jvp
@jax.jit  # traced once
def _independent(x: Moments, y: Moments) -> Moments:
    """The same in one pass."""
    high, _, gap, spread = in_order(x, y, 0.0)
    unit = standard(gap, spread)
    return of_parts(high, bent(unit, gap, spread), above(unit, gap), 0.0)


@_independent.defjvp  # pyrefly: ignore[bad-argument-type]
def _independent_jvp(primals, tangents):
    return jax.jvp(lambda x, y: _by_parts(in_order(x, y, 0.0), 0.0)[0], primals, tangents)
