"""Random variables inside JAX/Flax networks, with gradients you can trust."""

from stochastic_net import diagnostics as diagnostics
from stochastic_net import distributions as distributions
from stochastic_net import estimators as estimators
from stochastic_net import moments as moments
from stochastic_net import nn as nn
from stochastic_net import objectives as objectives
from stochastic_net import random as random
from stochastic_net.diagnostics import assert_gradients_flow as assert_gradients_flow
from stochastic_net.diagnostics import check_gradients as check_gradients
from stochastic_net.diagnostics import check_moments as check_moments
from stochastic_net.distributions import Gaussian as Gaussian
from stochastic_net.distributions import kl as kl
from stochastic_net.distributions import sample as sample
from stochastic_net.moments import propagate as propagate

__version__ = "0.1.0"

__all__ = [
    "Gaussian",
    "assert_gradients_flow",
    "check_gradients",
    "check_moments",
    "diagnostics",
    "distributions",
    "estimators",
    "kl",
    "moments",
    "nn",
    "objectives",
    "propagate",
    "random",
    "sample",
]
