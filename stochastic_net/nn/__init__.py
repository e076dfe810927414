"""Flax NNX modules that draw: stateless, built with `rngs`, called with `key`."""

from stochastic_net.nn._gaussian_head import GaussianHead as GaussianHead
from stochastic_net.nn._propagate import Propagate as Propagate
from stochastic_net.nn._sample import Sample as Sample
from stochastic_net.nn._sequential import Sequential as Sequential
from stochastic_net.nn._stochastic_net import StochasticNet as StochasticNet
from stochastic_net.nn._towers import Towers as Towers

__all__ = ["GaussianHead", "Propagate", "Sample", "Sequential", "StochasticNet", "Towers"]
