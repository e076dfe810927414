"""NumPyro's distributions as ours: the same law, drawn by our samplers."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from stochastic_net._types import Array
from stochastic_net.distributions._bernoulli import Bernoulli
from stochastic_net.distributions._beta import Beta
from stochastic_net.distributions._binary_concrete import BinaryConcrete
from stochastic_net.distributions._binomial import Binomial
from stochastic_net.distributions._categorical import Categorical
from stochastic_net.distributions._cauchy import Cauchy
from stochastic_net.distributions._convert import conversion, own
from stochastic_net.distributions._dirichlet import Dirichlet
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
from stochastic_net.distributions._lkj_cholesky import LKJCholesky
from stochastic_net.distributions._log_normal import LogNormal
from stochastic_net.distributions._logistic import Logistic
from stochastic_net.distributions._low_rank_gaussian import LowRankGaussian
from stochastic_net.distributions._multivariate_gaussian import MultivariateGaussian
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
    "BetaProportion": Beta,
    "CategoricalLogits": Categorical,
    "Cauchy": Cauchy,
    "Dirichlet": Dirichlet,
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
    rules = family._fields.items()
    counts = {name for name, rule in rules if rule.support.integer}

    def convert(d: Any) -> Family:
        given = {name: getattr(d, name) for name, _ in rules}
        return family(**{n: _count(x) if n in counts else _real(x) for n, x in given.items()})

    return convert


def _real(value: Any) -> Array:
    """The parameter as floats: NumPyro takes integers and booleans too."""
    array = jnp.asarray(value)
    if jnp.issubdtype(array.dtype, jnp.floating):
        return array
    return array.astype(jnp.result_type(float))


def _count(value: Any) -> Array:
    """The parameter as integers: NumPyro takes floats too. What is known stays so under a trace."""
    if isinstance(value, jax.core.Tracer):
        return value.astype(jnp.int32)
    with jax.ensure_compile_time_eval():
        return jnp.asarray(value).astype(jnp.int32)


for _name, _family in _SAME.items():
    conversion("numpyro", _name)(_by_name(_family))


@conversion("numpyro", *_PROBS)
def _from_probs(d: Any) -> Family:
    family: Any = _PROBS[type(d).__name__]
    if not hasattr(d, "total_count"):
        return family.from_probs(_real(d.probs))
    number = _count if family is Binomial else _real
    return family.from_probs(number(d.total_count), _real(d.probs))


@conversion("numpyro", "Normal")
def _normal(d: Any) -> Gaussian:
    return Gaussian.from_std(*jnp.broadcast_arrays(_real(d.loc), _real(d.scale)))


@conversion("numpyro", "TwoSidedTruncatedDistribution")
@conversion("numpyro", "LeftTruncatedDistribution")
@conversion("numpyro", "RightTruncatedDistribution")
def _truncated(d: Any) -> Any:
    if type(d.base_dist).__name__ != "Normal":
        return d
    low, high = (_real(getattr(d, n, end)) for n, end in (("low", -math.inf), ("high", math.inf)))
    return TruncatedGaussian(_real(d.base_dist.loc), _real(d.base_dist.scale), low, high)


@conversion("numpyro", "RelaxedBernoulliLogits")
def _relaxed(d: Any) -> BinaryConcrete:
    return BinaryConcrete(_real(d.temperature), _real(d.logits))


@conversion("numpyro", "Chi2")
def _chi_square(d: Any) -> Gamma:
    return Gamma(0.5 * _real(d.df), jnp.asarray(0.5))


@conversion("numpyro", "NegativeBinomial2")
def _by_mean(d: Any) -> NegativeBinomial:
    concentration = _real(d.concentration)
    return NegativeBinomial(concentration, jnp.log(_real(d.mean)) - jnp.log(concentration))


@conversion("numpyro", "GammaPoisson")
def _by_rate(d: Any) -> NegativeBinomial:
    return NegativeBinomial(_real(d.concentration), -jnp.log(_real(d.rate)))


@conversion("numpyro", "MultivariateNormal")
def _joint(d: Any) -> MultivariateGaussian:
    loc = jnp.broadcast_to(_real(d.loc), (*d.loc.shape[:-1], d.scale_tril.shape[-1]))
    return MultivariateGaussian(loc, _real(d.scale_tril))


@conversion("numpyro", "LowRankMultivariateNormal")
def _low_rank(d: Any) -> LowRankGaussian:
    return LowRankGaussian(_real(d.loc), _real(d.cov_factor), _real(d.cov_diag))


@conversion("numpyro", "LKJCholesky")
def _correlations(d: Any) -> LKJCholesky:
    return LKJCholesky(d.dimension, _real(d.concentration))


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
