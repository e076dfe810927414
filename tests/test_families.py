"""The families of the room `distributions`: one row each, and every law on every row.

Truth is scipy in float64, or a formula in float64 where scipy has none, at the very float32
parameters that the family is given. False alarms: the Kolmogorov-Smirnov tests are held to a
distance that is exceeded with probability 1e-9 each, the z-tests to 5.5 sigma (4e-8 each): with
about 100 of the first and 500 of the second, 2e-5 for the whole file. Keys are fixed.
"""

import contextlib
import functools
import math
import types
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special as special
import scipy.stats as stats
from jax.experimental import checkify

import stochastic_net as sn
import stochastic_net.distributions as d


class Row(NamedTuple):
    """A family. Parameters are lists of one length: the settings that every law is tried on."""

    family: type
    truth: object  # parameters in float64 -> a law with logpdf or logpmf, cdf, ppf, mean, var
    ordinary: dict  # settings where the gradient of an expectation is measured
    extreme: dict = types.MappingProxyType({})  # further settings, for the densities and the draws
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


class Law:
    """A law given by its cdf, of which scipy has none."""

    def expect(self, f):
        """E f by Gauss-Legendre quadrature over the probability, from either end."""
        edges = np.concatenate([np.geomspace(1e-300, 1e-6, 150), np.geomspace(2e-6, 0.5, 80)])
        nodes, weights = np.polynomial.legendre.leggauss(20)
        half = (edges[1:] - edges[:-1])[:, None] / 2
        q = (edges[1:] + edges[:-1])[:, None] / 2 + half * nodes
        with np.errstate(all="ignore"):
            terms = half * weights * (f(self.ppf(q)) + f(self.isf(q)))
        return terms[np.isfinite(terms)].sum()

    def mean(self):
        return self.expect(lambda z: z)

    def var(self):
        mean = self.mean()
        return self.expect(lambda z: (z - mean) ** 2)

    def entropy(self):
        return -self.expect(self.logpdf)


class Kumaraswamy(Law):
    def __init__(self, concentration1, concentration0):
        self.a, self.b = concentration1, concentration0

    def logpdf(self, x):
        log_x = np.log(x)
        rest = np.log(-np.expm1(self.a * log_x))
        return np.log(self.a * self.b) + (self.a - 1) * log_x + (self.b - 1) * rest

    def cdf(self, x):
        return -np.expm1(self.b * np.log(-np.expm1(self.a * np.log(x))))

    def ppf(self, q):
        return np.exp(np.log(-np.expm1(np.log1p(-q) / self.b)) / self.a)

    def isf(self, q):
        return np.exp(np.log(-np.expm1(np.log(q) / self.b)) / self.a)


class BinaryConcrete(Law):
    def __init__(self, temperature, logits):
        self.t, self.l = temperature, logits

    def logpdf(self, x):
        y = self.t * special.logit(x) - self.l
        log_density = special.log_expit(y) + special.log_expit(-y)
        return np.log(self.t) + log_density - np.log(x) - np.log1p(-x)

    def cdf(self, x):
        return special.expit(self.t * special.logit(x) - self.l)

    def ppf(self, q):
        return special.expit((self.l + special.logit(q)) / self.t)

    def isf(self, q):
        return special.expit((self.l - special.logit(q)) / self.t)


class VonMises:
    """scipy's, on [-pi, pi] wherever its mean direction is; its variance is the circular one."""

    def __init__(self, loc, concentration):
        self.loc, self.k = loc, concentration
        self.law = stats.vonmises(kappa=max(concentration, 1e-12))

    def logpdf(self, x):
        half = np.sin((x - self.loc) / 2)
        return -2 * self.k * half * half - np.log(2 * np.pi * special.i0e(self.k))

    def cdf(self, x):
        return self.law.cdf(x - self.loc) - self.law.cdf(-np.pi - self.loc)

    def ppf(self, q):
        return self.law.ppf(q) + self.loc  # not wrapped: for functions of period 2 pi

    def mean(self):
        return self.loc

    def var(self):
        if self.k > 1e3:  # DLMF 10.40.1
            return 1 / (2 * self.k) + 1 / (8 * self.k**2) + 1 / (8 * self.k**3)
        return 1 - special.ive(1, self.k) / special.ive(0, self.k)

    def entropy(self):
        return np.log(2 * np.pi * special.i0e(self.k)) + self.k * self.var()


class Categorical:
    def __init__(self, logits):
        self.p = special.softmax(logits)
        self.low, self.high = 0, len(self.p) - 1

    def logpmf(self, k):
        with np.errstate(divide="ignore"):
            return np.log(self.p)[np.asarray(k).astype(int)]

    def cdf(self, x):
        return np.append(0.0, np.cumsum(self.p))[
            np.clip(np.floor(x) + 1, 0, len(self.p)).astype(int)
        ]

    def ppf(self, q):
        return np.searchsorted(np.cumsum(self.p), q)

    def mean(self):
        return (self.p * np.arange(len(self.p))).sum()

    def var(self):
        return (self.p * (np.arange(len(self.p)) - self.mean()) ** 2).sum()

    def entropy(self):
        return -special.xlogy(self.p, self.p).sum()


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


def log_density(law, x):
    with np.errstate(all="ignore"):
        return law.logpmf(x) if hasattr(law, "logpmf") else law.logpdf(x)


PROBABILITIES = np.array([1e-9, 1e-6, 1e-3, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98, 0.999, 1 - 1e-6])


