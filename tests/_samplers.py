"""The samplers of the gamma family, with their laws in scipy: a row gets every law.

The false-alarm rates are for fixed keys on a correct library, as if the keys were drawn anew.
"""

import jax
import jax.numpy as jnp
import scipy.stats

import stochastic_net as sn


def generalized(p):
    return scipy.stats.gennorm(p)


# name: the law in scipy, given the parameters; rows of parameters, the extremes among them
SAMPLERS = {
    "gamma": (
        scipy.stats.gamma,
        [(0.1,), (0.5,), (1.0,), (1.999,), (2.0,), (30.0,), (1e3,), (1e6,)],
    ),
    "loggamma": (scipy.stats.loggamma, [(1e-3,), (0.05,), (1.0,), (5.0,), (1e3,)]),
    "chisquare": (scipy.stats.chi2, [(0.5,), (3.0,), (200.0,)]),
    "inverse_gamma": (scipy.stats.invgamma, [(0.5,), (3.0,), (200.0,)]),
    "generalized_normal": (generalized, [(0.3,), (1.0,), (2.0,), (20.0,)]),
    "beta": (scipy.stats.beta, [(0.1, 0.3), (0.5, 0.5), (1.0, 3.0), (40.0, 2.0), (1e3, 1e3)]),
    "f": (scipy.stats.f, [(1.0, 1.0), (5.0, 3.0), (100.0, 7.0)]),
    "t": (scipy.stats.t, [(0.1,), (1.0,), (2.5,), (30.0,), (1e4,)]),
}
LAWS = [(name, row) for name, (_, rows) in SAMPLERS.items() for row in rows]
FALSE_ALARM = 1e-4  # of a whole table


def sampler(name):
    return getattr(sn.random, name)


def draws(name, row, size, seed=0, **options):
    return sampler(name)(jax.random.key(seed), *map(jnp.float32, row), shape=(size,), **options)
