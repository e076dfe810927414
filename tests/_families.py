"""The families of the room `distributions`: one row each, for every law of the test_family files.

Truth is scipy in float64, or a formula in float64 where scipy has none, at the very float32
parameters that the family is given.
"""

import contextlib
import dataclasses
import functools
import math

import jax
import numpy as np
import pytest
import scipy.special as special
import scipy.stats as stats
from _laws import BinaryConcrete, Categorical, Kumaraswamy, VonMises

import stochastic_net.distributions as d


@dataclasses.dataclass(frozen=True, eq=False)
class Row:
    """A family. Parameters are lists of one length: the settings that every law is tried on."""

    family: type
    truth: object  # parameters in float64 -> a law with logpdf or logpmf, cdf, ppf, mean, var
    ordinary: dict  # settings where the gradient of an expectation is measured
    extreme: dict = dataclasses.field(
        default_factory=dict
    )  # further settings, for the densities and the draws
    periodic: bool = False
    lacks: tuple = ()  # methods without a closed form

    @property
    def settings(self):
        """All settings, each parameter an array of float32."""
        joined = {n: [*v, *self.extreme.get(n, [])] for n, v in self.ordinary.items()}
        return {n: single(v) for n, v in joined.items()}

    def ordinary_arrays(self):
        return {n: single(v) for n, v in self.ordinary.items()}

    @property
    def discrete(self):
        return hasattr(self.law({n: v[0] for n, v in self.settings.items()}), "logpmf")

    def law(self, setting):
        return self.truth(**{n: np.asarray(v, np.float64) for n, v in setting.items()})

    def laws(self, settings=None):
        settings = self.settings if settings is None else settings
        count = len(next(iter(settings.values())))
        return [self.law({n: v[i] for n, v in settings.items()}) for i in range(count)]

    def build(self, dtype="float32", settings=None):
        settings = self.settings if settings is None else settings
        return self.family(
            **{n: v if v.dtype == "int32" else v.astype(dtype) for n, v in settings.items()}
        )


def single(values):
    """Whole numbers as int32, others as float32."""
    array = np.asarray(values)
    return array.astype("int32" if array.dtype.kind == "i" else "float32")


def location_scale(law, **named):
    """Ordinary and extreme settings of a family of `loc` and `scale`."""
    ordinary = {"loc": [0.0, -1.5, 3.0], "scale": [1.0, 0.3, 2.5]}
    extreme = {"loc": [0.0, 0.0, 1e4], "scale": [1e-12, 1e12, 1.0]}
    return ordinary, extreme


def two(first, second, a, b, extreme_a=(), extreme_b=()):
    return ({first: a, second: b}, {first: list(extreme_a), second: list(extreme_b)})


def truncated(loc, scale, low, high):
    return stats.truncnorm((low - loc) / scale, (high - loc) / scale, loc=loc, scale=scale)


