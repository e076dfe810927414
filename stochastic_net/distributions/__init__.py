"""Distributions: frozen pytrees of parameters, and the functions open to all of them."""

from stochastic_net.distributions._gaussian import Gaussian as Gaussian
from stochastic_net.distributions._kl import kl as kl
from stochastic_net.distributions._kl import kl_rule as kl_rule
from stochastic_net.distributions._sample import sample as sample

__all__ = ["Gaussian", "kl", "kl_rule", "sample"]
