"""P(z > value): an open function, for 1 - cdf loses its digits in the upper tail."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax.scipy.special import ndtr

from stochastic_net._types import Array
from stochastic_net.distributions._beta import Beta
from stochastic_net.distributions._cauchy import Cauchy
from stochastic_net.distributions._exponential import Exponential
from stochastic_net.distributions._family import _inside
from stochastic_net.distributions._gamma import Gamma
from stochastic_net.distributions._gaussian import Gaussian
from stochastic_net.distributions._gumbel import Gumbel
from stochastic_net.distributions._inverse_gaussian import InverseGaussian
from stochastic_net.distributions._laplace import Laplace
from stochastic_net.distributions._log_normal import LogNormal
from stochastic_net.distributions._logistic import Logistic
from stochastic_net.distributions._pareto import Pareto
from stochastic_net.distributions._student_t import StudentT
from stochastic_net.distributions._truncated_gaussian import TruncatedGaussian
from stochastic_net.distributions._uniform import Uniform
from stochastic_net.distributions._weibull import Weibull
from stochastic_net.random._stirling import log_ratio

Rule = Callable[[Any, Array], Array]
_RULES: dict[type, Rule] = {}


def survival(d: Any, value: Array) -> Array:
    """P(z > value), elementwise: by a rule for the family, else 1 - d.cdf(value)."""
    rule = _RULES.get(type(d))
    return 1 - d.cdf(value) if rule is None else rule(d, value)


def survival_rule(*families: type) -> Callable[[Rule], Rule]:
    """Register a function (d, value) -> Array that is relatively accurate in the upper tail."""

    def register(rule: Rule) -> Rule:
        for family in families:
            _RULES[family] = rule
        return rule

    return register


@survival_rule(Gaussian)
def _(d: Gaussian, x: Array) -> Array:
    return Gaussian.cdf(-d, -x)


@survival_rule(Cauchy, Laplace, Logistic, StudentT)
def _(d: Any, x: Array) -> Array:
    return d.cdf(_spread(2 * d.loc, x) - x)


@survival_rule(LogNormal)
def _(d: LogNormal, x: Array) -> Array:
    return ndtr((_spread(d.loc, x) - jnp.log(x)) / _spread(d.scale, x))


@survival_rule(Exponential)
def _(d: Exponential, x: Array) -> Array:
    return jnp.exp(-_spread(d.rate, x) * x)


@survival_rule(Weibull)
def _(d: Weibull, x: Array) -> Array:
    return jnp.exp(-((x / _spread(d.scale, x)) ** _spread(d.concentration, x)))


@survival_rule(Gumbel)
def _(d: Gumbel, x: Array) -> Array:
    return -jnp.expm1(-jnp.exp(-(x - _spread(d.loc, x)) / _spread(d.scale, x)))


@survival_rule(Beta, Gamma, InverseGaussian, TruncatedGaussian)
def _(d: Any, x: Array) -> Array:
    return _within(d, x, lambda wide, x: wide._masses(x)[1])


@survival_rule(Pareto)
def _(d: Pareto, x: Array) -> Array:
    return _within(d, x, lambda wide, x: jnp.exp(-wide.alpha * log_ratio(x, wide.scale)))


@survival_rule(Uniform)
def _(d: Uniform, x: Array) -> Array:
    return _within(d, x, lambda wide, x: (wide.high - x) / (wide.high - wide.low))


def _within(d: Any, x: Array, rule: Rule) -> Array:
    """The rule for the family at the shape of x: 1 below its support, 0 above."""
    wide = d._spread(x.shape)
    below, above = x <= wide.support.low, x >= wide.support.high
    inside = rule(wide, _inside(wide.support, below | above, x))
    return jnp.where(below, 1.0, jnp.where(above, 0.0, inside))


def _spread(parameter: Array, x: Array) -> Array:
    return jnp.broadcast_to(parameter, x.shape)
