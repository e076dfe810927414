"""Fits the quadrature rules of `stochastic_net/random/_tail_rules.py`.

The integrals behind the derivatives of a law are over e^-E times something smooth, E convex, from 0
to where it is cut: a family with few dimensions, for which n nodes may do what 2 n of Gauss and
Legendre's do (generalised Gaussian quadrature: Ma, Rokhlin & Wandzura 1996). Over random
parameters and draws, nodes and weights are moved by least squares so that the relative errors of
all integrals, those by 300 nodes the truth, are small; then by least squares of their higher
powers, which weigh the largest. Printed: the rule, and its errors at parameters and draws it has
not seen.
"""

import argparse
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
import scipy.special
import scipy.stats

from stochastic_net.random import _beta_gradient, _gamma_gradient, _t_gradient, _von_mises
from stochastic_net.random._circle import sin_half
from stochastic_net.random._quadrature import Rule, gauss

TRUTH = gauss(300, 45.0)
POWERS = (1, 2, 3, 5)

Integrals = Callable[[Rule], tuple]


def quantiles(dice: np.random.Generator, count: int) -> np.ndarray:
    """Half of them anywhere, half of them in the tails."""
    return np.where(
        dice.random(count) < 0.5,
        dice.random(count),
        scipy.special.expit(dice.uniform(-16, 16, count)),
    )


def gamma(dice: np.random.Generator, count: int) -> Integrals:
    a = 10 ** dice.uniform(-3.3, 8.3, count)
    z = scipy.special.gammaincinv(a, quantiles(dice, count))
    a, z = kept(a, z, where=z > 1e-30)
    below = scipy.special.digamma(a + 1) > jnp.log(z)
    side = jnp.where(below, -1.0, 1.0)
    return partial(_gamma_gradient.integrals, z, (z - a) - below, side)


def beta(dice: np.random.Generator, count: int) -> Integrals:
    a, b = 10 ** (5.6 * dice.beta(0.5, 0.5, (2, count)) - 2.3)  # the ends are the hardest
    u = quantiles(dice, count)
    x, rest = scipy.special.betaincinv(a, b, u), scipy.special.betaincinv(b, a, 1 - u)
    good = (x > 1e-30) & (rest > 1e-30) & (abs(x + rest - 1) < 1e-12)
    a, b, x, rest = kept(a, b, x, rest, where=good)
    below = x * (a + b + 1) < a + 0.5
    p, q, x, rest = (jnp.where(below, s, t) for s, t in ((a, b), (b, a), (x, rest), (rest, x)))
    return partial(_beta_gradient.integrals, p, q, x, rest)


def student_t(dice: np.random.Generator, count: int) -> Integrals:
    df = 10 ** dice.uniform(-1.3, 5, count)
    t = scipy.special.stdtrit(df, 0.5 + quantiles(dice, count) / 2)
    df, t = kept(df, t, where=(t > 1e-8) & (t < 1e8))
    return lambda rule: (_t_gradient.derivative_by(rule, df, t),)


def von_mises(dice: np.random.Generator, count: int) -> Integrals:
    kappa = 10 ** dice.uniform(-3, 6, count)
    beyond = jnp.asarray(quantiles(dice, count))
    z, _ = jax.jit(_von_mises.quantile)(beyond, 1 - beyond, jnp.asarray(kappa))
    kappa, z = kept(kappa, z, where=z > 1e-8)

    def integrals(rule: Rule) -> tuple:
        length, _ = _von_mises.side(z, jnp.square(sin_half(z)), kappa, rule.cut)
        return _von_mises.integrals(z, length, kappa, rule)

    return integrals


LAWS = {"gamma": gamma, "beta": beta, "student_t": student_t, "von_mises": von_mises}


def kept(*arrays: np.ndarray, where: np.ndarray) -> tuple[jax.Array, ...]:
    return tuple(jnp.asarray(x)[np.asarray(where & np.isfinite(arrays[-1]))] for x in arrays)


def errors(integrals: Integrals, cut: float) -> Callable[[jax.Array], jax.Array]:
    """The relative errors of all integrals as a function of nodes and weights in one vector."""
    truth = integrals(TRUTH)

    def of(rule: jax.Array) -> jax.Array:
        sums = integrals(Rule(*jnp.split(rule, 2), cut))
        return jnp.concatenate([s / t - 1 for s, t in zip(sums, truth, strict=True)])

    return jax.jit(of)


def fitted(error: Callable, count: int) -> np.ndarray:
    """The best of some starts: Gauss and Legendre's nodes, drawn towards 0."""
    nodes, weights, _ = gauss(count, 0.0)
    found = [
        descend(error, np.concatenate([nodes**g, weights * g * nodes ** (g - 1)]))
        for g in (1.0, 1.2, 1.4)
    ]
    return min(found, key=lambda rule: score(error(rule)))


def descend(error: Callable, rule: np.ndarray) -> np.ndarray:
    for power in POWERS:

        def powers(rule, power=power):
            e = 1e5 * error(rule)
            return jnp.sign(e) * jnp.abs(e) ** power

        rule = scipy.optimize.least_squares(
            jax.jit(powers),
            np.clip(rule, 1e-5, 0.99),
            jac=jax.jit(jax.jacfwd(powers)),
            bounds=(1e-6, 1.0),
            x_scale="jac",
            max_nfev=200,
        ).x
    return rule


def score(error: jax.Array) -> float:
    return float(2 * jnp.quantile(abs(error), 0.99) + 0.3 * abs(error).max())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("law", choices=LAWS)
    parser.add_argument("nodes", type=int, help="how many")
    parser.add_argument("cut", type=float, help="e^-E is left out beyond")
    parser.add_argument("--sample", type=int, default=2000, help="default: 2000")
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    law = LAWS[options.law]
    rule = fitted(errors(law(np.random.default_rng(0), options.sample), options.cut), options.nodes)
    unseen = errors(law(np.random.default_rng(1), 10 * options.sample), options.cut)
    gaussian = np.concatenate(gauss(options.nodes, 0.0)[:2])
    for name, candidate in (("fitted", rule), ("Gauss-Legendre", gaussian)):
        e = abs(np.asarray(unseen(jnp.asarray(candidate))))
        print(f"{name}: 99 % below {np.quantile(e, 0.99):.1e}, all below {e.max():.1e}")
    for node, weight in sorted(zip(*np.split(rule, 2), strict=True)):
        print(f"({node:.9f}, {weight:.9f}),")


if __name__ == "__main__":
    main()
