"""Functions that near a limit have no digits left: what they are less that limit is kept, too.

tanh u and e^u - 1 are -1 from u = -9 and -17 on, and 1 + tanh u is 0; what is left of them varies.
Of `alpha (e^u - 1)` it is alpha e^u, of a choice between that and a line it is the same choice.
"""

import contextlib

import jax
import numpy as np
from jax.extend.core import JaxprEqn
from jax.extend.core import primitives as p

from stochastic_net._types import Array
from stochastic_net.moments._integrals.rest import Rest
from stochastic_net.moments._integrals.tanh import above
from stochastic_net.moments._integrals.taylor import Function
from stochastic_net.moments._program.values import Elementwise, Value
from stochastic_net.random._elementary import exp_less


def rest_of(eqn: JaxprEqn, operands: list[Value], parts: list[Function]) -> Rest | None:
    """That of an operation on `parts`, functions of one line."""
    if eqn.primitive in _BELOW:
        of, (inner,) = _BELOW[eqn.primitive], parts
        return Rest(-1.0, lambda u, less: of(inner(u), less))
    found = [x.rest if isinstance(x, Elementwise) else None for x in operands]
    limits = [x.limit for x in found if x]
    if len(limits) != 1 or eqn.primitive not in (p.add_p, p.select_n_p):
        return None
    lifted = eqn.primitive is p.select_n_p

    def apart(u: Array, less: Array) -> Array:
        values = [
            rest.function(u, less) if rest else part(u)
            for rest, part in zip(found, parts, strict=True)
        ]
        if lifted:
            values[1:] = (
                x if rest else x - (1 - less) * limits[0]
                for rest, x in zip(found[1:], values[1:], strict=True)
            )
        return eqn.primitive.bind(*values)

    return Rest(limits[0], apart)


def moved(rest: Rest, scale: Array | float, shift: Array | float) -> Rest:
    """That of scale * the function + shift."""
    inner, known = rest.function, not any(map(_traced, (scale, rest.limit, shift)))
    with jax.ensure_compile_time_eval() if known else contextlib.nullcontext():
        limit = scale * rest.limit + shift
    return Rest(limit, lambda u, less: scale * inner(u, less) + less * shift)


def is_at_zero(rest: Rest) -> bool:
    """Whether the limit is known to be 0."""
    return not _traced(rest.limit) and bool(np.all(np.asarray(rest.limit) == 0))


def _traced(x: Array | float) -> bool:
    return isinstance(x, jax.core.Tracer)


@jax.custom_jvp
def _exponential(x: Array, less: Array) -> Array:
    return exp_less(x, less)


@_exponential.defjvp
def _exponential_jvp(primals, tangents):
    value = _exponential(*primals)
    return value, (value + primals[1]) * tangents[0] - tangents[1]


_BELOW = {p.tanh_p: above, p.expm1_p: _exponential}
