"""The larger of two (Clark 1961, Operations Research 9, 145-162), without cancellation."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from stochastic_net._types import Array
from stochastic_net.moments._integrals.kink import packed_relu, positive_part, relu
from stochastic_net.moments._integrals.precision import Moments, rounded, wide
from stochastic_net.moments._program.tape import covariance, node
from stochastic_net.random._fence import both, once


def larger(x: Moments, y: Moments) -> Moments:
    """E and the variance of max(X, Y), for independent X and Y where no covariance is kept.

    With `high` the one of the larger mean, max = high + relu(low - high), and for D = low - high,
    Cov(high, relu(D)) = Cov(high, D) P(D > 0) (Stein's lemma).
    """
    like, both_vary = x[0], covariance(x[0], y[0])
    x, y = wide(x), wide(y)
    swap = y[0] > x[0]
    high = tuple(jnp.where(swap, b, a) for a, b in zip(x, y, strict=True))
    low = tuple(jnp.where(swap, a, b) for a, b in zip(x, y, strict=True))
    gap, spread = low[0] - high[0], jnp.maximum(low[1] + high[1] - 2 * both_vary, 0)
    more, more_var = packed_relu(gap, spread)
    share = once(positive_part(gap, spread))
    var = jnp.maximum(high[1] + more_var - 2 * (high[1] - both_vary) * share, 0)
    kept = jnp.square(1 - share) * high[1] + jnp.square(share) * low[1]
    kept = kept + 2 * share * (1 - share) * both_vary
    out_mean, out_var = rounded(both(high[0] + more, var), like)

    def shared(matrix: Callable) -> Array:
        bend = jax.jvp(lambda v: relu(gap, v)[0], (spread,), (jnp.ones_like(spread),))[1]
        bend = bend.reshape(-1)
        return 2 * bend[:, None] * bend[None] * jnp.square(matrix(gap, gap))

    return node(out_mean, out_var, lambda: (var - kept).astype(like.dtype), shared)
