"""Mean and variance through any JAX function, by integrating instead of drawing."""

from stochastic_net.moments._no_rule import NoRule as NoRule
from stochastic_net.moments._propagate import layers as layers
from stochastic_net.moments._propagate import propagate as propagate
from stochastic_net.moments._rule import rule as rule

__all__ = ["NoRule", "layers", "propagate", "rule"]