def values(row):
    """Values in the middle and in the tails of each law: shape (probabilities, settings), float32.

    What a float32 cannot hold apart from the end of the support stays out: NaN.
    """
    with np.errstate(all="ignore"):
        x = np.stack([law.ppf(PROBABILITIES) for law in row.laws()], 1).astype("float32")
    if row.periodic:
        x = np.arctan2(np.sin(x), np.cos(x))
    dist = row.build()
    inside = np.asarray(dist.support.contains(jnp.asarray(x))) & np.isfinite(x)
    inside &= (abs(x) >= TINY) | (row.discrete | (x == 0))
    return np.where(inside, x, np.nan).astype("float32")


def true_log_prob(row, x):
    """The truth at x, and the change that a relative change of one in its arguments makes."""
    settings, count = row.settings, x.shape[1]
    truth, conditioning = np.empty(x.shape), np.zeros(x.shape)
    for i in range(count):
        setting = {n: exact(v[i]) for n, v in settings.items()}
        at = exact(x[:, i])
        truth[:, i] = log_density(row.law(setting), at)
        step = 1e-6
        for name in setting:
            if row.discrete and name == "total_count":
                continue
            with np.errstate(all="ignore"):
                moved = row.law({**setting, name: setting[name] * (1 + step)})
                change = abs(log_density(moved, at) - truth[:, i]) / step
            conditioning[:, i] += np.where(np.isfinite(change), change, 0)
        if not row.discrete:
            with np.errstate(all="ignore"):
                change = abs(log_density(row.law(setting), at * (1 - step)) - truth[:, i]) / step
            conditioning[:, i] += np.where(np.isfinite(change), change, 0)
    return truth, conditioning


@table
def test_log_prob_is_float32_exact(row):
    # To 6 roundings of the result, of 1, and of what one rounding of each argument does.
    x = values(row)
    got = exact(jax.jit(lambda dist, x: dist.log_prob(x))(row.build(), x))
    truth, conditioning = true_log_prob(row, x)
    seen = ~np.isnan(x) & np.isfinite(truth)
    assert seen.mean() > 0.4
    assert np.isnan(got[np.isnan(x)]).all()  # NaN in, NaN out
    error = abs(got - truth)[seen] / (EPS * (1 + abs(truth) + conditioning))[seen]
    assert error.max() < ALLOWED.get(row.family, 6), (error.max(), x[seen][error.argmax()])


ALLOWED = {}


@table
def test_the_density_integrates_to_one(row):
    with jax.enable_x64(True):
        for i, law in enumerate(row.laws(row.ordinary_arrays())):
            dist = row.build("float64", row.ordinary_arrays())
            dist = jax.tree.map(lambda leaf, i=i: leaf[i], dist)
            if row.discrete:
                x, weights = np.arange(0, law.ppf(1 - 1e-13) + 10), 1.0
                x = x[np.asarray(dist.support.contains(jnp.asarray(x)))]
            else:
                x, weights = nodes(row, law)
            total = (weights * np.exp(exact(dist.log_prob(jnp.asarray(x))))).sum()
            np.testing.assert_allclose(total, 1, rtol=1e-6)


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


FUNCTIONS = ["mean", "var", "entropy"]


@pytest.mark.parametrize("name", FUNCTIONS)
@table
def test_moments(row, name):
    dist = row.build()
    get = {"mean": lambda p: p.mean, "var": lambda p: p.var, "entropy": lambda p: p.entropy()}[name]
    if name in row.lacks:
        with pytest.raises(NotImplementedError, match=f"no closed form of {name}. Estimate it"):
            get(dist)
        return
    got = exact(jax.jit(get)(dist))
    for i, law in enumerate(row.laws()):
        if (
            name == "entropy"
            and isinstance(law, Law)
            and i >= len(next(iter(row.ordinary.values())))
        ):
            continue  # where a float64 cannot hold what is next to 1
        with np.errstate(all="ignore"):
            truth = true_moment(row, law, name)
        size = abs(truth) + (1 if name == "entropy" else 0)
        if name == "mean" and np.isfinite(truth):
            size = size + np.sqrt(np.nan_to_num(law.var(), nan=1.0, posinf=0))
        limit = np.finfo("float32").max
        if abs(truth) > limit:
            truth = np.copysign(np.inf, truth)
        if not np.isfinite(truth):
            assert np.isnan(got[i]) == np.isnan(truth), (i, got[i], truth)
            assert np.isnan(truth) or got[i] == truth
        else:
            tolerance = MOMENT_ERRORS.get((row.family, name), 1e-5)
            assert abs(got[i] - truth) <= tolerance * size + TINY, (i, got[i], truth)


def true_moment(row, law, name):
    truth = exact(getattr(law, name)())
    if row.family is d.StudentT and name == "mean" and np.isinf(truth):
        return exact(np.nan)  # scipy's is infinite where there is none
    if name == "entropy" and np.isnan(truth):
        x, weights = nodes(row, law)
        log_p = law.logpdf(x)
        return -(weights * np.exp(log_p) * log_p).sum()
    return truth


MOMENT_ERRORS = {(d.Weibull, "var"): 1e-3, (d.Kumaraswamy, "var"): 1e-3}


