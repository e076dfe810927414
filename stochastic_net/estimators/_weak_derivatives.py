r"""The derivative of a law in a parameter as a weighted difference of two laws, coupled.

  d p(z; theta)/dtheta = weight (p_plus(z) - p_minus(z))

A rule draws from both with the same noise, so that the two are near each other.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from stochastic_net._types import Array, Key
from stochastic_net.distributions import (
    Bernoulli,
    Beta,
    Exponential,
    Gamma,
    Gaussian,
    Geometric,
    Poisson,
)
from stochastic_net.distributions import _noise as noise
from stochastic_net.random import normal


class Difference(NamedTuple):
    """Draws from both laws, and the weight; arrays of one shape, leading samples."""

    weight: Array
    plus: Array
    minus: Array


Rule = Callable[[Any, Key, Array], dict[str, Difference]]
RULES: dict[type, Rule] = {}


def weak_derivative(kind: type) -> Callable[[Rule], Rule]:
    """Register `(law, key, z) -> {parameter: Difference}` for a type of distribution.

    z are draws from `law`, whose parameters have the shape of z; the key is consumed.

    Example:
      >>> import jax.numpy as jnp, stochastic_net as sn
      >>> @sn.estimators.weak_derivative(sn.distributions.Uniform)
      ... def _(law, key, z):
      ...     weight = 1 / (law.high - law.low)
      ...     return {
      ...         "low": sn.estimators.Difference(weight, z, law.low),
      ...         "high": sn.estimators.Difference(weight, law.high, z),
      ...     }
    """

    def register(rule: Rule) -> Rule:
        RULES[kind] = rule
        return rule

    return register


@weak_derivative(Gaussian)
def _(law: Gaussian, key: Key, z: Array) -> dict[str, Difference]:
    """Mean: two Rayleigh variates back to back. Variance: a Maxwell one against a uniform part."""
    rayleigh_key, maxwell_key, part_key = jax.random.split(key, 3)
    size = jnp.sqrt(2 * noise.exponential(rayleigh_key, z.shape, z.dtype))
    e = normal(maxwell_key, (3, *z.shape), z.dtype)
    maxwell = jnp.sqrt(jnp.square(e).sum(0))  # the length of a vector of three
    part = jax.random.uniform(part_key, z.shape, z.dtype, -1.0, 1.0)  # of it, along an axis
    sign = jnp.where(e[0] < 0, -1.0, 1.0)
    far = law.std * maxwell * sign
    return {
        "mean": Difference(
            1 / (law.std * math.sqrt(2 * math.pi)),
            law.mean + law.std * size,
            law.mean - law.std * size,
        ),
        "var": Difference(0.5 / law.var, law.mean + far, law.mean + far * part),
    }


@weak_derivative(Exponential)
def _(law: Exponential, key: Key, z: Array) -> dict[str, Difference]:
    """Rate: z against z and as much again of another."""
    more = noise.exponential(key, z.shape, z.dtype) / law.rate
    return {"rate": Difference(1 / law.rate, z, z + more)}


@weak_derivative(Gamma)
def _(law: Gamma, key: Key, z: Array) -> dict[str, Difference]:
    more_key, part_key = jax.random.split(key)
    more = noise.exponential(more_key, z.shape, z.dtype) / law.rate
    lost, kept = _part(part_key, law.concentration)
    return {
        "concentration": Difference(1 / (law.concentration * lost), z, z * kept),
        "rate": Difference(law.concentration / law.rate, z, z + more),
    }


@weak_derivative(Beta)
def _(law: Beta, key: Key, z: Array) -> dict[str, Difference]:
    """Of the two gamma variates that make z one is shortened."""
    up_key, down_key = jax.random.split(key)
    lost1, kept1 = _part(up_key, law.concentration1)
    lost0, kept0 = _part(down_key, law.concentration0)
    return {
        "concentration1": Difference(
            1 / (law.concentration1 * lost1), z, z * kept1 / (1 - z * lost1)
        ),
        "concentration0": Difference(
            1 / (law.concentration0 * lost0), z, z / (z + (1 - z) * kept0)
        ),
    }


@weak_derivative(Poisson)
def _(law: Poisson, key: Key, z: Array) -> dict[str, Difference]:
    """Rate: one more."""
    return {"rate": Difference(jnp.ones_like(law.rate), z + 1, z)}


@weak_derivative(Bernoulli)
def _(law: Bernoulli, key: Key, z: Array) -> dict[str, Difference]:
    """Logits: 1 against 0."""
    weight = jax.nn.sigmoid(law.logits) * jax.nn.sigmoid(-law.logits)
    return {"logits": Difference(weight, jnp.ones_like(z), jnp.zeros_like(z))}


@weak_derivative(Geometric)
def _(law: Geometric, key: Key, z: Array) -> dict[str, Difference]:
    """Logits: z failures against z and one and as many again of another."""
    more = jax.lax.stop_gradient(law).sample(key)
    return {"logits": Difference(jax.nn.sigmoid(-law.logits), z, z + 1 + more)}


def _part(key: Key, a: Array) -> tuple[Array, Array]:
    r"""1 - B and B for B ~ Beta(a, 1).

    dlog p/da of a gamma law is log z - digamma(a), and by Frullani's integrals that is

      \int_0^\infty ((1 + t)^{-a} - e^{-t z}) dt/t.

    Times p(z) the second term is (1 + t)^{-a} times the density of z/(1 + t), so that
    dE f/da = \int (1 + t)^{-a} E[f(z) - f(z/(1 + t))] dt/t. With B = 1/(1 + t) drawn from
    Beta(a, 1) it is E (f(z) - f(z B)) / (a (1 - B)): the difference of two draws is as small as
    the denominator.
    """
    log_b = -noise.exponential(key, a.shape, a.dtype) / a
    return -jnp.expm1(log_b), jnp.exp(log_b)
