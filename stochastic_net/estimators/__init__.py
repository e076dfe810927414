"""Gradients through draws: E f(z) as a value whose derivative estimates its gradient.

An estimator is a function

    estimator(f, dist, key, *, num_samples=...) -> Array

whose value estimates E f(z) for z ~ `dist` and whose derivative (`jax.grad`, `jax.jvp`, under jit,
vmap, scan and remat) estimates the gradient of E f, in the parameters of `dist` and in everything
that f closes over. `dist` is a distribution or a pytree of independent ones, and f gets draws in
their places; what depends on a draw is drawn within f, by another estimator.

- Swapping estimators is swapping a word: all have the type above, and a `num_samples` that suits.
- Called with options alone, an estimator is the same one with these options:
  `score_function(control_variate="batch_mean")`, `gumbel_softmax(temperature=0.3)`.
- Wrappers take an estimator and have its type: `antithetic(pathwise)`,
  `control_variate(score_function, h)`, `quasi_monte_carlo(pathwise)`.
- `.bias` is None, or says of what order the gradient is off: `reinmax.bias`.
- `num_samples` counts the draws that f is evaluated at (the docstring says so where it is more).
- One call is for one example: `jax.vmap` it over examples, with a key for each. f may return an
  array, but a score multiplies all of it.

Which one? `compare` measures them on your f, `auto` picks the best without bias. As a start:
`pathwise` where draws move with their parameters, `leave_one_out` where they do not,
`disarm` for coins, `enumerate_support` for a handful of values.

A new estimator is a function of this type in a file of its own, with the decorator `estimator`.
"""

from stochastic_net.estimators._antithetic import antithetic as antithetic
from stochastic_net.estimators._arm import arm as arm
from stochastic_net.estimators._bonnet_price import bonnet_price as bonnet_price
from stochastic_net.estimators._compare import auto as auto
from stochastic_net.estimators._compare import compare as compare
from stochastic_net.estimators._comparison import Comparison as Comparison
from stochastic_net.estimators._comparison import Measured as Measured
from stochastic_net.estimators._control_variate import control_variate as control_variate
from stochastic_net.estimators._disarm import disarm as disarm
from stochastic_net.estimators._double_control_variate import (
    double_control_variate as double_control_variate,
)
from stochastic_net.estimators._enumerate_support import enumerate_support as enumerate_support
from stochastic_net.estimators._estimator import Bias as Bias
from stochastic_net.estimators._estimator import estimator as estimator
from stochastic_net.estimators._gumbel_rao import gumbel_rao as gumbel_rao
from stochastic_net.estimators._gumbel_softmax import gumbel_softmax as gumbel_softmax
from stochastic_net.estimators._leave_one_out import leave_one_out as leave_one_out
from stochastic_net.estimators._measure_valued import measure_valued as measure_valued
from stochastic_net.estimators._mirrored import mirror_rule as mirror_rule
from stochastic_net.estimators._pathwise import pathwise as pathwise
from stochastic_net.estimators._proposals import Accepted as Accepted
from stochastic_net.estimators._proposals import proposal_rule as proposal_rule
from stochastic_net.estimators._quasi_monte_carlo import quasi_monte_carlo as quasi_monte_carlo
from stochastic_net.estimators._rebar import rebar as rebar
from stochastic_net.estimators._reinmax import reinmax as reinmax
from stochastic_net.estimators._rejection import rejection as rejection
from stochastic_net.estimators._relax import relax as relax
from stochastic_net.estimators._rodeo import rodeo as rodeo
from stochastic_net.estimators._score_function import score_function as score_function
from stochastic_net.estimators._second_moment import second_moment as second_moment
from stochastic_net.estimators._stop_gradient import stop_gradient as stop_gradient
from stochastic_net.estimators._straight_through import straight_through as straight_through
from stochastic_net.estimators._weak_derivatives import Difference as Difference
from stochastic_net.estimators._weak_derivatives import weak_derivative as weak_derivative
from stochastic_net.estimators._without_replacement import (
    without_replacement as without_replacement,
)

__all__ = [
    "Accepted",
    "Bias",
    "Comparison",
    "Difference",
    "Measured",
    "antithetic",
    "arm",
    "auto",
    "bonnet_price",
    "compare",
    "control_variate",
    "disarm",
    "double_control_variate",
    "enumerate_support",
    "estimator",
    "gumbel_rao",
    "gumbel_softmax",
    "leave_one_out",
    "measure_valued",
    "mirror_rule",
    "pathwise",
    "proposal_rule",
    "quasi_monte_carlo",
    "rebar",
    "reinmax",
    "rejection",
    "relax",
    "rodeo",
    "score_function",
    "second_moment",
    "stop_gradient",
    "straight_through",
    "weak_derivative",
    "without_replacement",
]