@continuous
def test_cdf_and_icdf(row):
    dist, x = row.build(), values(row)
    if "cdf" in row.lacks:
        with pytest.raises(NotImplementedError, match="no closed form of cdf"):
            dist.cdf(x)
        return
    got = exact(jax.jit(lambda dist, x: dist.cdf(x))(dist, x))
    with np.errstate(all="ignore"):
        truth = np.stack([law.cdf(exact(x[:, i])) for i, law in enumerate(row.laws())], 1)
        density = np.stack(
            [np.exp(law.logpdf(exact(x[:, i]))) for i, law in enumerate(row.laws())], 1
        )
        allowed = 3e-5 * truth + 8 * EPS * abs(exact(x)) * density + 4 * EPS
    seen = ~np.isnan(x)
    assert (abs(got - truth) <= allowed)[seen].all(), (abs(got - truth) / allowed)[seen].max()
    if "icdf" in row.lacks:
        with pytest.raises(NotImplementedError, match="no closed form of icdf"):
            dist.icdf(0.5)
        return
    q = np.float32([1e-6, 1e-3, 0.1, 0.5, 0.9, 0.999])
    q = np.broadcast_to(q[:, None], (6, x.shape[1]))
    got = exact(jax.jit(row.family.icdf)(dist, q))
    with np.errstate(all="ignore"):
        again = np.stack([law.cdf(got[:, i]) for i, law in enumerate(row.laws())], 1)
    with np.errstate(all="ignore"):
        size = np.stack([np.exp(law.logpdf(got[:, i])) for i, law in enumerate(row.laws())], 1)
        about = abs(got) + abs(exact(row.settings.get("loc", 0.0)))  # what is rounded
        size = np.nan_to_num(size * about, posinf=0)
    inner = (abs(got) > TINY) & (abs(got) < 0.99 * LARGEST)
    inner &= got < np.asarray(dist.support.high) * (1 - EPS)
    assert (abs(again - q) <= 1e-5 * np.minimum(q, 1) + 30 * EPS * size)[inner].all()
    low, high = (exact(jax.jit(row.family.icdf)(dist, end)) for end in (0.0, 1.0))
    np.testing.assert_array_equal(low, np.broadcast_to(dist.support.low, low.shape))
    np.testing.assert_array_equal(high, np.broadcast_to(dist.support.high, high.shape))
    with pytest.raises(ValueError, match="q must be a probability"):
        dist.icdf(1.5)


@continuous
def test_cdf_and_icdf_move_with_all_parameters(row):
    # Along one direction: the cdf by differences, and icdf by what it is, the inverse of the cdf.
    if "cdf" in row.lacks:
        return
    with jax.enable_x64(True):
        dist = row.build("float64", row.ordinary_arrays())
        q = np.broadcast_to(np.array([[1e-3], [0.3], [0.5], [0.9]]), (4, *dist.shape))

        @jax.jit
        def measure(dist, q):
            def moved(t):
                return jax.tree.map(lambda leaf: leaf + t * (0.3 * leaf + 0.1), dist)

            x = dist.icdf(q)
            cdf, slope = jax.jvp(lambda t: moved(t).cdf(x), (0.0,), (1.0,))
            h = 1e-5
            difference = (moved(h).cdf(x) - moved(-h).cdf(x)) / (2 * h)
            again, still = jax.jvp(
                lambda t, q: moved(t).cdf(moved(t).icdf(q)), (0.0, q), (1.0, jnp.ones_like(q))
            )
            return cdf, slope, difference, again, still

        cdf, slope, difference, again, still = measure(dist, q)
        np.testing.assert_allclose(cdf, q, rtol=1e-9)
        np.testing.assert_allclose(again, q, rtol=1e-9)
        np.testing.assert_allclose(slope, difference, rtol=1e-5, atol=1e-9)
        np.testing.assert_allclose(still, 1.0, rtol=1e-7)


@discrete
def test_a_discrete_cdf_is_a_sum(row):
    dist, x = row.build(), values(row)
    got = exact(jax.jit(row.family.cdf)(dist, x + np.float32(0.25)))
    truth = np.stack([law.cdf(exact(x[:, i])) for i, law in enumerate(row.laws())], 1)
    seen = ~np.isnan(x)
    np.testing.assert_allclose(got[seen], truth[seen], rtol=2e-3, atol=1e-6)
    np.testing.assert_array_equal(exact(dist.cdf(-1)), 0.0)


DRAWS = 20_000


@table
def test_the_draws_have_the_law(row, key):
    dist = row.build()
    z = jax.jit(lambda dist, key: dist.sample(key, (DRAWS,)))(dist, key)
    assert z.dtype == ("int32" if row.discrete else "float32")
    assert np.asarray(dist.support.contains(z)).all()
    limit = math.sqrt(math.log(2 / 1e-9) / (2 * DRAWS))  # Dvoretzky, Kiefer and Wolfowitz
    for column, law in zip(exact(z).T, row.laws(), strict=True):
        assert distance(column, law) < limit


def distance(draws, law):
    """Between the empirical cdf and the law's, at the draws: ties and atoms are as good as any."""
    points, counts = np.unique(draws, return_counts=True)
    # At the largest float32 and beyond its smallest one all that is further out has been gathered.
    points = np.where(points >= np.finfo("float32").max, np.inf, points)
    is_beta = getattr(getattr(law, "dist", None), "name", "") == "beta"
    if isinstance(law, Kumaraswamy | BinaryConcrete) or is_beta:
        # What rounds to a float32 next to 1 may lie half a step above it, and beyond the last one.
        half_step = np.spacing(points.astype("float32")).astype("float64") / 2
        points = np.where(points >= 1 - EPS / 2, 1.0, points + half_step)
    with np.errstate(all="ignore"):
        return abs(np.cumsum(counts) / draws.size - law.cdf(points)).max()


