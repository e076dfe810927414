"""Linear operations: exact on mean and variance of independent elements."""

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import Any, TypeGuard

import jax.numpy as jnp
from jax import lax
from jax.extend.core import JaxprEqn
from jax.extend.core import primitives as p

from stochastic_net._types import Array
from stochastic_net.moments._integrals.precision import Moments
from stochastic_net.moments._program.registry import refuse, register
from stochastic_net.moments._program.shifts import only_shifts
from stochastic_net.moments._program.tape import covariance, keeps_covariance, node
from stochastic_net.moments._program.values import (
    Elementwise,
    Line,
    Value,
    gaussian,
    is_random,
    later,
    moments,
    origin,
)
from stochastic_net.moments._rules.bounds import under, under_bound
from stochastic_net.moments._rules.origins import (
    Largest,
    Sum,
    norm_scale,
    squares_of_centred,
)
from stochastic_net.moments._rules.spread import spread
from stochastic_net.random._fence import fence_p


@register(
    "exact",
    *(p.reshape_p, p.transpose_p, p.broadcast_in_dim_p, p.slice_p, p.squeeze_p, p.rev_p),
    *(p.reduce_precision_p, p.device_put_p, p.sharding_constraint_p),
    *(p.reduce_sum_p, p.cumsum_p, p.reduce_window_sum_p, p.concatenate_p, p.pad_p),
    *(lax.split_p, lax.stack_p, lax.unstack_p, lax.tile_p),
)
def same_for_both(eqn: JaxprEqn, operands: list[Value]) -> list[Value]:
    """Each result is an operand's element or a sum of some: the operation acts on both moments."""
    if eqn.primitive is p.reduce_sum_p:
        place = squares_of_centred(operands[0], eqn.params["axes"])
        if place is not None:
            return [_sum_of_squares(*place)]
    apply, x = partial(eqn.primitive.bind, **eqn.params), operands[0]
    if eqn.primitive in _MOVING and (found := _largest(x)):
        largest: Any = x
        return [under_bound(largest, partial(_moved, eqn, apply, found))]
    if eqn.primitive is p.reduce_sum_p and isinstance(x, Elementwise) and x.exponential:
        return [later(partial(_of_both, apply, x), eqn, _origin(eqn, x))]  # for a softmax, never
    if eqn.primitive in _REPEATING and _is_scaled_root(x):
        how = (eqn.primitive, *((name, str(value)) for name, value in eqn.params.items()))
        return [Elementwise(dataclasses.replace(x.line, root=x.line.root.repeat(how, apply)))]
    means, variances = zip(*map(moments, operands), strict=True)
    if eqn.primitive.multiple_results:
        return list(map(gaussian, apply(*means), apply(*variances)))
    return [gaussian(apply(*means), apply(*variances), _origin(eqn, x))]


_REPEATING = (p.broadcast_in_dim_p, p.reshape_p)  # that keep what is known of their operand
_MOVING = (*_REPEATING, p.transpose_p, p.squeeze_p, p.slice_p, p.rev_p)


def _is_scaled_root(x: Value) -> TypeGuard[Elementwise]:
    """Whether it is a line of the same numbers everywhere, as a mean is of a sum."""
    if not isinstance(x, Elementwise) or x.function:
        return False
    return jnp.ndim(x.line.scale) == jnp.ndim(x.line.shift) == 0


def _largest(x: Value) -> Largest | None:
    """What x, or what it puts a bound on, is the largest of."""
    found = origin(under(x)) if isinstance(x, Elementwise) else None
    return found if isinstance(found, Largest) else None


def _moved(eqn: JaxprEqn, apply: Callable[[Array], Array], found: Largest, x: Value) -> Elementwise:
    return later(partial(_of_both, apply, x), eqn, found.then(apply))


def _of_both(apply: Callable[[Array], Array], x: Value) -> Moments:
    mean, var = moments(x)
    return apply(mean), apply(var)


def _sum_of_squares(line: Line, axes: tuple[int, ...]) -> Value:
    """Of a line less its mean."""
    count = math.prod(line.root.like.shape[axis] for axis in axes)
    mean, var = spread(line, axes)
    return gaussian(count * mean, count * count * var)


