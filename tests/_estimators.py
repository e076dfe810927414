"""The estimators as a table, and the problems that their tests share."""

from collections.abc import Callable
from typing import NamedTuple

import _exact
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stochastic_net as sn

E, D = sn.estimators, sn.distributions
HIGH = 5.0  # of a z-score; over 20,000 keys a fair one is beyond it once in 1.7 million

# `coins` and `one_hot` say what the noise of a sample is made of: "cells" (a uniform number that
# counts by whether it is below p or 1 - p), "smooth" (by its value), None (not taken).


class Row(NamedTuple):
    estimator: Callable
    coins: str | None = None
    one_hot: bool = False
    numbers: bool = False  # takes the Gaussian pair
    floats: bool = False  # f gets floats and is differentiated
    higher: bool = False  # derivatives of any order


def half_square(z):
    return 0.5 * (jnp.asarray(z, float) ** 2).sum()


def gaussian_half_square(x):
    return 0.5 * (x.mean**2 + x.var).sum()


TABLE = {
    "pathwise": Row(E.pathwise, numbers=True, higher=True),
    "antithetic": Row(E.antithetic(E.pathwise), numbers=True),
    "antithetic score": Row(E.antithetic(E.score_function), "cells", numbers=True),
    "quasi": Row(E.quasi_monte_carlo(E.pathwise(num_samples=4)), numbers=True),
    "quasi score": Row(E.quasi_monte_carlo(E.score_function(num_samples=4)), numbers=True),
    "bonnet_price": Row(E.bonnet_price, numbers=True),
    "bonnet_price, probes": Row(E.bonnet_price(num_probes=2), numbers=True),
    "score_function": Row(E.score_function, "cells", True, numbers=True, higher=True),
    "baseline": Row(E.score_function(control_variate=0.7), "cells", True, True, higher=True),
    "baseline of dist": Row(
        E.score_function(control_variate=lambda d: d.mean.sum()), "cells", True, True, higher=True
    ),
    "batch_mean": Row(E.score_function(control_variate="batch_mean", num_samples=2), "cells", True),
    "leave_one_out": Row(E.leave_one_out, "cells", True, numbers=True, higher=True),
    "control_variate": Row(E.control_variate(E.score_function, half_square), "cells", True),
    "control_variate of pairs": Row(
        E.control_variate(E.score_function, half_square, gaussian_half_square), numbers=True
    ),
    "enumerate_support": Row(E.enumerate_support, "cells", True, higher=True),
    "measure_valued": Row(E.measure_valued, "cells", numbers=True),
    "arm": Row(E.arm, "cells"),
    "disarm": Row(E.disarm, "cells"),
    "double_control_variate": Row(E.double_control_variate(scale=0.7), "cells", True, floats=True),
    "rodeo": Row(
        E.rodeo(surrogate=lambda v, t: 0.3 * v + jnp.sin(t) + 0.1 * v * t), "cells", floats=True
    ),
    "rebar": Row(E.rebar(temperature=0.7, scale=0.8), "smooth", True, floats=True),
    "relax": Row(
        E.relax(control_variate=lambda x: jnp.tanh(x).sum() * 0.4), "smooth", True, floats=True
    ),
    "straight_through": Row(E.straight_through, "cells", True, floats=True),
    "reinmax": Row(E.reinmax, "cells", True, floats=True),
    "gumbel_softmax": Row(E.gumbel_softmax, "smooth", True, floats=True),
    "gumbel_softmax, soft": Row(E.gumbel_softmax(hard=False), "smooth", True, floats=True),
    "gumbel_rao": Row(E.gumbel_rao(num_noise=2), "smooth", True, floats=True),
    "without_replacement": Row(E.without_replacement),
    "stop_gradient": Row(E.stop_gradient, "cells", True, numbers=True),
}


UNBIASED = {name: row for name, row in TABLE.items() if row.estimator.bias is None}


BIASED = {name: row for name, row in TABLE.items() if row.estimator.bias is not None}


def table(rows, **conditions):
    chosen = {
        name: row
        for name, row in rows.items()
        if all(getattr(row, k) == v for k, v in conditions.items())
    }
    assert chosen
    return pytest.mark.parametrize("row", chosen.values(), ids=chosen)


LOGITS = np.array([0.4, -0.9, 1.3, 0.1, -0.3, 2.0])


WEIGHTS = np.array([0.7, -1.2, 0.4, 0.3, 0.9, -0.5])


def function(w):
    """A function with parameters of its own, neither linear nor quadratic."""

    def f(z):
        t = (jnp.asarray(z, w.dtype) * w).sum()
        return (t - 0.5) ** 2 + 0.3 * jnp.sin(2 * t)

    return f


def value_and_slopes(estimator, make, theta, w):
    """E f, and its gradient in the law and in f: one call of the estimator."""

    def value(theta, w):
        return estimator(function(w), make(theta), jax.random.key(0))

    found, slopes = jax.value_and_grad(value, argnums=(0, 1))(theta, w)
    return found, *slopes


def problem(row):
    """A law that the estimator takes, a function with parameters, both float32."""
    w = jnp.asarray(WEIGHTS[:3], jnp.float32)
    if row.numbers:
        return sn.Gaussian(jnp.linspace(-1.0, 1.0, 3), jnp.linspace(0.5, 2.0, 3)), w
    return D.Bernoulli(jnp.asarray(LOGITS[:3], jnp.float32)), w


def close(found, truth, tolerance=1e-6):
    for a, b in zip(found, truth, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)


def cells(theta, u_count):
    """Few points: two cells where draws are independent, three where they are coupled."""
    p = 1 / (1 + np.exp(-np.asarray(theta)))
    coupled = u_count == len(p)
    per_draw = [_exact.interval([q, 1 - q] if coupled else [q], 1) for q in p]
    return per_draw * (u_count // len(p)) if u_count else []