@table
def test_the_draw_is_the_same_however_it_is_made(row):
    dist, keys = row.build(), jax.random.split(jax.random.key(3), 2)
    plain = [dist.sample(jax.random.clone(k), (4,)) for k in keys]
    jitted = [jax.jit(lambda p, k: p.sample(k, (4,)))(dist, jax.random.clone(k)) for k in keys]
    mapped = jax.vmap(lambda p, k: p.sample(k, (4,)), (None, 0))(dist, keys)
    for a, b, c in zip(plain, jitted, mapped, strict=True):
        np.testing.assert_allclose(exact(a), exact(b), rtol=2e-5, atol=1e-30)
        np.testing.assert_allclose(exact(a), exact(c), rtol=2e-5, atol=1e-30)


TESTS = [jnp.tanh, lambda y: jnp.sin(2 * y + 0.5), lambda y: jnp.exp(-jnp.square(y))]
NUMPY_TESTS = [np.tanh, lambda y: np.sin(2 * y + 0.5), lambda y: np.exp(-np.square(y))]


@continuous
def test_the_gradient_of_an_expectation_is_unbiased(row, key):
    # Truth: the derivative of the integral of f(ppf(u)) over u, by quadrature and differences.
    settings = row.ordinary_arrays()
    laws = row.laws(settings)
    if row.periodic:
        middle, width = np.zeros(len(laws)), np.ones(len(laws))
        scaled = [
            lambda z: jnp.cos(z - 0.3),
            lambda z: jnp.sin(2 * z),
            lambda z: jnp.exp(jnp.sin(z)),
        ]
        true = [lambda z: np.cos(z - 0.3), lambda z: np.sin(2 * z), lambda z: np.exp(np.sin(z))]
    else:
        middle = np.array([law.ppf(0.5) for law in laws])
        width = np.array([law.ppf(0.8) - law.ppf(0.2) for law in laws])
        scaled, true = TESTS, NUMPY_TESTS
    repeated = {n: np.broadcast_to(v, (DRAWS, *v.shape)) for n, v in settings.items()}
    dist = row.build(settings=repeated)

    def many(dist):
        y = (dist.sample(key) - jnp.float32(middle)[None]) / jnp.float32(width)[None]
        return [f(y) for f in scaled]

    _, pullback = jax.vjp(jax.jit(many), dist)
    ones = jnp.ones((DRAWS, len(laws)), "float32")
    for j, f in enumerate(true):
        (grad,) = pullback([ones * float(i == j) for i in range(3)])
        chex.assert_tree_all_finite(grad)
        for name in settings:
            draws = exact(getattr(grad, name))
            error = draws.std(0) / math.sqrt(DRAWS)
            for i in range(len(laws)):
                setting = {n: exact(v[i]) for n, v in settings.items()}
                truth = slope(row, setting, name, lambda z, i=i, f=f: f((z - middle[i]) / width[i]))
                assert abs(draws[:, i].mean() - truth) < 5.5 * error[i] + 2e-6, (
                    name, i, j, draws[:, i].mean(), truth, error[i],
                )  # fmt: skip


def slope(row, setting, name, f):
    """d E f(z) / d parameter."""
    step = 1e-4 * max(abs(setting[name]), 1e-2)
    u, weights = unit_nodes()
    up, down = ({**setting, name: setting[name] + s} for s in (step, -step))
    return (weights * (f(row.law(up).ppf(u)) - f(row.law(down).ppf(u)))).sum() / (2 * step)


@functools.cache
def unit_nodes():
    """Nodes and weights on (0, 1), dense at both ends."""
    edges = np.concatenate([np.geomspace(1e-12, 0.5, 30), 1 - np.geomspace(0.47, 1e-12, 30)])
    points, weights = np.polynomial.legendre.leggauss(10)
    half = (edges[1:] - edges[:-1])[:, None] / 2
    u = (edges[1:] + edges[:-1])[:, None] / 2 + half * points
    return u.ravel(), (half * weights).ravel()


@continuous
def test_gradients_are_finite_everywhere(row):
    dist, key = row.build(), jax.random.key(2)
    # Each draw's own derivative, bounded so that the sum of 2000 does not overflow.
    _, pullback = jax.vjp(jax.jit(lambda p: jnp.tanh(p.sample(key, (2000,)))), dist)
    (grad,) = pullback(jnp.ones((2000, *dist.shape), "float32"))
    finite = [np.isfinite(leaf).all() for leaf in jax.tree.leaves(grad)]
    assert all(finite), grad

    def masked(dist, x):
        gone = ~dist.support.contains(x)
        x = jnp.where(gone, x, dist.sample(jax.random.key(1)))
        return jnp.where(gone, dist.log_prob(x), 0.0).sum()

    slope_of = jax.jit(jax.grad(masked))
    for x in (-np.inf, np.inf, 0.0, 1.0, -3.0):
        chex.assert_trees_all_equal(slope_of(dist, x), jax.tree.map(jnp.zeros_like, dist))


@table
def test_outside_the_support_the_density_is_zero(row):
    dist, log_prob = row.build(), jax.jit(row.family.log_prob)
    slope_of = jax.jit(jax.grad(lambda x, p: p.log_prob(x).sum()))
    for x in (-np.inf, np.inf):
        np.testing.assert_array_equal(exact(log_prob(dist, x)), -np.inf)
        assert slope_of(x, dist) == 0
    assert np.isnan(exact(log_prob(dist, np.nan))).all()
    if "cdf" not in row.lacks:
        cdf = jax.jit(row.family.cdf)
        np.testing.assert_array_equal(exact(cdf(dist, -np.inf)), 0.0)
        np.testing.assert_array_equal(exact(cdf(dist, np.inf)), 1.0)
    if row.discrete:
        np.testing.assert_array_equal(exact(log_prob(dist, 0.5)), -np.inf)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@table