sigmoid = special.expit
LOCATION_SCALE = location_scale(None)
SHAPES = [0.3, 1.0, 2.0, 7.0], [1.0, 0.5, 3.0, 2.0]
ROWS = {
    "LogNormal": Row(
        d.LogNormal,
        lambda loc, scale: stats.lognorm(scale, scale=np.exp(loc)),
        *two("loc", "scale", [0.0, -1.0, 2.0], [1.0, 0.3, 1.5], [0.0, 5.0], [1e-2, 3.0]),
    ),
    "TruncatedGaussian": Row(
        d.TruncatedGaussian,
        truncated,
        {
            "loc": [0.0, 1.0, -2.0, 0.0],
            "scale": [1.0, 2.0, 0.5, 1.0],
            "low": [-1.0, 0.0, -3.0, 2.0],
            "high": [2.0, 1.5, -1.0, 5.0],
        },
        {
            "loc": [0.0, 0.0, 0.0, 1.0],
            "scale": [1.0, 1.0, 1.0, 1.0],
            "low": [5.5, -math.inf, 10.0, 0.5],
            "high": [20.0, -8.0, math.inf, 0.5 + 2**-10],
        },
    ),
    "HalfNormal": Row(
        d.HalfNormal,
        lambda scale: stats.halfnorm(scale=scale),
        {"scale": [1.0, 0.2, 5.0]},
        {"scale": [1e-12, 1e12]},
    ),
    "StudentT": Row(
        d.StudentT,
        lambda df, loc, scale: stats.t(df, loc, scale),
        {"df": [0.7, 3.0, 20.0], "loc": [0.0, -1.0, 2.0], "scale": [1.0, 0.5, 3.0]},
        {"df": [0.2, 1e3, 1e6], "loc": [0.0, 0.0, 0.0], "scale": [1.0, 1.0, 1.0]},
    ),
    "Laplace": Row(d.Laplace, stats.laplace, *LOCATION_SCALE),
    "Logistic": Row(d.Logistic, stats.logistic, *LOCATION_SCALE),
    "Cauchy": Row(d.Cauchy, stats.cauchy, *LOCATION_SCALE),
    "Gumbel": Row(d.Gumbel, stats.gumbel_r, *LOCATION_SCALE),
    "Exponential": Row(
        d.Exponential,
        lambda rate: stats.expon(scale=1 / rate),
        {"rate": [1.0, 0.2, 7.0]},
        {"rate": [1e-12, 1e12]},
    ),
    "Uniform": Row(
        d.Uniform,
        lambda low, high: stats.uniform(low, high - low),
        *two("low", "high", [0.0, -2.0, 3.0], [1.0, 5.0, 3.5], [-1e30, 1.0], [1e30, 1 + 2**-12]),
    ),
    "Weibull": Row(
        d.Weibull,
        lambda scale, concentration: stats.weibull_min(concentration, scale=scale),
        *two("scale", "concentration", *SHAPES, [1.0, 1.0, 1.0], [0.02, 0.1, 50.0]),
    ),
    "Pareto": Row(
        d.Pareto,
        lambda scale, alpha: stats.pareto(alpha, scale=scale),
        *two("scale", "alpha", [1.0, 0.5, 3.0], [1.5, 3.0, 9.0], [1.0, 1e-6], [0.1, 100.0]),
    ),
    "Kumaraswamy": Row(
        d.Kumaraswamy,
        Kumaraswamy,
        *two("concentration1", "concentration0", *SHAPES, [0.01, 30.0, 1e-3], [0.02, 50.0, 1e-3]),
    ),
    "Gamma": Row(
        d.Gamma,
        lambda concentration, rate: stats.gamma(concentration, scale=1 / rate),
        *two("concentration", "rate", *SHAPES, [1e-2, 1e3, 1e6], [1.0, 10.0, 1e-3]),
    ),
    "InverseGamma": Row(
        d.InverseGamma,
        lambda concentration, rate: stats.invgamma(concentration, scale=rate),
        *two("concentration", "rate", [0.7, 1.5, 4.0], [1.0, 0.5, 3.0], [0.05, 1e5], [1.0, 1e5]),
    ),
    "Beta": Row(
        d.Beta,
        lambda concentration1, concentration0: stats.beta(concentration1, concentration0),
        *two("concentration1", "concentration0", *SHAPES, [0.05, 1e3, 1e6], [0.02, 1e3, 1e5]),
    ),
    "InverseGaussian": Row(
        d.InverseGaussian,
        lambda loc, concentration: stats.invgauss(loc / concentration, scale=concentration),
        *two("loc", "concentration", [1.0, 0.5, 3.0], [1.0, 4.0, 2.0], [1.0, 1.0], [1e-2, 1e4]),
        lacks=("entropy",),
    ),
    "GeneralizedNormal": Row(
        d.GeneralizedNormal,
        lambda loc, scale, power: stats.gennorm(power, loc, scale),
        {"loc": [0.0, -1.0, 2.0], "scale": [1.0, 0.5, 3.0], "power": [0.8, 2.0, 5.0]},
        {"loc": [0.0, 0.0], "scale": [1.0, 1.0], "power": [0.3, 30.0]},
    ),
    "VonMises": Row(
        d.VonMises,
        VonMises,
        *two("loc", "concentration", [0.0, 1.0, -3.0], [0.5, 2.0, 10.0], [0.0, 0.3], [0.0, 1e4]),
        periodic=True,
        lacks=("cdf", "icdf"),
    ),
    "BinaryConcrete": Row(
        d.BinaryConcrete,
        BinaryConcrete,
        *two("temperature", "logits", [0.5, 1.0, 2.0], [0.0, -1.0, 1.5], [0.05, 0.3], [0.0, 8.0]),
        lacks=("mean", "var", "entropy"),
    ),
    "Bernoulli": Row(
        d.Bernoulli,
        lambda logits: stats.bernoulli(sigmoid(logits)),
        {"logits": [0.0, -1.0, 2.0]},
        {"logits": [-7.0, 10.0]},
        lacks=("icdf",),
    ),
    "Categorical": Row(
        d.Categorical,
        Categorical,
        {"logits": [[0.0, 0.0, 0.0], [1.0, -1.0, 0.5]]},
        {"logits": [[0.0, 9.0, -math.inf], [-8.0, 0.0, 100.0]]},
        lacks=("icdf",),
    ),
    "Binomial": Row(
        d.Binomial,
        lambda total_count, logits: stats.binom(total_count, sigmoid(logits)),
        *two(
            "total_count",
            "logits",
            [1, 10, 30],
            [0.0, -1.0, 2.0],
            [5, 1000, 10**5],
            [9.0, 0.1, -3.0],
        ),
        lacks=("icdf", "entropy"),
    ),
    "Poisson": Row(
        d.Poisson,
        lambda rate: stats.poisson(rate),
        {"rate": [0.3, 2.0, 15.0]},
        {"rate": [1e-3, 1e3, 1e6]},
        lacks=("icdf", "entropy"),
    ),
    "Geometric": Row(
        d.Geometric,
        lambda logits: stats.geom(sigmoid(logits), loc=-1),
        {"logits": [0.0, -1.0, 2.0]},
        {"logits": [-8.0, 6.0]},
        lacks=("icdf",),
    ),
    "NegativeBinomial": Row(
        d.NegativeBinomial,
        lambda total_count, logits: stats.nbinom(total_count, sigmoid(-logits)),
        *two("total_count", "logits", [0.5, 3.0, 20.0], [0.0, -1.0, 1.0], [0.05, 1e4], [2.0, 0.0]),
        lacks=("icdf", "entropy"),
    ),
}


