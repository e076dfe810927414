"""Products of independent values: exact."""

from collections.abc import Callable

from jax.extend.core import JaxprEqn
from jax.extend.core import primitives as p

from stochastic_net._types import Array
from stochastic_net.moments._integrals.fold import fold_axes, running
from stochastic_net.moments._integrals.precision import Moments
from stochastic_net.moments._program.registry import register
from stochastic_net.moments._program.tape import covariance, node
from stochastic_net.moments._program.values import Value, gaussian, moments


def product(x: Moments, y: Moments, known: Array | float = 0.0) -> Moments:
    """E and Var of X Y for Gaussian X and Y (Isserlis), of a covariance known or kept."""
    (mx, vx), (my, vy) = x, y
    c = covariance(mx, my) + known
    rest = vx * vy + c * c

    def shared(matrix: Callable) -> Array:
        return matrix(mx, mx) * matrix(my, my) + matrix(mx, my) * matrix(my, mx)

    var = mx * mx * vy + my * my * vx + rest
    if isinstance(c, float) and c == 0.0:
        return node(mx * my, var, lambda: rest, shared)
    return node(mx * my + c, var + 2 * mx * my * c, lambda: rest, shared)


@register("exact", p.reduce_prod_p)
def reduce(eqn: JaxprEqn, operands: list[Value]) -> list[Value]:
    """Over the axes of the equation."""
    return [gaussian(*fold_axes(product, moments(operands[0]), eqn.params["axes"]))]


@register("exact", p.cumprod_p)
def cumulative(eqn: JaxprEqn, operands: list[Value]) -> list[Value]:
    """Along the axis of the equation."""
    return [gaussian(*running(product, moments(operands[0]), **eqn.params))]