def test_dtypes(row, dtype):
    def draw(dist):
        z = dist.sample(jax.random.key(1), (500,))
        return z, dist.log_prob(z), dist.support.contains(z)

    with precision(dtype):
        settings = row.ordinary_arrays() if "16" in dtype else row.settings
        dist = row.build(dtype, settings)
        z, log_prob, inside = jax.jit(draw)(dist)
        assert np.asarray(inside).all()
        assert z.dtype == ("int32" if row.discrete else dtype)
        assert dist.dtype == log_prob.dtype == dtype
        if "mean" not in row.lacks:
            mean, var = jax.eval_shape(lambda p: (p.mean, p.var), dist)
            assert mean.dtype == var.dtype == dtype
    if dtype != "float64":
        rounded = {n: v if v.dtype == "int32" else v.astype(dtype) for n, v in settings.items()}
        wide = jax.jit(draw)(row.build("float32", rounded))[0]
        info = jnp.finfo(dtype)
        largest = np.abs(exact(wide)) >= 0.99 * float(info.max)
        # One rounding apart: the program of the other dtype may be fused otherwise.
        rounding = 0.0 if row.discrete else float(info.eps)
        same = np.abs(exact(wide) - exact(z)) <= rounding * np.abs(exact(wide))
        same = same | largest
        near_zero = np.abs(exact(z)) <= 2 * float(info.tiny)
        near_one = np.abs(1 - exact(z)) <= 2 * float(info.eps)
        assert (same | near_zero | near_one).all()


@table
def test_shapes(row):
    dist = jax.tree.map(lambda leaf: jnp.asarray(leaf[:2]), row.build())
    event = dist.event_shape
    assert dist.batch_shape == (2,)
    assert dist.shape == (2, *event)

    def draw(dist, shape=()):
        return jax.eval_shape(lambda p: p.sample(jax.random.key(0), shape), dist).shape

    def score(dist, x):
        return jax.eval_shape(lambda p: p.log_prob(x), dist).shape

    assert draw(dist, (3, 4)) == (3, 4, 2, *event)
    assert score(dist, jnp.zeros((5, 2), "float32")) == (5, 2)
    first, *rest = (getattr(dist, name) for name in row.settings)
    if rest:  # parameters of shapes (2,) and (3, 1) broadcast, and keep their shapes
        wide = row.family(first, *(jnp.stack([leaf[:1]] * 3) for leaf in rest))
        assert wide.batch_shape == (3, 2)
        assert draw(wide) == (3, 2)
        if not row.discrete:
            loss = lambda p: p.log_prob(p.sample(jax.random.key(0))).sum()  # noqa: E731
            shapes = jax.eval_shape(jax.grad(loss), wide)
            for name in row.settings:
                assert getattr(shapes, name).shape == getattr(wide, name).shape
    empty = jax.tree.map(lambda leaf: leaf[:0], dist)
    assert jax.jit(lambda p: p.sample(jax.random.key(0)))(empty).shape == (0, *event)
    assert score(empty, jnp.zeros((3, 0, *event), "float32")) == (3, 0)


@table
def test_a_family_is_a_pytree(row):
    dist = row.build()
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(dist)]
    assert paths == [f".{name}" for name in row.settings]
    for again in (jax.jit(lambda p: p)(dist), jax.tree.map(lambda leaf: leaf, dist)):
        assert type(again) is row.family
        chex.assert_trees_all_equal(again, dist)
    keys = jax.random.split(jax.random.key(0), *dist.batch_shape)
    mapped = jax.eval_shape(jax.vmap(row.family.sample), dist, keys)
    assert mapped.shape == dist.shape
    value = row.laws()[0].ppf(0.5)
    one = jax.jit(row.family.log_prob)(dist, np.float32(value))
    mapped = jax.jit(jax.vmap(row.family.log_prob, (0, None)))(dist, np.float32(value))
    np.testing.assert_allclose(exact(mapped), exact(one), rtol=2e-6, atol=2e-6)
    assert jax.tree.unflatten(jax.tree.structure(dist), [None] * len(paths)) is not None


@table
def test_a_wrong_parameter_is_refused(row):
    settings = row.ordinary_arrays()
    for name, rule in row.family._fields.items():
        good = {n: jnp.asarray(v) for n, v in settings.items()}
        if not rule.support.integer:
            bad = {**good, name: good[name].at[1].set(jnp.nan)}
            with pytest.raises(ValueError, match=f"{name} of {row.family.__name__} must be .* of "):
                row.family(**bad)
            with pytest.raises(ValueError, match=f"{name} of {row.family.__name__} must be"):
                checkify.checkify(jax.jit(lambda p: row.family(**p).sample(jax.random.key(0))))(
                    bad
                )[0].throw()
            with pytest.raises(TypeError, match=f"{name} must be a Python number or a floating"):
                row.family(**{**good, name: jnp.ones(3, "int32")})
        if str(rule.support).endswith("positive"):
            with pytest.raises(ValueError, match=f"{name} .*must be finite and positive.*-1.0"):
                row.family(**{**good, name: good[name].at[1].set(-1.0)})
        with pytest.raises(TypeError, match=f"{name} must be an array, got list"):
            row.family(**{**good, name: [1.0]})
        if len(good) > 1:
            with pytest.raises(ValueError, match=f"{row.family.__name__} must broadcast together"):
                row.family(**{**good, name: jnp.stack([good[name][0]] * 2)})
    dist = row.build()
    with pytest.raises(ValueError, match=r"ends with the .* of shape"):
        dist.log_prob(jnp.zeros((len(dist.batch_shape) + 77,), "float32"))
    with pytest.raises(TypeError, match="typed JAX key"):
        dist.sample(0)
    with pytest.raises(ValueError, match="shape must be a tuple"):
        dist.sample(jax.random.key(0), 3)


