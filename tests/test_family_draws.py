"""Every family's draws: of the law, the same however they are made, in every dtype.

The Kolmogorov-Smirnov tests are held to a distance that is exceeded with probability 1e-9 each.
There are about 100 of them, and their keys are fixed.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _families import EPS, exact, precision, table
from _laws import BinaryConcrete, Kumaraswamy

pytestmark = pytest.mark.law

DRAWS = 20_000


@table
def test_the_draws_have_the_law(row, key):
    dist = row.build()
    z = jax.jit(row.family.sample, static_argnums=2)(dist, key, (DRAWS,))
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

    def four(dist, key):
        return dist.sample(key, (4,))

    jit = jax.jit(four)
    plain, jitted = ([f(dist, jax.random.clone(k)) for k in keys] for f in (four, jit))
    mapped = jax.jit(jax.vmap(four, (None, 0)))(dist, keys)
    for a, b, c in zip(plain, jitted, mapped, strict=True):
        np.testing.assert_allclose(exact(a), exact(b), rtol=2e-5, atol=1e-30)
        np.testing.assert_allclose(exact(a), exact(c), rtol=2e-5, atol=1e-30)


@jax.jit
def draw(dist):
    z = dist.sample(jax.random.key(1), (500,))
    return z, dist.log_prob(z), dist.support.contains(z)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@table
def test_dtypes(row, dtype):
    with precision(dtype):
        settings = row.ordinary_arrays() if "16" in dtype else row.settings
        dist = row.build(dtype, settings)
        z, log_prob, inside = draw(dist)
        assert np.asarray(inside).all()
        assert z.dtype == ("int32" if row.discrete else dtype)
        assert dist.dtype == log_prob.dtype == dtype
        if "mean" not in row.lacks:
            mean, var = jax.eval_shape(lambda p: (p.mean, p.var), dist)
            assert mean.dtype == var.dtype == dtype
    if dtype != "float64":
        rounded = {n: v if v.dtype == "int32" else v.astype(dtype) for n, v in settings.items()}
        wide = draw(row.build("float32", rounded))[0]
        info = jnp.finfo(dtype)
        largest = np.abs(exact(wide)) >= 0.99 * float(info.max)
        # One rounding apart: the program of the other dtype may be fused otherwise.
        rounding = 0.0 if row.discrete else float(info.eps)
        same = np.abs(exact(wide) - exact(z)) <= rounding * np.abs(exact(wide))
        same = same | largest
        near_zero = np.abs(exact(z)) <= 2 * float(info.tiny)
        near_one = np.abs(1 - exact(z)) <= 2 * float(info.eps)
        assert (same | near_zero | near_one).all()
