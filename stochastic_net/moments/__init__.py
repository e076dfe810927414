"""Mean and variance through any JAX function, by integrating instead of drawing."""

from stochastic_net.moments._budget import Budget as Budget
from stochastic_net.moments._budget import budget as budget
from stochastic_net.moments._covariance import covariance as covariance
from stochastic_net.moments._log_sum_exp import expected_log_sum_exp as expected_log_sum_exp
from stochastic_net.moments._program.no_rule import NoRule as NoRule
from stochastic_net.moments._program.registry import kind_of_rule as kind_of_rule
from stochastic_net.moments._propagate import layers as layers
from stochastic_net.moments._propagate import propagate as propagate
from stochastic_net.moments._rule import rule as rule

__all__ = [
    "Budget",
    "NoRule",
    "budget",
    "covariance",
    "expected_log_sum_exp",
    "kind_of_rule",
    "layers",
    "propagate",
    "rule",
]
