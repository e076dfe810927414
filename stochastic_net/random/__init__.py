"""Samplers with the signatures of `jax.random`, differentiable in every continuous parameter."""

from stochastic_net.random._beta import beta as beta
from stochastic_net.random._beta import f as f
from stochastic_net.random._dirichlet import dirichlet as dirichlet
from stochastic_net.random._dtypes import FLOATS as FLOATS
from stochastic_net.random._dtypes import compute_dtype as compute_dtype
from stochastic_net.random._gamma import chisquare as chisquare
from stochastic_net.random._gamma import gamma as gamma
from stochastic_net.random._gamma import generalized_normal as generalized_normal
from stochastic_net.random._gamma import inverse_gamma as inverse_gamma
from stochastic_net.random._gamma import loggamma as loggamma
from stochastic_net.random._keys import check_key as check_key
from stochastic_net.random._keys import named_key as named_key
from stochastic_net.random._normal import normal as normal
from stochastic_net.random._require import require as require
from stochastic_net.random._require import require_if_concrete as require_if_concrete
from stochastic_net.random._t import t as t

__all__ = [
    "FLOATS",
    "beta",
    "check_key",
    "chisquare",
    "compute_dtype",
    "dirichlet",
    "f",
    "gamma",
    "generalized_normal",
    "inverse_gamma",
    "loggamma",
    "named_key",
    "normal",
    "require",
    "require_if_concrete",
    "t",
]
