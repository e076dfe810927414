"""Laws of vectors and matrices: functions of a draw, and their expectations in float64."""

import math
from collections.abc import Callable
from typing import NamedTuple

import _laws
import numpy as np
from scipy import special

LOC = [1.0, -0.5, 0.3]
TRIL = [[1.0, 0.0, 0.0], [0.4, 0.5, 0.0], [-0.3, 0.8, 2.0]]
NARROW = [[1.0, 0.0, 0.0], [1.0, 1e-3, 0.0], [1.0, 1e-3, 1e-3]]
FACTOR = [[1.0, 0.3], [-0.5, 0.7], [0.2, -1.1]]


class Vector(NamedTuple):
    """`functions`: a function of the draw's last axes, and its expectation given the parameters.

    `project` takes gradients to the directions in which the parameter may move.
    """

    settings: list[dict]
    functions: dict[str, tuple[Callable, Callable]]
    project: Callable = lambda gradient, setting, parameter: gradient


def normal_functions(covariance):
    return {
        "sin x1": (
            lambda x: _sin(x[..., 1]),
            lambda p: math.sin(p["loc"][1]) * math.exp(-covariance(p)[1, 1] / 2),
        ),
        "x0 x2": (
            lambda x: x[..., 0] * x[..., 2],
            lambda p: p["loc"][0] * p["loc"][2] + covariance(p)[0, 2],
        ),
    }


def _sin(x):
    return x.sin() if hasattr(x, "sin") else __import__("jax.numpy").numpy.sin(x)


def tril_square(p):
    tril = np.tril(p["scale_tril"])
    return tril @ tril.T


def low_rank(p):
    return p["cov_factor"] @ p["cov_factor"].T + np.diag(p["cov_diag"])


def dirichlet_square(p):
    a = p["concentration"]
    return a[0] * (a[0] + 1) / a.sum() / (a.sum() + 1)


def dirichlet_product(p):
    a = p["concentration"]
    return a[0] * a[2] / a.sum() / (a.sum() + 1)


def direction_mean(p):
    """E x_1 of a von Mises-Fisher law; its mean direction is made a unit vector."""
    mu, kappa = p["mean_direction"], p["concentration"]
    order = mu.size / 2
    return special.ive(order, kappa) / special.ive(order - 1, kappa) * mu[1] / np.linalg.norm(mu)


def tangent(gradient, setting, parameter):
    if parameter != "mean_direction":
        return gradient
    mu = np.asarray(setting["mean_direction"], np.float64)
    return gradient - (gradient @ mu)[..., None] * mu


def lower(gradient, setting, parameter):
    del setting
    return np.tril(gradient) if parameter == "scale_tril" else gradient


def wishart_square(p):
    n, v = p["concentration"], tril_square(p)
    return (n * n + 2 * n) * v[1, 1] ** 2


def correlation(power):
    """E r^power, for (1 + r) / 2 ~ Beta(h, h) with h = concentration + 1/2 in three dimensions."""

    def expectation(p):
        h = p["concentration"] + 0.5
        return {2: 1 / (2 * h + 1), 4: 3 / (2 * h + 1) / (2 * h + 3)}[power]

    return lambda x: (x[..., 2, :] * x[..., 1, :]).sum(-1) ** power, expectation


def first_share(p):
    """E x_0 / (x_0 + x_1): a binary concrete law of the difference of two logits."""
    law = _laws.binary_concrete(p["temperature"], p["logits"][0] - p["logits"][1])
    return law.expect(lambda z: z)


VECTORS: dict[str, Vector] = {
    "MultivariateGaussian": Vector(
        [{"loc": LOC, "scale_tril": TRIL}, {"loc": LOC, "scale_tril": NARROW}],
        normal_functions(tril_square),
        lower,
    ),
    "LowRankGaussian": Vector(
        [
            {"loc": LOC, "cov_factor": FACTOR, "cov_diag": [0.3, 0.1, 0.6]},
            {"loc": LOC, "cov_factor": FACTOR, "cov_diag": [1e-6, 1e-6, 1e-6]},
        ],
        normal_functions(low_rank),
    ),
    "Dirichlet": Vector(
        [{"concentration": [0.7, 1.5, 3.0]}, {"concentration": [0.02, 0.03, 0.05]}],
        {
            "x0^2": (lambda x: x[..., 0] ** 2, dirichlet_square),
            "x0 x2": (lambda x: x[..., 0] * x[..., 2], dirichlet_product),
        },
    ),
    "VonMisesFisher": Vector(
        [
            {"mean_direction": [0.0, 0.6, -0.8], "concentration": 2.0},
            {"mean_direction": [0.0, 0.6, -0.8], "concentration": 1e4},
            {"mean_direction": [0.0, 0.6, -0.8, 0.0, 0.0], "concentration": 2.0},
        ],
        {"x1": (lambda x: x[..., 1], direction_mean)},
        tangent,
    ),
    "Wishart": Vector(
        [
            {"concentration": 4.5, "scale_tril": TRIL},
            {"concentration": 2.1, "scale_tril": TRIL},
        ],
        {
            "w01": (lambda x: x[..., 0, 1], lambda p: p["concentration"] * tril_square(p)[0, 1]),
            "w11^2": (lambda x: x[..., 1, 1] ** 2, wishart_square),
        },
        lower,
    ),
    "LKJCholesky": Vector(
        [{"concentration": 2.5}, {"concentration": 0.1}],
        {"r^2": correlation(2), "r^4": correlation(4)},
    ),
    "GumbelSoftmax": Vector(
        [
            {"temperature": 0.7, "logits": [0.3, -0.5, 0.1]},
            {"temperature": 0.3, "logits": [0.0, 3.0, -3.0]},
        ],
        {"x0 / (x0 + x1)": (lambda x: x[..., 0] / (x[..., 0] + x[..., 1]), first_share)},
    ),
}


def true_gradients(name: str, setting: dict, parameter: str) -> np.ndarray:
    """d E f / d parameter, shape (functions, *parameter): central differences of order four."""
    row, setting = VECTORS[name], _laws.exact(setting)
    value = np.asarray(setting[parameter])
    out = np.empty((len(row.functions), *value.shape))
    for place in np.ndindex(value.shape):
        step = 1e-3 * (abs(value[place]) if parameter != "logits" else 1) or 1e-3
        for i, (_, expectation) in enumerate(row.functions.values()):
            values = []
            for k in (-2, -1, 1, 2):
                moved = value.copy()
                moved[place] += k * step
                values.append(expectation(setting | {parameter: moved}))
            out[(i, *place)] = np.dot(values, [1, -8, 8, -1]) / (12 * step)
    return row.project(out, setting, parameter)
