"""`where(y > c, a, b)` for a random y that the cases do not depend on."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.extend.core import JaxprEqn
from jax.extend.core import primitives as p

from stochastic_net._types import Array
from stochastic_net.moments._integrals.precision import Moments
from stochastic_net.moments._program.composition import Composition, identity
from stochastic_net.moments._program.tape import covariance, keeps_covariance, node
from stochastic_net.moments._program.values import Elementwise, Value, is_random, moments
from stochastic_net.moments._rules.cases import select


def gate(eqn: JaxprEqn, operands: list[Value]) -> Moments | None:
    """E and Var of a choice between independent values by an independent one.

    With q the probability of b they are (1 - q) m_a + q m_b and

      (1 - q) v_a + q v_b + q (1 - q) (m_b - m_a)^2,

    of which the slopes leave q (1 - q) Var (b - a).
    """
    asked, *cases = operands
    if eqn.primitive is not p.select_n_p or len(cases) != 2 or not is_random(asked):
        return None
    if any(is_random(x) and x.line.root is asked.line.root for x in cases):
        return None
    (ma, va), (mb, vb) = map(moments, cases)
    q, spread = _indicator(eqn, asked, ma.dtype).moments()
    away = mb - ma
    var = (1 - q) * va + q * vb + spread * away * away
    return node(ma + q * away, var, lambda: spread * (va + vb - 2 * _shared(*cases)))


def _shared(a: Value, b: Value) -> Array | float:
    """The covariance of the cases that the program knows."""
    if not is_random(a) or not is_random(b):
        return 0.0
    if keeps_covariance() or a.line.root is not b.line.root:
        return covariance(a.moments()[0], b.moments()[0])
    return _slope(a) * _slope(b) * a.line.root.var


def _slope(x: Elementwise) -> Array:
    return x.gain() * jnp.asarray(x.line.scale, x.dtype)


def _indicator(eqn: JaxprEqn, asked: Elementwise, dtype: np.dtype) -> Elementwise:
    """1 where the answer is yes, else 0."""
    ends: list[Any] = [np.zeros(asked.shape, dtype), np.ones(asked.shape, dtype)]
    known = select(eqn, [asked, *ends])
    if known:
        return known
    function = Composition(lambda answer: answer.astype(dtype), [asked.function or identity])
    return Elementwise(asked.line, function, breaks=asked.breaks)
