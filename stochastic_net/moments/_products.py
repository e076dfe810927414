"""Products of independent values: exact."""

from jax.extend.core import JaxprEqn
from jax.extend.core import primitives as p

from stochastic_net.moments._fold import fold_axes, running
from stochastic_net.moments._registry import register
from stochastic_net.moments._tape import Moments, node
from stochastic_net.moments._values import Value, gaussian, moments


def product(x: Moments, y: Moments) -> Moments:
    """E and Var of X Y for independent X and Y."""
    (mx, vx), (my, vy) = x, y
    return node(mx * my, mx * mx * vy + my * my * vx + vx * vy, lambda: vx * vy)


@register("exact", p.reduce_prod_p)
def reduce(eqn: JaxprEqn, operands: list[Value]) -> list[Value]:
    """Over the axes of the equation."""
    return [gaussian(*fold_axes(product, moments(operands[0]), eqn.params["axes"]))]


@register("exact", p.cumprod_p)
def cumulative(eqn: JaxprEqn, operands: list[Value]) -> list[Value]:
    """Along the axis of the equation."""
    return [gaussian(*running(product, moments(operands[0]), **eqn.params))]
