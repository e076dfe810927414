"""Distributions: frozen pytrees of parameters, and the functions open to all of them."""

from stochastic_net.distributions._bernoulli import Bernoulli as Bernoulli
from stochastic_net.distributions._beta import Beta as Beta
from stochastic_net.distributions._binary_concrete import BinaryConcrete as BinaryConcrete
from stochastic_net.distributions._binomial import Binomial as Binomial
from stochastic_net.distributions._categorical import Categorical as Categorical
from stochastic_net.distributions._categorical import OneHotCategorical as OneHotCategorical
from stochastic_net.distributions._cauchy import Cauchy as Cauchy
from stochastic_net.distributions._convert import conversion as conversion
from stochastic_net.distributions._convert import own as own
from stochastic_net.distributions._dirichlet import Dirichlet as Dirichlet
from stochastic_net.distributions._exponential import Exponential as Exponential
from stochastic_net.distributions._family import Family as Family
from stochastic_net.distributions._family import parameter as parameter
from stochastic_net.distributions._gamma import Gamma as Gamma
from stochastic_net.distributions._gaussian import Gaussian as Gaussian
from stochastic_net.distributions._generalized_normal import GeneralizedNormal as GeneralizedNormal
from stochastic_net.distributions._geometric import Geometric as Geometric
from stochastic_net.distributions._gumbel import Gumbel as Gumbel
from stochastic_net.distributions._gumbel_softmax import GumbelSoftmax as GumbelSoftmax
from stochastic_net.distributions._half_normal import HalfNormal as HalfNormal
from stochastic_net.distributions._independent import Independent as Independent
from stochastic_net.distributions._inverse_gamma import InverseGamma as InverseGamma
from stochastic_net.distributions._inverse_gaussian import InverseGaussian as InverseGaussian
from stochastic_net.distributions._kl import kl as kl
from stochastic_net.distributions._kl import kl_rule as kl_rule
from stochastic_net.distributions._kumaraswamy import Kumaraswamy as Kumaraswamy
from stochastic_net.distributions._laplace import Laplace as Laplace
from stochastic_net.distributions._lkj_cholesky import LKJCholesky as LKJCholesky
from stochastic_net.distributions._log_normal import LogNormal as LogNormal
from stochastic_net.distributions._logistic import Logistic as Logistic
from stochastic_net.distributions._low_rank_gaussian import LowRankGaussian as LowRankGaussian
from stochastic_net.distributions._mixture import Mixture as Mixture
from stochastic_net.distributions._multivariate_gaussian import (
    MultivariateGaussian as MultivariateGaussian,
)
from stochastic_net.distributions._negative_binomial import NegativeBinomial as NegativeBinomial
from stochastic_net.distributions._pareto import Pareto as Pareto
from stochastic_net.distributions._poisson import Poisson as Poisson
from stochastic_net.distributions._sample import sample as sample
from stochastic_net.distributions._student_t import StudentT as StudentT
from stochastic_net.distributions._survival import survival as survival
from stochastic_net.distributions._survival import survival_rule as survival_rule
from stochastic_net.distributions._truncated_gaussian import (
    TruncatedGaussian as TruncatedGaussian,
)
from stochastic_net.distributions._uniform import Uniform as Uniform
from stochastic_net.distributions._von_mises import VonMises as VonMises
from stochastic_net.distributions._von_mises_fisher import VonMisesFisher as VonMisesFisher
from stochastic_net.distributions._weibull import Weibull as Weibull
from stochastic_net.distributions._wishart import Wishart as Wishart

__all__ = [
    "Bernoulli",
    "Beta",
    "BinaryConcrete",
    "Binomial",
    "Categorical",
    "Cauchy",
    "Dirichlet",
    "Exponential",
    "Family",
    "Gamma",
    "Gaussian",
    "GeneralizedNormal",
    "Geometric",
    "Gumbel",
    "GumbelSoftmax",
    "HalfNormal",
    "Independent",
    "InverseGamma",
    "InverseGaussian",
    "Kumaraswamy",
    "LKJCholesky",
    "Laplace",
    "LogNormal",
    "Logistic",
    "LowRankGaussian",
    "Mixture",
    "MultivariateGaussian",
    "NegativeBinomial",
    "OneHotCategorical",
    "Pareto",
    "Poisson",
    "StudentT",
    "TruncatedGaussian",
    "Uniform",
    "VonMises",
    "VonMisesFisher",
    "Weibull",
    "Wishart",
    "conversion",
    "kl",
    "kl_rule",
    "own",
    "parameter",
    "sample",
    "survival",
    "survival_rule",
]

from stochastic_net.distributions import _gaussian_kl as _gaussian_kl
from stochastic_net.distributions import _numpyro as _numpyro