CONTINUOUS = {name: row for name, row in ROWS.items() if not row.discrete}
DISCRETE = {name: row for name, row in ROWS.items() if row.discrete}
table = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
continuous = pytest.mark.parametrize("row", CONTINUOUS.values(), ids=CONTINUOUS)
discrete = pytest.mark.parametrize("row", DISCRETE.values(), ids=DISCRETE)
EPS = float(np.finfo("float32").eps)
TINY = float(np.finfo("float32").tiny)
LARGEST = float(np.finfo("float32").max)


def exact(array):
    return np.asarray(array, np.float64)


def precision(dtype):
    return jax.enable_x64(True) if dtype == "float64" else contextlib.nullcontext()


PROBABILITIES = np.array([1e-9, 1e-6, 1e-3, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98, 0.999, 1 - 1e-6])


@functools.cache
def values(row):
    """Values in the middle and in the tails of each law: shape (probabilities, settings), float32.

    What a float32 cannot hold apart from the end of the support stays out: NaN.
    """
    with np.errstate(all="ignore"):
        x = np.stack([law.ppf(PROBABILITIES) for law in row.laws()], 1).astype("float32")
    if row.periodic:
        x = np.arctan2(np.sin(x), np.cos(x))
    dist = row.build()
    inside = np.asarray(jax.jit(lambda d, x: d.support.contains(x))(dist, x)) & np.isfinite(x)
    inside &= (abs(x) >= TINY) | (row.discrete | (x == 0))
    return np.where(inside, x, np.nan).astype("float32")


def nodes(row, law, kink=()):
    """Gauss-Legendre nodes and weights between the quantiles of `law`, in the coordinate t that
    opens the support: the value, its logarithm or its logit."""
    q = np.concatenate([np.geomspace(1e-15, 0.5, 100), 1 - np.geomspace(0.49, 1e-13, 80)])
    with np.errstate(all="ignore"):
        edges = np.append(exact(law.ppf(q)), kink)
        support = row.build().support
        if support is d._support.unit_interval:
            to, back, slope = (
                special.logit,
                special.expit,
                lambda t: special.expit(t) * special.expit(-t),
            )
            edges = np.concatenate([edges, law.isf(np.geomspace(1e-15, 0.5, 100))])
        elif support is d._support.positive:
            to, back, slope = np.log, np.exp, np.exp
        else:
            to, back, slope = np.array, np.array, np.ones_like
        edges = np.unique(to(np.linspace(-np.pi, np.pi, 200) if row.periodic else edges))
    edges = edges[np.isfinite(edges)]
    points, weights = np.polynomial.legendre.leggauss(12)
    half = (edges[1:] - edges[:-1])[:, None] / 2
    t = ((edges[1:] + edges[:-1])[:, None] / 2 + half * points).ravel()
    return back(t), (half * weights).ravel() * slope(t)
