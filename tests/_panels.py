"""E and Var of a function of one Gaussian by dense panels in float64."""

import jax
import jax.numpy as jnp
import numpy as np

HALF, MEETING = np.sqrt(np.log(2)), 1.9150080481545176  # e^{-x^2} = 1/2; tanh x = x / 2
BREAKS = [0.0, 1, -1, 6, 3, -3, 70, -100, 1 / 1.3, HALF, -HALF, MEETING, -MEETING]


def dense(f, mean, std):
    """E f and Var f by Gauss-Legendre panels, fine near 0 and over the Gaussian, in float64."""
    mean, std = (np.asarray(x, float)[:, None] for x in (mean, std))
    fine = np.geomspace(1e-3, 400, 70)
    own, shared = mean + std * np.linspace(-12, 12, 97), np.concatenate([fine, -fine, BREAKS])
    edges = np.concatenate([own, np.broadcast_to(shared, (len(mean), shared.size))], 1)
    edges = np.sort(np.clip(edges, mean - 12 * std, mean + 12 * std))  # some panels are empty
    x, w = np.polynomial.legendre.leggauss(12)
    half = np.diff(edges)[..., None] / 2
    u = edges[:, :-1, None] + half + half * x
    mean, std = mean[..., None], std[..., None]
    mass = half * w * np.exp(-0.5 * ((u - mean) / std) ** 2) / (std * np.sqrt(2 * np.pi))
    with jax.enable_x64(True):
        values = np.asarray(f(jnp.asarray(u)))
    first = (mass * values).sum((1, 2))
    return first, (mass * (values - first[:, None, None]) ** 2).sum((1, 2))
