"""The same distribution in every library: one small builder a cell of the table.

A builder gets the library's module and the parameters, under our names and already batched, and
returns the library's distribution (`jax.random` has samplers instead: a function of the key).
`only` names the parameters that the library has, where it has not all.
"""

import functools
import importlib
import importlib.metadata
import importlib.util
from collections.abc import Callable
from types import SimpleNamespace
from typing import NamedTuple

import jax
import jax.numpy as jnp


class Library(NamedTuple):
    """Where the distributions are, and how one is drawn from."""

    package: str
    module: str
    draw: Callable = lambda d, key: d.sample(key)

    def here(self) -> bool:
        return importlib.util.find_spec(self.package) is not None

    def load(self):
        return importlib.import_module(self.module)

    def version(self) -> str:
        name = {"tensorflow_probability": "tfp-nightly"}.get(self.package, self.package)
        return importlib.metadata.version(name)


def by_seed(d, key):
    return d.sample(seed=key)


LIBRARIES = {
    "stochastic_net": Library("stochastic_net", "stochastic_net"),
    "jax.random": Library("jax", "jax.random", lambda sampler, key: sampler(key)),
    "PyTorch": Library("torch", "torch.distributions", lambda d, key: d.rsample()),
    "NumPyro": Library("numpyro", "numpyro.distributions"),
    "TFP on JAX": Library(
        "tensorflow_probability",
        "tensorflow_probability.substrates.jax.distributions",
        by_seed,
    ),
    "distrax": Library("distrax", "distrax", by_seed),
}


class Builder(NamedTuple):
    """How to make the distribution; `only` where a parameter is missing."""

    make: Callable
    only: tuple[str, ...] = ()


def same(name: str, *arguments: str, **renamed: str) -> Builder:
    """`module.name` of the parameters in this order, or under these keywords."""

    def make(module, p):
        keywords = {theirs: getattr(p, ours) for theirs, ours in renamed.items()}
        return getattr(module, name)(*(getattr(p, a) for a in arguments), **keywords)

    return Builder(make)


def everywhere(names: str, *arguments: str, **others: Builder) -> dict[str, Builder]:
    """The libraries of `names` (initials of PyTorch, NumPyro, TFP, distrax) that agree on it."""
    long = {"p": "PyTorch", "n": "NumPyro", "t": "TFP on JAX", "d": "distrax"}
    initials, _, name = names.partition(":")
    return {long[c]: same(name, *arguments) for c in initials} | others


def sampler(draw: Callable, *only: str) -> dict[str, Builder]:
    """A function (jax.random, key, parameters) -> draw."""
    return {"jax.random": Builder(lambda m, p: functools.partial(draw, m, p=p), only)}


# Samplers without a location and a scale get them by hand; `only` says what is their own.


def truncated(m, key, p):
    low, high = (p.low - p.loc) / p.scale, (p.high - p.loc) / p.scale
    return p.loc + p.scale * m.truncated_normal(key, low, high)


def wald(m, key, p):
    return p.concentration * m.wald(key, p.loc / p.concentration)


def powers(m, key, p):
    """It takes one power a call."""
    keys = m.split(key, p.power.shape)
    return p.loc + p.scale * jax.vmap(m.generalized_normal)(keys, p.power)


def tfp(make: Callable, *only: str) -> dict[str, Builder]:
    return {"TFP on JAX": Builder(make, only)}


def mixture(weights, parts, family: str, **options):
    """Weights, components and the name under which a library has the family of both."""

    def make(module, p):
        return getattr(module, family)(weights(module, p), parts(module, p), **options)

    return Builder(make)


def normal_parts(module, p):
    return module.Normal(p.mean, p.var**0.5)


