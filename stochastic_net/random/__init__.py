"""Samplers with the signatures of `jax.random`, differentiable in every continuous parameter."""

from stochastic_net.random._dtypes import FLOATS as FLOATS
from stochastic_net.random._dtypes import compute_dtype as compute_dtype
from stochastic_net.random._keys import check_key as check_key
from stochastic_net.random._keys import named_key as named_key
from stochastic_net.random._normal import normal as normal
from stochastic_net.random._require import require as require
from stochastic_net.random._require import require_if_concrete as require_if_concrete

__all__ = [
    "FLOATS",
    "check_key",
    "compute_dtype",
    "named_key",
    "normal",
    "require",
    "require_if_concrete",
]
