"""log(e^x + e^y) of two random values: the larger of two, softly.

It is high + softplus(low - high), of the same kind as max = high + relu(low - high). Taken one
operation at a time the maximum would be independent of what is added to it. `jnp.logaddexp` has no
primitive: it is known by being the program that JAX makes of it.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core
from jax.extend.core import JaxprEqn

from stochastic_net._types import Array
from stochastic_net.moments._integrals.precision import Moments, wide
from stochastic_net.moments._integrals.quadrature import expectation
from stochastic_net.moments._program.tape import covariance
from stochastic_net.moments._program.values import Elementwise, Value, gaussian, split
from stochastic_net.moments._rules.larger import in_order, of_parts, with_gap


def log_add_exp(eqn: JaxprEqn, operands: list[Value]) -> Elementwise | None:
    """The result of a call, if it is `jnp.logaddexp` of two values of different roots."""
    randoms, _ = split(operands)
    if len(operands) != 2 or len(randoms) != 2 or not _is_log_add_exp(eqn):
        return None
    x, y = randoms
    return None if x.line.root is y.line.root else gaussian(*soft_larger(x.moments(), y.moments()))


def soft_larger(x: Moments, y: Moments) -> Moments:
    """E and the variance of log(e^X + e^Y)."""
    like, both_vary = x[0], covariance(x[0], y[0])
    pair = in_order(wide(x), wide(y), both_vary)
    gap, spread = pair.gap, pair.spread
    more, (share, _) = jax.jvp(lambda m: _softplus(m, spread), (gap,), (jnp.ones_like(gap),))
    out = of_parts(pair.high, more, share, both_vary)
    return with_gap(pair, out, share, both_vary, lambda v: _softplus(gap, v)[0], like)


def _softplus(mean: Array, var: Array) -> Moments:
    return expectation(jax.nn.softplus, mean, var)


def _is_log_add_exp(eqn: JaxprEqn) -> bool:
    avals: list[Any] = [x.aval for x in eqn.invars]
    like = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in avals]
    (same, *more) = jax.make_jaxpr(jnp.logaddexp)(*like).eqns
    return not more and same.primitive is eqn.primitive and _text(same) == _text(eqn)


def _text(eqn: JaxprEqn) -> str:
    program = eqn.params.get("call_jaxpr")
    return str(program.jaxpr if isinstance(program, core.ClosedJaxpr) else program)
