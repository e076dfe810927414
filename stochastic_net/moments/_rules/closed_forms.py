"""Closed forms of one elementwise operation on a Gaussian."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from stochastic_net._types import Array
from stochastic_net.moments._integrals import kink
from stochastic_net.moments._integrals.precision import Form, Moments
from stochastic_net.moments._integrals.quadrature import Function, expectation
from stochastic_net.moments._integrals.tanh import hyperbolic_tangent
from stochastic_net.moments._program.values import Value, is_random

# from an equation's parameters and its operands, of which one is random
Find = Callable[[dict[str, Any], list[Value]], Form | None]


_FARTHEST = 14.0  # deviations that a quadrature may look at
_LEGENDRE = np.polynomial.legendre.leggauss(24)


def square(mean: Array, var: Array) -> Moments:
    """X^2."""
    return mean * mean + var, 2 * var * (2 * mean * mean + var)


def exponential(mean: Array, var: Array) -> Moments:
    """e^X: log-normal."""
    out = jnp.exp(mean + var / 2)
    return out, out * out * jnp.expm1(var)


def exponential_less_one(mean: Array, var: Array) -> Moments:
    """e^X - 1."""
    return jnp.expm1(mean + var / 2), exponential(mean, var)[1]


def wave(own: Callable[[Array], Array], other: Callable[[Array], Array]) -> Form:
    """sin X, or cos X with the two exchanged: Var = (1 - e^-v) ((1 - e^-v) / 2 + e^-v cos(m)^2)."""

    def closed(mean: Array, var: Array) -> Moments:
        gap = -jnp.expm1(-var)
        spread = gap * (gap / 2 + jnp.exp(-var) * jnp.square(other(mean)))
        return jnp.exp(-var / 2) * own(mean), spread

    return closed


def hyperbolic(own: Callable[[Array], Array], sign: float) -> Form:
    """cosh X, with sign 1, or sinh X, with -1: Var = (e^v - 1) (e^v cosh(2 m) - sign) / 2.

    Of cosh the second factor is (e^v - 1) cosh(2 m) + 2 sinh(m)^2.
    """

    def closed(mean: Array, var: Array) -> Moments:
        gap, double = jnp.expm1(var), jnp.cosh(2 * mean)
        rest = 2 * jnp.square(jnp.sinh(mean)) if sign > 0 else double + 1
        return jnp.exp(var / 2) * own(mean), gap * (gap * double + rest) / 2

    return closed


def logistic(mean: Array, var: Array) -> Moments:
    """1 / (1 + e^-X), by quadrature from the side where it is small: 1 less it has no digits."""
    small, spread = expectation(jax.nn.sigmoid, jnp.where(mean < 0, mean, -mean), var)
    return jnp.where(mean < 0, small, 1 - small), spread


def error_function(mean: Array, var: Array) -> Moments:
    r"""erf X, by Plackett's identity.

    With z^2 = 2 m^2 / (1 + 2 v) and sin a = 2 v / (1 + 2 v),

      E = erf(m / sqrt(1 + 2 v)),    Var = (2 / pi) int_0^a exp(-z^2 / (1 + sin t)) dt.

    The nodes are denser at a, where the integrand is largest.
    """
    wide = 1 + 2 * var
    square = 2 * mean * (mean / wide)
    end = jnp.arctan2(2 * var, jnp.sqrt(1 + 4 * var))
    place, weight = ((x + y) / 2 for x, y in zip(_LEGENDRE, (1, 0), strict=True))
    total = jnp.zeros_like(mean)
    for p, w in zip(place.astype(mean.dtype), weight.astype(mean.dtype), strict=True):
        height = jnp.exp(-square / (1 + jnp.sin(end * (1 - p * p))))
        total = total + 2 * p * w * height
    return lax.erf(mean / jnp.sqrt(wide)), (2 / np.pi) * end * total


def step(mean: Array, var: Array) -> Moments:
    """The sign of X."""
    above, below = kink.positive_part(mean, var), kink.positive_part(-mean, var)
    return above - below, 4 * above * below


def power(exponent: float) -> Form:
    """X^k for an X that keeps its sign, as a log-normal of the same mean and variance.

    E X^k = m^k (1 + c)^{k (k - 1) / 2} and Var = (E X^k)^2 ((1 + c)^{k^2} - 1) with c = v / m^2: a
    Gaussian has no moments of 1 / X or log X, for it is not positive, and what is divided by is.
    """

    @jax.jit  # traced once
    def closed(mean: Array, var: Array) -> Moments:
        growth = jnp.log1p(var / jnp.square(mean))
        size = mean**exponent if exponent % 1 else lax.integer_pow(mean, int(exponent))
        out = size * jnp.exp(0.5 * exponent * (exponent - 1) * growth)
        return out, jnp.square(out) * jnp.expm1(exponent * exponent * growth)

    return closed


def logarithm(mean: Array, var: Array) -> Moments:
    """log X for a positive X, as a log-normal of the same mean and variance."""
    growth = jnp.log1p(var / jnp.square(mean))
    return jnp.log(mean) - growth / 2, growth


def positive(function: Function, edge: float, beyond: Form) -> Form:
    """function(X) for X - edge > 0: as a log-normal where it may pass the edge, else as it is."""

    def closed(mean: Array, var: Array) -> Moments:
        inside = mean - edge > _FARTHEST * jnp.sqrt(var)
        near = expectation(
            function, jnp.where(inside, mean, 1 + edge), jnp.where(inside, var, 1e-4)
        )
        far = beyond(jnp.where(inside, 1 + edge, mean) - edge, var)
        return jnp.where(inside, near[0], far[0]), jnp.where(inside, near[1], far[1])

    return closed


def whole_power(exponent: int) -> Form:
    """X^n, by sums whose terms have one sign.

    With M_j = E X^j = m M_(j-1) + (j - 1) v M_(j-2),

      Var X^n = sum_(k=1)^n v^k / k! (n! / (n - k)! M_(n-k))^2,

    the squares of its coefficients on the Hermite polynomials.
    """
    if exponent < 0:
        return power(exponent)
    if exponent == 2:
        return square

    def closed(mean: Array, var: Array) -> Moments:
        raw = [jnp.ones_like(mean), mean]
        for j in range(2, exponent + 1):
            raw.append(mean * raw[-1] + (j - 1) * var * raw[-2])
        spread, weight = jnp.zeros_like(var), jnp.ones_like(var)
        for k in range(1, exponent + 1):
            weight = weight * ((exponent - k + 1) ** 2 / k * var)
            spread = spread + weight * raw[exponent - k] * raw[exponent - k]
        return raw[exponent], spread

    return closed


def moved(closed: Form, scale: Array | float, shift: Array | float) -> Form:
    """scale * what `closed` is of + shift."""

    def form(mean: Array, var: Array) -> Moments:
        a, b = (jnp.asarray(x, mean.dtype) for x in (scale, shift))
        mean, var = closed(mean, var)
        return a * mean + b, a * a * var

    return form


def _over(_: dict[str, Any], operands: list[Any]) -> Form:
    """c / X."""
    return moved(power(-1.0), operands[0], 0.0)


def _to_the(_: dict[str, Any], operands: list[Any]) -> Form | None:
    """X^c for one number c that is known and no integer."""
    exponent = operands[1]
    if is_random(exponent) or isinstance(exponent, jax.core.Tracer) or np.ndim(exponent):
        return None
    c = float(exponent)
    return positive(lambda u: u**c, 0.0, power(c)) if c % 1 else None


def _always(form: Form) -> Find:
    return lambda params, operands: form


CLOSED: dict[str, Find] = {
    "abs": _always(kink.absolute),
    "cos": _always(wave(jnp.cos, jnp.sin)),
    "cosh": _always(hyperbolic(jnp.cosh, 1.0)),
    "erf": _always(error_function),
    "exp": _always(exponential),
    "expm1": _always(exponential_less_one),
    "div": _over,
    "integer_pow": lambda params, _: whole_power(params["y"]),
    "log": _always(logarithm),
    "log1p": _always(positive(jnp.log1p, -1.0, logarithm)),
    "log2": _always(moved(logarithm, 1 / np.log(2), 0.0)),
    "logistic": _always(logistic),
    "one_minus_square": _always(moved(square, -1.0, 1.0)),
    "pow": _to_the,
    "rsqrt": _always(power(-0.5)),
    "sign": _always(step),
    "sin": _always(wave(jnp.sin, jnp.cos)),
    "sinh": _always(hyperbolic(jnp.sinh, -1.0)),
    "sqrt": _always(power(0.5)),
    "square": _always(square),
    "tanh": _always(hyperbolic_tangent),
}
