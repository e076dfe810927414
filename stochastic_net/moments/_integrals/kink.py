r"""Mean and variance of a Gaussian bent at 0: relu and abs.

For X ~ N(m, v), s = sqrt(v), t = |m| / s and the tail moments T_n = E max(Z - t, 0)^n,

  m < 0:   E relu = s T_1,       Var relu = v (T_2 - T_1^2),
  m >= 0:  E relu = m + s T_1,   Var relu = v (1 - T_2 - 2 t T_1 - T_1^2),

sums without cancellation (of at most two bits, near m = 0). The derivatives are

  dE/dm = P(X > 0),   dE/dv = phi(t) / (2 s),
  dVar/dm = 2 E relu P(X < 0),   dVar/dv = P(X > 0) - E relu phi(t) / s.

Where v = 0 the function itself is applied; the derivatives by v are then those for v -> 0 where
they have a limit, and 0 at the kink.

Source: Frey & Hinton (1999, Neural Computation 11, 193-213); the forms that do not cancel are ours.
"""

import jax
import jax.numpy as jnp

from stochastic_net._types import Array
from stochastic_net.moments._integrals.flat import flatly
from stochastic_net.moments._integrals.precision import Moments
from stochastic_net.moments._integrals.tail import Standard, standard
from stochastic_net.random._fence import both


@flatly
def relu(mean: Array, var: Array) -> Moments:
    """E and Var of max(X, 0)."""
    return _relu(mean, var)


@jax.custom_jvp
@jax.jit  # traced once
def _relu(mean: Array, var: Array) -> Moments:
    return both(*bent(standard(mean, var), mean, var))


def bent(x: Standard, mean: Array, var: Array) -> Moments:
    """E and Var of max(X, 0), in the pass of who asks."""
    below = mean < 0
    out_mean = jnp.where(below, 0.0, mean) + x.scale * x.first
    less = x.second + x.first * (2 * x.t + x.first)
    inner = jnp.where(below, x.second - x.first * x.first, 1 - less)
    return out_mean, jnp.where(x.point, jnp.where(mean > 0, var, 0.0), var * inner)


def _slopes(mean: Array, var: Array, out_mean: Array) -> tuple[Moments, Moments]:
    """The derivatives of E and Var by the mean, and by the variance."""
    x = standard(mean, var)
    over, under = positive_part(mean, var), positive_part(-mean, var)
    var_by_var = over - x.density * (x.first + jnp.where(mean < 0, 0.0, x.t))
    return (over, 2 * out_mean * under), (0.5 * x.density * x.inverse, var_by_var)


@_relu.defjvp  # pyrefly: ignore[bad-argument-type]
def _relu_jvp(primals, tangents):
    mean, var = primals
    out_mean, out_var = _relu(mean, var)
    by_mean, by_var = _slopes(mean, var, out_mean)
    return (out_mean, out_var), _moved(by_mean, by_var, tangents)


@jax.custom_jvp
def packed_relu(mean: Array, var: Array) -> Moments:
    """The same for where its derivatives go into many passes: each is made once."""
    return _relu(mean, var)


@packed_relu.defjvp
def _packed_relu_jvp(primals, tangents):
    mean, var = primals
    out_mean, out_var = _relu(mean, var)
    by_mean, by_var = (both(*x) for x in _slopes(mean, var, out_mean))
    return (out_mean, out_var), _moved(by_mean, by_var, tangents)


def _moved(by_mean: Moments, by_var: Moments, tangents: tuple[Array, Array]) -> Moments:
    first, second = (
        a * tangents[0] + b * tangents[1] for a, b in zip(by_mean, by_var, strict=True)
    )
    return first, second


@jax.custom_jvp
def positive_part(mean: Array, var: Array) -> Array:
    """P(X > 0), with half the mass of a point at 0."""
    return above(standard(mean, var), mean)


def above(x: Standard, mean: Array) -> Array:
    """The same, in the pass of who asks."""
    near = jnp.where(x.point & (mean == 0), 0.5, x.beyond)
    return jnp.where(mean < 0, near, 1 - near)


@positive_part.defjvp
def _positive_part_jvp(primals, tangents):
    mean, var = primals
    dm, dv = tangents
    x = standard(mean, var)
    a = jnp.where(mean < 0, -x.t, x.t)
    peak = x.density * x.inverse
    by_mean, by_var = both(peak, -0.5 * a * peak * x.inverse)
    return positive_part(mean, var), by_mean * dm + by_var * dv


def absolute(mean: Array, var: Array) -> Moments:
    """E and Var of |X|: at |m| / s = t, |m| + 2 s T_1 and v (1 - 4 t T_1 - 4 T_1^2)."""
    up_mean, up_var = relu(mean, var)
    down_mean, down_var = relu(-mean, var)
    return up_mean + down_mean, up_var + down_var - 2 * up_mean * down_mean
