"""NumPyro's distributions as ours: the same law, drawn by our samplers."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from stochastic_net.distributions._bernoulli import Bernoulli
from stochastic_net.distributions._beta import Beta
from stochastic_net.distributions._binary_concrete import BinaryConcrete
from stochastic_net.distributions._binomial import Binomial
from stochastic_net.distributions._categorical import Categorical
from stochastic_net.distributions._cauchy import Cauchy
from stochastic_net.distributions._convert import conversion, own
from stochastic_net.distributions._exponential import Exponential
from stochastic_net.distributions._family import Family
from stochastic_net.distributions._gamma import Gamma
from stochastic_net.distributions._gaussian import Gaussian
from stochastic_net.distributions._geometric import Geometric
from stochastic_net.distributions._gumbel import Gumbel
from stochastic_net.distributions._half_normal import HalfNormal
from stochastic_net.distributions._independent import Independent
from stochastic_net.distributions._inverse_gamma import InverseGamma
from stochastic_net.distributions._kumaraswamy import Kumaraswamy
from stochastic_net.distributions._laplace import Laplace
from stochastic_net.distributions._log_normal import LogNormal
from stochastic_net.distributions._logistic import Logistic
from stochastic_net.distributions._negative_binomial import NegativeBinomial
from stochastic_net.distributions._pareto import Pareto
from stochastic_net.distributions._poisson import Poisson
from stochastic_net.distributions._student_t import StudentT
from stochastic_net.distributions._truncated_gaussian import TruncatedGaussian
from stochastic_net.distributions._uniform import Uniform
from stochastic_net.distributions._von_mises import VonMises
from stochastic_net.distributions._weibull import Weibull

# Classes that have our names for their parameters.
_SAME = {
    "BernoulliLogits": Bernoulli,
    "Beta": Beta,
    "BinomialLogits": Binomial,
    "CategoricalLogits": Categorical,
    "Cauchy": Cauchy,
    "Exponential": Exponential,
    "Gamma": Gamma,
    "GeometricLogits": Geometric,
    "Gumbel": Gumbel,
    "HalfNormal": HalfNormal,
    "InverseGamma": InverseGamma,
    "Kumaraswamy": Kumaraswamy,
    "Laplace": Laplace,
    "LogNormal": LogNormal,
    "Logistic": Logistic,
    "NegativeBinomialLogits": NegativeBinomial,
    "Pareto": Pareto,
    "Poisson": Poisson,
    "StudentT": StudentT,
    "Uniform": Uniform,
    "VonMises": VonMises,
    "Weibull": Weibull,
}
_PROBS = {
    "BernoulliProbs": Bernoulli,
    "BinomialProbs": Binomial,
    "CategoricalProbs": Categorical,
    "GeometricProbs": Geometric,
    "NegativeBinomialProbs": NegativeBinomial,
}


def _by_name(family: type[Family]):
    names = tuple(family._fields)
    return lambda d: family(**{name: getattr(d, name) for name in names})


for _name, _family in _SAME.items():
    conversion("numpyro", _name)(_by_name(_family))


@conversion("numpyro", *_PROBS)
def _from_probs(d: Any) -> Family:
    family: Any = _PROBS[type(d).__name__]
    total_count = [d.total_count] if hasattr(d, "total_count") else []
    return family.from_probs(*total_count, d.probs)


@conversion("numpyro", "Normal")
def _normal(d: Any) -> Gaussian:
    return Gaussian.from_std(*jnp.broadcast_arrays(d.loc, d.scale))


@conversion("numpyro", "TwoSidedTruncatedDistribution")
@conversion("numpyro", "LeftTruncatedDistribution")
@conversion("numpyro", "RightTruncatedDistribution")
def _truncated(d: Any) -> Any:
    if type(d.base_dist).__name__ != "Normal":
        return d
    low, high = (
        jnp.asarray(getattr(d, n, end)) for n, end in (("low", -math.inf), ("high", math.inf))
    )
    return TruncatedGaussian(d.base_dist.loc, d.base_dist.scale, low, high)


@conversion("numpyro", "RelaxedBernoulliLogits")
def _relaxed(d: Any) -> BinaryConcrete:
    return BinaryConcrete(d.temperature, d.logits)


@conversion("numpyro", "Chi2")
def _chi_square(d: Any) -> Gamma:
    return Gamma(0.5 * d.df, jnp.asarray(0.5))


@conversion("numpyro", "NegativeBinomial2")
def _by_mean(d: Any) -> NegativeBinomial:
    return NegativeBinomial(d.concentration, jnp.log(d.mean) - jnp.log(d.concentration))


@conversion("numpyro", "ExpandedDistribution")
def _expanded(d: Any) -> Any:
    base = own(d.base_dist)
    if isinstance(base, Family):
        return base._spread(d.batch_shape)._astype(base.dtype)
    if isinstance(base, Gaussian):
        return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, d.batch_shape), base)
    return d


@conversion("numpyro", "Independent")
def _independent(d: Any) -> Any:
    base = own(d.base_dist)
    return d if base is d.base_dist else Independent(base, d.reinterpreted_batch_ndims)
