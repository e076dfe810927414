"""Where a bias is looked for: a point near the given one, and a direction to move in."""

import jax.numpy as jnp
import numpy as np

from stochastic_net._types import Array


def generic(point: list[Array], seed: int = 0) -> list[Array]:
    """A point near, where no value sits on a kink by accident and none that is zero stays so.

    Signs are kept, and what is zero becomes positive: it may be a variance.
    """
    rng = np.random.default_rng(seed)

    def near(x: Array) -> Array:
        values = np.asarray(x, np.float64)
        size = np.abs(values).max(initial=0) or 1.0
        moved = values * (1 + 0.02 * rng.uniform(-1, 1, values.shape))
        start = 0.05 * size * rng.uniform(1, 2, values.shape)
        return jnp.asarray(np.where(values == 0, start, moved), x.dtype)

    return [near(x) for x in point]


def random_near(point: list[Array], seed: int = 2) -> list[Array]:
    """Random values of the size of those given; what is positive stays so."""
    rng = np.random.default_rng(seed)

    def move(x: Array) -> Array:
        values = np.asarray(x, np.float64)
        noise = rng.normal(size=values.shape)
        one_signed = (values >= 0).all() or (values <= 0).all()
        size = np.sqrt(np.mean(np.square(values))) if values.size else 0.0
        return jnp.asarray(
            values * np.exp(0.5 * noise) if one_signed else values + size * noise, x.dtype
        )

    return [move(x) for x in point]


def direction(point: list[Array], mean: list[np.ndarray], seed: int = 1) -> list[Array]:
    """Along the gradient, where there is most to see, and at random, where what is missing shows.

    In units of each value's size, so that a step does not change a sign.
    """
    rng = np.random.default_rng(seed)

    def one(x: Array, g: np.ndarray) -> Array:
        values = np.asarray(x, np.float64)
        same_sign = (values > 0).all() or (values < 0).all()
        typical = np.sqrt(np.mean(np.square(values))) if values.size else 1.0
        units = np.abs(values) if same_sign else np.full(values.shape, typical or 1.0)
        slope = np.nan_to_num(g) * units
        noise = rng.choice([-1.0, 1.0], values.shape) / np.sqrt(max(values.size, 1))
        steep = slope / (np.linalg.norm(slope) or 1.0)
        v = steep + 0.5 * noise
        return jnp.asarray(units * v / max(1.0, np.abs(v).max()), x.dtype)

    return [one(x, g) for x, g in zip(point, mean, strict=True)]