RIVALS: dict[str, dict[str, Builder]] = {
    "Gaussian": {
        name: Builder(lambda m, p: m.Normal(p.mean, p.var**0.5))
        for name in ("PyTorch", "NumPyro", "TFP on JAX", "distrax")
    },
    "LogNormal": everywhere("pnt:LogNormal", "loc", "scale")
    | sampler(lambda m, key, p: jnp.exp(p.loc) * m.lognormal(key, p.scale, p.loc.shape), "scale"),
    "TruncatedGaussian": sampler(truncated, "low", "high")
    | tfp(lambda m, p: m.TruncatedNormal(p.loc, p.scale, p.low, p.high))
    | {"NumPyro": same("TruncatedNormal", "loc", "scale", low="low", high="high")},
    "HalfNormal": everywhere("pnt:HalfNormal", "scale"),
    "StudentT": everywhere("pnt:StudentT", "df", "loc", "scale")
    | sampler(lambda m, key, p: p.loc + p.scale * m.t(key, p.df), "df"),
    "Laplace": everywhere("pntd:Laplace", "loc", "scale"),
    "Logistic": everywhere("ntd:Logistic", "loc", "scale"),
    "Cauchy": everywhere("pnt:Cauchy", "loc", "scale"),
    "Gumbel": everywhere("pntd:Gumbel", "loc", "scale"),
    "Exponential": everywhere("pnt:Exponential", "rate"),
    "Uniform": everywhere("pntd:Uniform", "low", "high"),
    "Weibull": everywhere("pn:Weibull", "scale", "concentration")
    | tfp(lambda m, p: m.Weibull(p.concentration, p.scale))
    | sampler(lambda m, key, p: m.weibull_min(key, p.scale, p.concentration, p.scale.shape)),
    "Kumaraswamy": everywhere("pnt:Kumaraswamy", "concentration1", "concentration0"),
    "Pareto": everywhere("pn:Pareto", "scale", "alpha")
    | tfp(lambda m, p: m.Pareto(p.alpha, p.scale))
    | sampler(lambda m, key, p: p.scale * m.pareto(key, p.alpha), "alpha"),
    "Gamma": everywhere("pntd:Gamma", "concentration", "rate")
    | sampler(lambda m, key, p: m.gamma(key, p.concentration) / p.rate, "concentration"),
    "InverseGamma": everywhere("pnt:InverseGamma", "concentration", "rate"),
    "Beta": everywhere("pntd:Beta", "concentration1", "concentration0")
    | sampler(lambda m, key, p: m.beta(key, p.concentration1, p.concentration0)),
    "Dirichlet": everywhere("pntd:Dirichlet", "concentration")
    | sampler(lambda m, key, p: m.dirichlet(key, p.concentration)),
    "InverseGaussian": tfp(lambda m, p: m.InverseGaussian(p.loc, p.concentration))
    | sampler(wald, "loc"),
    "GeneralizedNormal": tfp(lambda m, p: m.GeneralizedNormal(p.loc, p.scale, p.power))
    | sampler(powers, "power"),
    "VonMises": everywhere("pntd:VonMises", "loc", "concentration"),
    "BinaryConcrete": {
        name: same("RelaxedBernoulli", "temperature", logits="logits")
        for name in ("PyTorch", "NumPyro", "TFP on JAX")
    },
    "Mixture": {
        name: mixture(lambda m, p: m.Categorical(logits=p.logits), normal_parts, family)
        for name, family in [
            ("PyTorch", "MixtureSameFamily"),
            ("NumPyro", "MixtureSameFamily"),
            ("TFP on JAX", "MixtureSameFamily"),
            ("distrax", "MixtureSameFamily"),
        ]
    }
    | {
        "TFP on JAX, reparameterize=True": mixture(
            lambda m, p: m.Categorical(logits=p.logits),
            normal_parts,
            "MixtureSameFamily",
            reparameterize=True,
        )
    },
    "MultivariateGaussian": {
        "PyTorch": same("MultivariateNormal", "loc", scale_tril="scale_tril"),
        "NumPyro": same("MultivariateNormal", "loc", scale_tril="scale_tril"),
        "TFP on JAX": same("MultivariateNormalTriL", "loc", "scale_tril"),
        "distrax": same("MultivariateNormalTri", "loc", "scale_tril"),
    },
    "LowRankGaussian": everywhere("pn:LowRankMultivariateNormal", "loc", "cov_factor", "cov_diag")
    | {
        "TFP on JAX": same(
            "MultivariateNormalDiagPlusLowRankCovariance", "loc", "cov_diag", "cov_factor"
        )
    },
    "VonMisesFisher": tfp(lambda m, p: m.VonMisesFisher(p.mean_direction, p.concentration)),
    "Wishart": {
        "PyTorch": same("Wishart", "concentration", scale_tril="scale_tril"),
        "NumPyro": same("Wishart", "concentration", scale_tril="scale_tril"),
        "TFP on JAX": same("WishartTriL", "concentration", "scale_tril"),
    },
    "LKJCholesky": {
        "PyTorch": Builder(lambda m, p: m.LKJCholesky(3, p.concentration)),
        "NumPyro": Builder(lambda m, p: m.LKJCholesky(3, p.concentration)),
        "TFP on JAX": Builder(lambda m, p: m.CholeskyLKJ(3, p.concentration)),
    },
    "GumbelSoftmax": {
        "PyTorch": Builder(
            lambda m, p: m.RelaxedOneHotCategorical(p.temperature[..., None], logits=p.logits)
        ),
        "TFP on JAX": same("RelaxedOneHotCategorical", "temperature", logits="logits"),
    },
}

# Names that would mean that a library has a distribution of which no builder above makes use.
OTHER_NAMES = {
    "Gaussian": ("Normal",),
    "TruncatedGaussian": ("TruncatedNormal",),
    "InverseGaussian": ("Wald",),
    "GeneralizedNormal": ("GeneralisedNormal",),
    "VonMisesFisher": ("VonMisesFisherDistribution",),
    "BinaryConcrete": ("RelaxedBernoulli",),
    "GumbelSoftmax": ("RelaxedOneHotCategorical", "RelaxedCategorical"),
    "Wishart": ("WishartTriL",),
    "LKJCholesky": ("CholeskyLKJ",),
    "Mixture": ("MixtureSameFamily",),
    "MultivariateGaussian": ("MultivariateNormal", "MultivariateNormalTri"),
    "LowRankGaussian": ("LowRankMultivariateNormal",),
}


def ours(sn, name: str, p: SimpleNamespace):
    """Our own distribution of this name."""
    if name == "Mixture":
        return sn.distributions.Mixture(p.logits, sn.Gaussian(p.mean, p.var))
    if name == "LKJCholesky":
        return sn.distributions.LKJCholesky(3, p.concentration)
    family = sn.Gaussian if name == "Gaussian" else getattr(sn.distributions, name)
    return family(**vars(p))


def builders(name: str) -> dict[str, Builder]:
    """Every installed library that should have it, ours first."""
    found = {"stochastic_net": Builder(lambda sn, p: ours(sn, name, p))} | RIVALS[name]
    return {k: v for k, v in found.items() if library(k).here()}


def library(label: str) -> Library:
    return LIBRARIES[label.partition(",")[0]]


def unused(name: str, label: str) -> str | None:
    """A distribution of this name that the library has and RIVALS leaves out, if any."""
    where = library(label).load()
    names = (name, *OTHER_NAMES.get(name, ()))
    return next((n for n in names if hasattr(where, n)), None)