def test_python_numbers_take_the_dtype_of_the_arrays():
    assert d.Laplace(0, jnp.ones(3, "bfloat16")).dtype == "bfloat16"
    assert d.Laplace(0, 1).dtype == jnp.result_type(float)
    assert jax.grad(lambda s: d.Laplace(0.0, s).entropy())(2.0) == 0.5
    assert d.Laplace(jnp.zeros(3, "bfloat16"), jnp.ones(3, "float32")).loc.dtype == "float32"


def test_bounds_must_be_in_order():
    for family in (d.Uniform, lambda low, high: d.TruncatedGaussian(low=low, high=high)):
        with pytest.raises(ValueError, match="low < high"):
            family(1.0, 1.0)


TRANSFORMS = {
    "grad": lambda f, x: jax.grad(f)(x),
    "jit of grad": lambda f, x: jax.jit(jax.grad(f))(x),
    "grad of jit": lambda f, x: jax.grad(jax.jit(f))(x),
    "jvp": lambda f, x: jax.jvp(f, (x,), (x,)),
    "vmap": lambda f, x: jax.vmap(jax.grad(f))(jax.tree.map(lambda leaf: leaf[None], x)),
    "grad of vmap": lambda f, x: jax.grad(lambda x: jax.vmap(f)(x).sum())(
        jax.tree.map(lambda leaf: leaf[None], x)
    ),
}


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
@discrete
def test_no_discrete_draw_is_silently_constant(row, transform):
    dist = row.build()
    names = [n for n, rule in row.family._fields.items() if not rule.support.integer]

    def draw(parameters, dist=dist):
        whole = {n: getattr(dist, n) for n in row.settings} | parameters
        whole = {n: jnp.asarray(v) for n, v in whole.items()}
        tree = jax.tree.unflatten(jax.tree.structure(dist), [whole[n] for n in row.settings])
        return tree.sample(jax.random.key(0)).astype("float32").sum()

    for name in names:
        if "total_count" in row.settings and "vmap" in str(transform):
            continue
        with pytest.raises(TypeError, match=r"discrete.*score_function.*leave_one_out"):
            transform(draw, {name: getattr(dist, name)})
    held = {n: getattr(dist, n) for n in names}
    stopped = jax.grad(lambda p: draw(jax.lax.stop_gradient(p)) * 1.0)(held)
    chex.assert_trees_all_equal(stopped, jax.tree.map(jnp.zeros_like, held))


def test_a_finite_support_is_enumerated():
    dists = {
        "Bernoulli": d.Bernoulli(jnp.float32([0.3, -2.0])),
        "Categorical": d.Categorical(jnp.float32([[0.3, -2.0, 1.0], [0.0, -jnp.inf, 2.0]])),
        "OneHot": d.OneHotCategorical(jnp.float32([[0.3, -2.0, 1.0], [0.0, -jnp.inf, 2.0]])),
        "Binomial": d.Binomial(jnp.int32([7, 3]), jnp.float32([0.2, -1.0])),
    }
    sizes = {"Bernoulli": 2, "Categorical": 3, "OneHot": 3, "Binomial": 8}
    for name, dist in dists.items():
        x = dist.enumerate_support()
        assert x.shape == (sizes[name], *dist.shape)
        p = jnp.exp(dist.log_prob(x))
        np.testing.assert_allclose(p.sum(0), 1, rtol=1e-5)
        wide = p.reshape(p.shape + (1,) * len(dist.event_shape))
        np.testing.assert_allclose((wide * x.astype("float32")).sum(0), dist.mean, rtol=1e-5)
    with pytest.raises(NotImplementedError, match="finite support"):
        d.Poisson(1.0).enumerate_support()
    with pytest.raises(TypeError, match="known when the function is traced"):
        jax.jit(lambda n: d.Binomial(n, 0.0).enumerate_support())(3)


def test_one_hot_is_a_categorical_vector(key):
    logits = jnp.float32([[0.3, -2.0, 1.0], [0.0, -jnp.inf, 2.0]])
    one_hot, index = d.OneHotCategorical(logits), d.Categorical(logits)
    z = one_hot.sample(key, (DRAWS,))
    assert np.asarray(one_hot.support.contains(z)).all()
    limit = 5.5 / math.sqrt(DRAWS)
    assert abs(exact(z.mean(0)) - exact(one_hot.probs)).max() < limit * 0.5
    np.testing.assert_allclose(one_hot.log_prob(z), index.log_prob(z.argmax(-1)), rtol=1e-6)
    np.testing.assert_allclose(one_hot.entropy(), index.entropy(), rtol=1e-6)
    np.testing.assert_array_equal(exact(one_hot.log_prob(jnp.ones(3, "float32"))), -np.inf)
    with pytest.raises(TypeError, match="OneHotCategorical is discrete"):
        jax.grad(lambda p: p.sample(jax.random.key(0)).sum())(one_hot)


