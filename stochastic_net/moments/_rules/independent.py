"""Elementwise operations on values of different roots, taken as independent."""

import jax.numpy as jnp
from jax.extend.core import JaxprEqn

from stochastic_net._types import Shape
from stochastic_net.moments._program.registry import refuse
from stochastic_net.moments._program.values import Value, gaussian, is_random, moments, origin
from stochastic_net.moments._rules import closed_forms
from stochastic_net.moments._rules.gate import gate
from stochastic_net.moments._rules.larger import larger
from stochastic_net.moments._rules.origins import (
    Centred,
    SampleVariance,
    centred,
    log_sum_exp_of,
    sample_variance,
    sum_of_exponentials,
    where_summed,
)
from stochastic_net.moments._rules.products import product
from stochastic_net.moments._rules.softmax import softmax_node
from stochastic_net.moments._rules.spread import as_independent, normalised, of_centred, spread


def independent(eqn: JaxprEqn, operands: list[Value]) -> Value:
    """The moments of such an operation, of which a pattern may have begun in another dtype."""
    out, aval = _moments_of(eqn, operands), eqn.outvars[0].aval
    dtype = getattr(aval, "dtype", out.dtype)
    if out.dtype == dtype:
        return out
    mean, var = (m.astype(dtype) for m in moments(out))
    return gaussian(mean, var, origin(out))


def _moments_of(eqn: JaxprEqn, operands: list[Value]) -> Value:
    name = eqn.primitive.name
    if name == "select_n" and not is_random(operands[0]):
        means, variances = zip(*map(moments, operands[1:]), strict=True)
        chosen = (
            eqn.primitive.bind(operands[0], *cases, **eqn.params) for cases in (means, variances)
        )
        return gaussian(*chosen)
    if gated := gate(eqn, operands):
        return gaussian(*gated)
    if len(operands) != 2:
        return refuse(eqn, "its operands are different random values")
    x, y = operands
    (mx, vx), (my, vy) = moments(x), moments(y)
    match name:
        case "add":
            return gaussian(mx + my, vx + vy)
        case "sub":
            return _difference(x, y)
        case "mul":
            return gaussian(*product(*normalised(x, y)))
        case "div":
            return _quotient(x, y)
        case "max":
            return gaussian(*larger((mx, vx), (my, vy)))
        case "min":
            mean, var = larger((-mx, vx), (-my, vy))
            return gaussian(-mean, var)
    return refuse(eqn, "its operands are different random values")


def _quotient(x: Value, y: Value) -> Value:
    """X / Y, which may be a softmax; what was not summed is independent of the sum."""
    found = sum_of_exponentials(y, x)
    if found is None:
        return _apart(x, y)
    softmax, chosen = softmax_node(as_independent(*found), found[1]), where_summed(y, x)
    if chosen is None:
        return gaussian(*softmax)
    others = moments(_apart(x, y))
    return gaussian(*(jnp.where(chosen, a, b) for a, b in zip(softmax, others, strict=True)))


def _apart(x: Value, y: Value) -> Value:
    return gaussian(*product(moments(x), closed_forms.power(-1.0)(*moments(y))))


def _difference(x: Value, y: Value) -> Value:
    """X - Y, of which some are known for what they are."""
    (mx, vx), (my, vy) = moments(x), moments(y)
    if place := sample_variance(x, y):
        mean, var = spread(*place)
        if _squeezed(mean.shape) == _squeezed(mx.shape):  # axes of size 1 may have been kept
            mean, var = mean.reshape(mx.shape), var.reshape(mx.shape)
            return gaussian(mean, var, SampleVariance(*place))
    if log_sum_exp := log_sum_exp_of(x, y):
        return gaussian(*log_sum_exp.log_softmax())
    if place := centred(x, y):
        return gaussian(mx - my, of_centred(vx, place[1]), Centred(*place))
    return gaussian(mx - my, vx + vy)


def _squeezed(shape: Shape) -> Shape:
    return tuple(size for size in shape if size != 1)