def _origin(eqn: JaxprEqn, x: Value) -> object:
    if eqn.primitive is p.reduce_sum_p and isinstance(x, Elementwise):
        return Sum(x, eqn.params["axes"])
    if eqn.primitive not in _REPEATING:
        return None
    if scale := norm_scale(x):
        return scale.then(partial(eqn.primitive.bind, **eqn.params))
    return origin(x)


@register("exact", p.copy_p, p.name_p, lax.optimization_barrier_p, fence_p)
def itself(eqn: JaxprEqn, operands: list[Value]) -> list[Value]:
    """A function of a Gaussian stays one."""
    return operands


@register("exact", p.stop_gradient_p)
def stop_gradient(eqn: JaxprEqn, operands: list[Value]) -> list[Value]:
    """A maximum that its author takes for a constant is one, at its mean.

    Where it is there to keep exponentials finite, that of the means does as well: any constant
    goes out of what the exponentials are for.
    """
    x = operands[0]
    found = x.line.root.origin if isinstance(x, Elementwise) else None
    if not isinstance(x, Elementwise) or not isinstance(found, Largest):
        return same_for_both(eqn, operands)
    constant = x.at(found.of_means()) if only_shifts(eqn.outvars[0]) else x.moments()[0]
    return [eqn.primitive.bind(constant, **eqn.params)]


_INDICES = {  # which operands are places
    p.dynamic_slice_p: slice(1, None),
    p.gather_p: slice(1, None),
    p.dynamic_update_slice_p: slice(2, None),
    p.scatter_p: slice(1, 2),
    p.scatter_add_p: slice(1, 2),
}


@register("exact", *_INDICES)
def pick(eqn: JaxprEqn, operands: list[Value]) -> list[Value]:
    """At constant places."""
    places = range(len(operands))[_INDICES[eqn.primitive]]
    if any(is_random(operands[i]) for i in places):
        return refuse(eqn, "its indices are random")

    def apply(which: int) -> Array:
        arrays = [x if i in places else moments(x)[which] for i, x in enumerate(operands)]
        filled = {"fill_value": 0} if which and eqn.params.get("fill_value") is not None else {}
        return eqn.primitive.bind(*arrays, **(eqn.params | filled))

    return [gaussian(apply(0), apply(1))]


@register("exact", lax.scatter_sub_p, p.scatter_mul_p)
def change(eqn: JaxprEqn, operands: list[Value]) -> list[Value]:
    """Elements at constant places, less others or times constants."""
    x, places, other = operands
    apply = partial(eqn.primitive.bind, **eqn.params)
    (mean, var), (by, spread) = moments(x), moments(other)
    if is_random(places):
        return refuse(eqn, "its indices are random")
    if eqn.primitive is lax.scatter_sub_p:  # variances add
        return [gaussian(apply(mean, places, by), apply(var, places, -spread))]
    if is_random(other):
        return refuse(eqn, "its factors are random")
    return [gaussian(apply(mean, places, by), apply(var, places, jnp.square(by)))]


@register("exact", p.dot_general_p, p.conv_general_dilated_p)
def bilinear(eqn: JaxprEqn, operands: list[Value]) -> list[Value]:
    """Sums of products of independent elements: var = m_x^2 v_y + v_x m_y^2 + v_x v_y, summed."""
    apply = partial(eqn.primitive.bind, **eqn.params)
    x, y = operands
    (mx, vx), (my, vy) = moments(x), moments(y)
    if not is_random(y):
        return [gaussian(apply(mx, my), apply(vx, jnp.square(my)))]
    if not is_random(x):
        return [gaussian(apply(mx, my), apply(jnp.square(mx), vy))]
    mean, both = apply(mx, my), apply(vx, vy)
    if keeps_covariance():  # of the terms, but not of the two sides
        var = covariance(mean, mean) + both
    else:
        var = apply(jnp.square(mx), vy) + apply(vx, jnp.square(my)) + both
    return [gaussian(*node(mean, var, lambda: both))]