@pytest.mark.parametrize(
    "build",
    [
        d.Bernoulli.from_probs,
        d.Geometric.from_probs,
        lambda p: d.Binomial.from_probs(5, p),
        lambda p: d.NegativeBinomial.from_probs(5.0, p),
        lambda p: d.Categorical.from_probs(jnp.stack([p, 1 - p], -1)),
        lambda p: d.OneHotCategorical.from_probs(jnp.stack([p, 1 - p], -1)),
    ],
)
def test_from_probs(build):
    probs = jnp.float32([1e-6, 0.3, 0.9])
    got = build(probs).probs
    np.testing.assert_allclose(got if got.ndim == 1 else got[..., 0], probs, rtol=1e-6)
    with pytest.raises(ValueError, match="probs must be probabilities"):
        build(probs + 0.5)


DIVERGENCES = {  # families, and settings of q beside the ordinary ones of p
    "LogNormal": (0.3, 0.2),
    "HalfNormal": (0.4,),
    "Laplace": (0.7, 0.5),
    "Cauchy": (0.7, 0.5),
    "Gumbel": (0.7, 0.5),
    "Exponential": (0.6,),
    "Weibull": (0.4, 0.5),
    "Gamma": (0.8, 0.5),
    "InverseGamma": (0.8, 0.5),
    "Beta": (0.8, 0.5),
    "InverseGaussian": (0.3, 0.5),
    "VonMises": (0.3, 0.8),
    "Bernoulli": (0.8,),
    "Categorical": (0.8,),
    "Poisson": (0.7,),
    "Geometric": (0.6,),
    "Binomial": (0, 0.7),
    "NegativeBinomial": (0.0, 0.7),
}


@pytest.mark.parametrize("size", [1.0, 1e-3])
@pytest.mark.parametrize("name", DIVERGENCES)
def test_the_divergence_is_the_integral(name, size):
    row, settings = ROWS[name], ROWS[name].ordinary_arrays()
    shifts = dict(zip(settings, DIVERGENCES[name], strict=True))
    other = {n: shifted(v, shifts[n], size, n) for n, v in settings.items()}
    p, q = row.build(settings=settings), row.build(settings=other)
    got = exact(jax.jit(sn.kl)(p, q))
    for i, (one, two) in enumerate(zip(row.laws(settings), row.laws(other), strict=True)):
        if row.discrete:
            x, weights = np.arange(0, one.ppf(1 - 1e-14) + 20), 1.0
            x = x[: getattr(one, "high", 10**9) + 1]
        else:
            x, weights = nodes(row, one, two.ppf(0.5))
        log_p, log_q = log_density(one, x), log_density(two, x)
        seen = np.isfinite(log_p)
        with np.errstate(invalid="ignore"):
            terms = weights * np.exp(log_p) * (log_p - log_q)
        truth = terms[seen].sum()
        assert abs(got[i] - truth) <= 2e-5 * abs(truth) + 1e-6, (i, got[i], truth)
    np.testing.assert_allclose(exact(sn.kl(p, p)), 0, atol=1e-6)


def shifted(values, shift, size, name):
    moved = values + np.float32(size * shift) if name in ("loc", "logits") else values
    return (
        moved if name in ("loc", "logits", "total_count") else values * np.float32(1 + size * shift)
    )


def test_divergences_of_moving_supports_and_of_two_families():
    inf = np.inf
    u = d.Uniform(jnp.float32([0.0, -1.0]), jnp.float32([1.0, 1.0]))
    np.testing.assert_allclose(sn.kl(u, d.Uniform(0.0, 2.0)), [math.log(2), inf], rtol=1e-6)
    one, two = d.Pareto(jnp.float32([2.0, 1.0]), 3.0), d.Pareto(1.5, 2.0)
    truth = math.log(3 / 2) + 2 * math.log(2 / 1.5) + 2 / 3 - 1
    np.testing.assert_allclose(sn.kl(one, two), [truth, inf], rtol=1e-6)
    e, g = d.Exponential(2.0), d.Gamma(1.0, 3.0)
    np.testing.assert_allclose(sn.kl(e, g), sn.kl(e, d.Exponential(3.0)), rtol=1e-6)
    np.testing.assert_allclose(sn.kl(g, e), sn.kl(d.Exponential(3.0), e), rtol=1e-6)
    with pytest.raises(ValueError, match="equal total_count"):
        sn.kl(d.Binomial(3, 0.0), d.Binomial(4, 0.0))
    with pytest.raises(ValueError, match="shapes that broadcast"):
        sn.kl(d.Exponential(jnp.ones(2, "float32")), d.Exponential(jnp.ones(3, "float32")))


def test_the_divergence_at_large_concentrations():
    p, q = d.Gamma(jnp.float32(1e6), 1.0), d.Gamma(jnp.float32(1.001e6), 1.0)
    a, b = 1e6, 1.001e6
    truth = (a - b) * special.digamma(a) - special.gammaln(a) + special.gammaln(b)
    np.testing.assert_allclose(sn.kl(p, q), truth, rtol=1e-5)


