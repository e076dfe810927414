"""The user's rules: the moments of a primitive that the library does not know."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax.extend.core import JaxprEqn, Primitive

from stochastic_net._types import Array
from stochastic_net.distributions import Gaussian
from stochastic_net.moments._program.registry import register
from stochastic_net.moments._program.tape import node
from stochastic_net.moments._program.values import Elementwise, Value, gaussian

Moment = Callable[..., Any]


def rule(primitive: Primitive) -> Callable[[Moment], Moment]:
    """Teach `propagate` the moments of a primitive.

    Args:
      primitive: from `jax.extend.core.primitives`, or your own. A rule that is there is replaced.

    Returns:
      A decorator of a function (*operands, **params) -> Gaussian, or a tuple of them for several
      results. An operand is a `Gaussian` or, where no randomness arrived, an array; `params` are
      those of the equation.

    Raises:
      TypeError: `primitive` is not a primitive.

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> from jax.extend.core import primitives
      >>> @sn.moments.rule(primitives.cummax_p)
      ... def cummax(x, *, axis, reverse):
      ...     high = primitives.cummax_p.bind(x.mean, axis=axis, reverse=reverse)
      ...     return sn.Gaussian(high, x.var)  # crude: the variance of its own element
      >>> x = sn.Gaussian(jnp.array([2.0, 1.0]), jnp.array([0.1, 0.2]))
      >>> print(sn.propagate(jax.lax.cummax)(x).mean)
      [2. 2.]
    """
    if not isinstance(primitive, Primitive):
        raise TypeError(
            f"primitive must be a primitive of JAX, such as those in jax.extend.core.primitives, "
            f"got {type(primitive).__name__}."
        )

    def add(function: Moment) -> Moment:
        @register("your own", primitive)
        def apply(eqn: JaxprEqn, operands: list[Value]) -> list[Value]:
            outputs = function(*map(_outside, operands), **eqn.params)
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            return list(map(_inside, outputs))

        return function

    return add


def _outside(value: Value) -> Gaussian | Array:
    return Gaussian(*value.moments()) if isinstance(value, Elementwise) else value


def _inside(value: Gaussian | Array) -> Value:
    if not isinstance(value, Gaussian):
        return value
    return gaussian(*node(value.mean, value.var, lambda: jnp.zeros_like(value.var)))
