r"""The integrals of softmax on an even grid of s, all places at once.

To the left of the grid an integrand is a e^s + b e^{2 s}: its sum there is known from the first two
places, which take it on. The rule then is exact to what falls off like e^{3 s}.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from stochastic_net._types import Array
from stochastic_net.moments._integrals.laplace_grid import STEP, laplace_grid, steps
from stochastic_net.moments._integrals.precision import product
from stochastic_net.moments._integrals.softmax_rest import likeliest, second_of_rest
from stochastic_net.random._elementary import exp, log1p

_LEFT, _RIGHT = 5.5, 2.9  # of s, to either side of where -log S lies


def reach(places: int) -> float:
    """The width of where log S lies, on a grid of so many places."""
    return (places - 1) * STEP - _LEFT - _RIGHT


def _missed(power: int) -> np.ndarray:
    """Weights of the first two places: the sum of STEP (-n STEP)^power over the n-th to their left.

    With r = e^{-STEP} the integrand there is a r^n + b r^{2 n}, and b is (f_1 - f_0 / r) over
    r^{-2} - 1 / r.
    """
    n, ratio = np.arange(1, 400), math.exp(-STEP)
    one, two = (STEP * ((-n * STEP) ** power * ratio ** (k * n)).sum() for k in (1, 2))
    share = (two - one) / (ratio**-2 - 1 / ratio)
    return np.array([one - share / ratio, share])


_MISSED = [_missed(power) for power in range(3)]


def by_grid(mean: Array, var: Array, low: Array, high: Array, places: int) -> tuple[Array, ...]:
    """The integrals over the last axis, for log S between `low` and `high`."""
    dtype, start = mean.dtype, -high - _LEFT
    gamma = jnp.asarray(np.euler_gamma, dtype)
    centre = gamma + lax.stop_gradient(jax.nn.logsumexp(mean, -1, keepdims=True))
    away, t1, t2 = laplace_grid(3, mean + start, var, places)
    log_t0 = log1p(-jnp.minimum(away, 1 - jnp.finfo(dtype).eps))
    s = steps(start, np.arange(places))
    inside = s <= _RIGHT - low[..., None]  # beyond, 1 - T_0 is rounded to more than T_0
    others = jnp.where(inside, exp(log_t0.sum(-2, keepdims=True) - log_t0), 0)
    one, two = others * t1, others * t2
    first, second = (
        _without_floor(product(x, w))
        for x, w in zip((one, two), _weights(places).astype(dtype), strict=True)
    )
    rest = second_of_rest(likeliest(mean, (-1,))[..., None], log_t0, t1, t2, (-2,))
    rest = product(jnp.where(inside, rest, 0), _weights(places)[1].astype(dtype))
    density = one.sum(-2)  # of U
    left = start + centre
    place = (s + centre[..., None])[..., 0, :]
    m0, m1, m2 = (product(density[..., :2], w.astype(dtype))[..., None] for w in _MISSED)
    u = STEP * (place * density).sum(-1, keepdims=True) + left * m0 + m1
    u2 = STEP * (jnp.square(place) * density).sum(-1, keepdims=True)
    u2 += left * (left * m0 + 2 * m1) + m2
    return first, second, rest, centre - gamma - u, u2 - u * u - math.pi**2 / 6


def _weights(places: int) -> np.ndarray:
    """Of the integrands of E p and of E p^2, which is b e^{2 s} to the left."""
    weights = np.full((2, places), STEP)
    weights[0, :2] += _MISSED[0]
    weights[1, 0] += STEP / math.expm1(2 * STEP)
    return weights


def _without_floor(moment: Array) -> Array:
    """0 for what the floor of our exponential (e^-87) leaves of a masked logit's probability."""
    return jnp.where(moment < 100 * jnp.finfo(moment.dtype).tiny, 0, moment)
