"""Every family's distribution function and its inverse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _families import EPS, LARGEST, TINY, continuous, discrete, exact, values

pytestmark = pytest.mark.law


@continuous
def test_cdf_and_icdf(row):
    dist, x = row.build(), values(row)
    if "cdf" in row.lacks:
        with pytest.raises(NotImplementedError, match="no closed form of cdf"):
            dist.cdf(x)
        return
    got = exact(jax.jit(row.family.cdf)(dist, x))
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
    q = np.float32([1e-6, 1e-3, 0.1, 0.5, 0.9, 0.999, 0.0, 1.0])
    q = np.broadcast_to(q[:, None], (8, x.shape[1]))
    got = exact(jax.jit(row.family.icdf)(dist, q))
    np.testing.assert_array_equal(got[6], np.broadcast_to(dist.support.low, got[6].shape))
    np.testing.assert_array_equal(got[7], np.broadcast_to(dist.support.high, got[7].shape))
    q, got = q[:6], got[:6]
    with np.errstate(all="ignore"):
        again = np.stack([law.cdf(got[:, i]) for i, law in enumerate(row.laws())], 1)
    with np.errstate(all="ignore"):
        size = np.stack([np.exp(law.logpdf(got[:, i])) for i, law in enumerate(row.laws())], 1)
        about = abs(got) + abs(exact(row.settings.get("loc", 0.0)))  # what is rounded
        size = np.nan_to_num(size * about, posinf=0)
    inner = (abs(got) > TINY) & (abs(got) < 0.99 * LARGEST)
    inner &= got < np.asarray(dist.support.high) * (1 - EPS)
    assert (abs(again - q) <= 1e-5 * np.minimum(q, 1) + 30 * EPS * size)[inner].all()
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

            def icdf(t, q):
                return moved(t).icdf(q)

            def cdf(t, x):
                return moved(t).cdf(x)

            x, x_moves = jax.jvp(icdf, (0.0, q), (1.0, jnp.ones_like(q)))
            again, change = jax.linearize(cdf, 0.0, x)
            h = 1e-5
            above, below = jax.vmap(cdf, (0, None))(jnp.array([h, -h]), x)
            slope = change(1.0, jnp.zeros_like(x))
            return again, slope, (above - below) / (2 * h), change(1.0, x_moves)

        again, slope, difference, with_q = measure(dist, q)
        np.testing.assert_allclose(again, q, rtol=1e-9)
        np.testing.assert_allclose(slope, difference, rtol=1e-5, atol=1e-9)
        np.testing.assert_allclose(with_q, 1.0, rtol=1e-7)


@discrete
def test_a_discrete_cdf_is_a_sum(row):
    dist, x = row.build(), values(row)
    below = np.full_like(x[:1], -1)
    got = exact(jax.jit(row.family.cdf)(dist, np.concatenate([x + np.float32(0.25), below])))
    np.testing.assert_array_equal(got[-1], 0.0)
    got = got[:-1]
    truth = np.stack([law.cdf(exact(x[:, i])) for i, law in enumerate(row.laws())], 1)
    seen = ~np.isnan(x)
    np.testing.assert_allclose(got[seen], truth[seen], rtol=2e-3, atol=1e-6)