def test_without_a_rule_the_divergence_is_estimated_with_a_key(key):
    p, q = d.Laplace(jnp.full(DRAWS, 0.3, "float32"), 1.0), sn.Gaussian(0.0, 2.0)
    with pytest.raises(TypeError, match=r"no KL divergence .* key=key, num_samples"):
        sn.kl(p, q)
    wide = jax.tree.map(lambda leaf: jnp.full(DRAWS, leaf), q)
    kl, pullback = jax.vjp(lambda p: sn.kl(p, wide, key=key), p)
    (grad,) = pullback(jnp.ones_like(kl))
    # E z^2 = loc^2 + 2 scale^2: KL = -1 - log 2 + log(4 pi)/2 + (loc^2 + 2) / 4
    truth = -1 - math.log(2) + math.log(4 * math.pi) / 2 + (0.09 + 2) / 4
    for draws, value in ((kl, truth), (grad.loc, 0.15)):
        error = exact(draws).std() / math.sqrt(DRAWS)
        assert abs(exact(draws).mean() - value) < 5.5 * error
    assert sn.kl(d.Poisson(3.0), d.Geometric(0.0), key=jax.random.key(1), num_samples=9).shape == ()
    with pytest.raises(TypeError, match="Poisson is discrete"):
        jax.grad(lambda p: sn.kl(p, d.Geometric(0.0), key=jax.random.key(1)))(d.Poisson(3.0))


def numpyro_distributions():
    dist = pytest.importorskip("numpyro").distributions
    half = jnp.float32([0.5, 1.5])
    return {
        "Normal": (dist.Normal(half, 2.0), sn.Gaussian),
        "expanded": (dist.Normal(0.0, 2.0).expand([2]), sn.Gaussian),
        "Gamma": (dist.Gamma(half, 2.0), d.Gamma),
        "Gamma, expanded": (dist.Gamma(0.5, 2.0).expand([3, 2]), d.Gamma),
        "Beta": (dist.Beta(half, 2.0), d.Beta),
        "StudentT": (dist.StudentT(half, 0.0, 2.0), d.StudentT),
        "VonMises": (dist.VonMises(half, 2.0), d.VonMises),
        "Chi2": (dist.Chi2(half), d.Gamma),
        "TruncatedNormal": (
            dist.TruncatedNormal(half, 2.0, low=-1.0, high=2.0),
            d.TruncatedGaussian,
        ),
        "left": (dist.TruncatedNormal(half, 2.0, low=-1.0), d.TruncatedGaussian),
        "right": (dist.TruncatedNormal(half, 2.0, high=1.0), d.TruncatedGaussian),
        "Kumaraswamy": (dist.Kumaraswamy(half, 2.0), d.Kumaraswamy),
        "Pareto": (dist.Pareto(half, 2.0), d.Pareto),
        "Weibull": (dist.Weibull(half, 2.0), d.Weibull),
        "Bernoulli": (dist.Bernoulli(probs=half / 2), d.Bernoulli),
        "Bernoulli, logits": (dist.Bernoulli(logits=half), d.Bernoulli),
        "Categorical": (dist.Categorical(logits=jnp.float32([0.0, 1.0])), d.Categorical),
        "Binomial": (dist.Binomial(7, probs=half / 2), d.Binomial),
        "Poisson": (dist.Poisson(half), d.Poisson),
        "Geometric": (dist.Geometric(probs=half / 2), d.Geometric),
        "NegativeBinomial": (dist.NegativeBinomialProbs(3.0, half / 2), d.NegativeBinomial),
        "NegativeBinomial2": (dist.NegativeBinomial2(half, 3.0), d.NegativeBinomial),
        "RelaxedBernoulli": (
            dist.RelaxedBernoulli(jnp.float32(0.5), logits=half),
            d.BinaryConcrete,
        ),
        "event": (dist.Laplace(half, 2.0).to_event(1), d.Independent),
    }


@pytest.mark.relaxed
def test_a_distribution_of_numpyro_is_drawn_by_our_samplers():
    for name, (theirs, family) in numpyro_distributions().items():
        ours = d.own(theirs)
        assert type(ours) is family, name
        z = sn.sample(theirs, jax.random.key(1))
        np.testing.assert_array_equal(z, ours.sample(jax.random.key(1)))
        assert z.shape == theirs.batch_shape + theirs.event_shape
        np.testing.assert_allclose(
            ours.log_prob(z), theirs.log_prob(z), rtol=2e-4, atol=2e-5, err_msg=name
        )


@pytest.mark.relaxed
def test_divergences_take_numpyro_distributions():
    dist = pytest.importorskip("numpyro").distributions
    half = jnp.float32([0.5, 1.5])
    p, q = dist.Normal(half, 1.0), sn.Gaussian(jnp.zeros(2), jnp.ones(2))
    np.testing.assert_allclose(sn.kl(p, q), half * half / 2, rtol=1e-6)
    together = sn.kl(p.to_event(1), dist.Normal(jnp.zeros(2), 1.0).to_event(1))
    np.testing.assert_allclose(together, 1.25, rtol=1e-6)
    unknown = dist.Levy(0.0, 1.0)
    assert d.own(unknown) is unknown
    assert sn.sample(unknown, jax.random.key(0)).shape == ()


def test_a_new_family_is_one_class():
    class Bump(d.Family):
        """Triangular on (-1, 1) times `scale`."""

        scale: jax.Array = d.parameter(d._support.positive)

        @property
        def support(self):
            return d._support.interval(-self.scale, self.scale)

        def _sample(self, key, shape):
            return self.scale * jax.random.triangular(key, -1.0, 0.0, 1.0, shape, self.dtype)

        def _log_prob(self, x):
            return jnp.log1p(-abs(x / self.scale)) - jnp.log(self.scale)

    dist = Bump(jnp.float32([1.0, 2.0]))
    assert dist.sample(jax.random.key(0), (3,)).shape == (3, 2)
    np.testing.assert_array_equal(dist.log_prob(0.0), -np.log(np.float32([1, 2])))
    np.testing.assert_array_equal(exact(dist.log_prob(5.0)), -np.inf)
    with pytest.raises(NotImplementedError, match="Bump has no closed form of cdf"):
        dist.cdf(0.0)
