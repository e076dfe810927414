"""Samplers with the signatures of `jax.random`, differentiable in every continuous parameter."""

from stochastic_net.random._arguments import sample_shape as sample_shape
from stochastic_net.random._beta import beta as beta
from stochastic_net.random._beta import f as f
from stochastic_net.random._dirichlet import dirichlet as dirichlet
from stochastic_net.random._dtypes import FLOATS as FLOATS
from stochastic_net.random._dtypes import compute_dtype as compute_dtype
from stochastic_net.random._fast_key import THREEFRY13 as THREEFRY13
from stochastic_net.random._gamma import chisquare as chisquare
from stochastic_net.random._gamma import gamma as gamma
from stochastic_net.random._gamma import generalized_normal as generalized_normal
from stochastic_net.random._gamma import inverse_gamma as inverse_gamma
from stochastic_net.random._gamma import loggamma as loggamma
from stochastic_net.random._keys import check_key as check_key
from stochastic_net.random._keys import named_key as named_key
from stochastic_net.random._normal import normal as normal
from stochastic_net.random._reparameterize import reparameterize as reparameterize
from stochastic_net.random._require import checked as checked
from stochastic_net.random._require import require as require
from stochastic_net.random._require import require_if_concrete as require_if_concrete
from stochastic_net.random._t import t as t
from stochastic_net.random._truncated_normal import truncated_normal as truncated_normal
from stochastic_net.random._von_mises import von_mises as von_mises
from stochastic_net.random._wald import wald as wald

__all__ = [
    "FLOATS",
    "THREEFRY13",
    "beta",
    "check_key",
    "checked",
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
    "reparameterize",
    "require",
    "require_if_concrete",
    "sample_shape",
    "t",
    "truncated_normal",
    "von_mises",
    "wald",
]
