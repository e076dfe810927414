"""Every family's density and moments: float32-exact, of mass one, zero outside the support."""

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
import scipy.stats
from _families import EPS, TINY, exact, nodes, table, values
from _laws import Law, log_density

import stochastic_net.distributions as d

pytestmark = pytest.mark.law


def true_log_prob(row, x):
    """The truth at x, and the change that a relative change of one in its arguments makes."""
    settings, count = row.settings, x.shape[1]
    truth, conditioning = np.empty(x.shape), np.zeros(x.shape)
    for i in range(count):
        setting = {n: exact(v[i]) for n, v in settings.items()}
        at = exact(x[:, i])
        truth[:, i] = log_density(row.law(setting), at)
        step = 1e-6
        for name in setting:
            if row.discrete and name == "total_count":
                continue
            with np.errstate(all="ignore"):
                moved = row.law({**setting, name: setting[name] * (1 + step)})
                change = abs(log_density(moved, at) - truth[:, i]) / step
            conditioning[:, i] += np.where(np.isfinite(change), change, 0)
        if not row.discrete:
            with np.errstate(all="ignore"):
                change = abs(log_density(row.law(setting), at * (1 - step)) - truth[:, i]) / step
            conditioning[:, i] += np.where(np.isfinite(change), change, 0)
    return truth, conditioning


@table
def test_log_prob_is_float32_exact(row):
    # To 6 roundings of the result, of 1, and of what one rounding of each argument does.
    x = values(row)
    got = exact(jax.jit(row.family.log_prob)(row.build(), x))
    truth, conditioning = true_log_prob(row, x)
    seen = ~np.isnan(x) & np.isfinite(truth)
    assert seen.mean() > 0.4
    assert np.isnan(got[np.isnan(x)]).all()  # NaN in, NaN out
    error = abs(got - truth)[seen] / (EPS * (1 + abs(truth) + conditioning))[seen]
    assert error.max() < ALLOWED.get(row.family, 6), (error.max(), x[seen][error.argmax()])


ALLOWED = {}


@jax.jit
def support_and_log_prob(dist, x):
    return dist.support.contains(x), dist.log_prob(x)


@table
def test_the_density_integrates_to_one(row):
    settings = row.ordinary_arrays()
    points, weights = padded([rule(row, law) for law in row.laws(settings)])
    with jax.enable_x64(True):
        inside, log_prob = support_and_log_prob(row.build("float64", settings), points)
    total = (weights * np.where(inside, np.exp(exact(log_prob)), 0)).sum(0)
    np.testing.assert_allclose(total, 1, rtol=1e-6)


def rule(row, law):
    """Points and weights that integrate over the support of a law."""
    if not row.discrete:
        return nodes(row, law)
    x = np.arange(0, law.ppf(1 - 1e-13) + 10)
    return x, np.ones_like(x)


def padded(rules):
    """Rules of different lengths as columns: what is repeated to fill one up has weight 0."""
    size = max(len(x) for x, _ in rules)
    points = [np.pad(x, (0, size - len(x)), mode="edge") for x, _ in rules]
    return np.stack(points, 1), np.stack([np.pad(w, (0, size - len(w))) for _, w in rules], 1)


FUNCTIONS = ["mean", "var", "entropy"]


@pytest.mark.parametrize("name", FUNCTIONS)
@table
def test_moments(row, name):
    dist = row.build()
    get = {"mean": lambda p: p.mean, "var": lambda p: p.var, "entropy": lambda p: p.entropy()}[name]
    if name in row.lacks:
        with pytest.raises(NotImplementedError, match=f"no closed form of {name}. Estimate it"):
            get(dist)
        return
    got = exact(jax.jit(get)(dist))
    for i, law in enumerate(row.laws()):
        if (
            name == "entropy"
            and isinstance(law, Law)
            and i >= len(next(iter(row.ordinary.values())))
        ):
            continue  # where a float64 cannot hold what is next to 1
        with np.errstate(all="ignore"):
            truth = true_moment(row, law, name)
        size = abs(truth) + (1 if name == "entropy" else 0)
        if name == "mean" and np.isfinite(truth):
            size = size + np.sqrt(np.nan_to_num(law.var(), nan=1.0, posinf=0))
        limit = np.finfo("float32").max
        if abs(truth) > limit:
            truth = np.copysign(np.inf, truth)
        if not np.isfinite(truth):
            assert np.isnan(got[i]) == np.isnan(truth), (i, got[i], truth)
            assert np.isnan(truth) or got[i] == truth
        else:
            assert abs(got[i] - truth) <= 1e-5 * size + TINY, (i, got[i], truth)


def true_moment(row, law, name):
    truth = exact(getattr(law, name)())
    if row.family is d.StudentT and name == "mean" and np.isinf(truth):
        return exact(np.nan)  # scipy's is infinite where there is none
    if name == "entropy" and np.isnan(truth):
        x, weights = nodes(row, law)
        log_p = law.logpdf(x)
        return -(weights * np.exp(log_p) * log_p).sum()
    return truth


@pytest.mark.parametrize("a", [0.3, 1.0, 50.0, 1e5])
@pytest.mark.parametrize("b", [1e-3, 0.05, 1.0, 50.0, 1e5, None])
def test_variances_have_digits_where_they_are_small(a, b):
    """Of a Kumaraswamy law, or a Weibull one (b is None); against 50 digits."""
    dist = d.Weibull(1.0, a) if b is None else d.Kumaraswamy(a, b)
    with mp.workdps(50):
        step, b = 1 / mp.mpf(float(np.float32(a))), b and mp.mpf(float(np.float32(b)))

        def moment(order):
            x = 1 + order * step
            return mp.gamma(x) if b is None else b * mp.beta(x, b)

        truth = float(moment(2) - moment(1) ** 2)
    assert abs(jax.jit(lambda d: d.var)(dist) / truth - 1) < 1e-5


OUTSIDE = np.float32([-np.inf, np.inf, 0.0, 1.0, -3.0, 0.5, np.nan])


@table
def test_outside_the_support_the_density_is_zero(row):
    # Its gradients too; each value has its own copy of the parameters, so that none hides another.
    dist = row.build(settings={n: np.stack([v] * OUTSIDE.size) for n, v in row.settings.items()})
    x = np.broadcast_to(OUTSIDE[:, None], dist.shape)
    inside, log_prob, cdf, slopes = jax.jit(measure, static_argnums=2)(
        dist, x, "cdf" not in row.lacks
    )
    gone = ~np.asarray(inside) & ~np.isnan(x)
    assert gone[:2].all()
    assert gone[5].all() or not row.discrete
    np.testing.assert_array_equal(exact(log_prob)[gone], -np.inf)
    assert np.isnan(exact(log_prob)[-1]).all()
    for slope in jax.tree.leaves(slopes):
        if slope.dtype != jax.dtypes.float0:  # of a whole number
            assert (np.asarray(slope)[gone] == 0).all()
    if cdf is not None:
        np.testing.assert_array_equal(exact(cdf[0]), 0.0)
        np.testing.assert_array_equal(exact(cdf[1]), 1.0)


def measure(dist, x, with_cdf):
    log_prob, pullback = jax.vjp(lambda dist, x: dist.log_prob(x), dist, x)
    cdf = dist.cdf(x) if with_cdf else None
    return dist.support.contains(x), log_prob, cdf, pullback(jnp.ones_like(log_prob))


def test_a_draw_at_the_end_of_float32_has_a_density_and_a_mass():
    """t / sqrt(df) is no float32 there."""
    z = np.float32([1e25, 1e38, np.finfo(np.float32).max])
    dist, law = d.StudentT(jnp.float32(0.05)), scipy.stats.t(np.float32(0.05).astype(float))
    log_prob, slope = jax.vmap(jax.value_and_grad(type(dist).log_prob, 1), (None, 0))(dist, z)
    np.testing.assert_allclose(log_prob, law.logpdf(z.astype(float)), rtol=1e-6)
    np.testing.assert_allclose(slope, -1.05 / z, rtol=1e-5, atol=TINY)
    np.testing.assert_allclose(1 - exact(dist.cdf(z)), law.sf(z.astype(float)), rtol=2e-5)
    np.testing.assert_allclose(dist.cdf(-z), law.sf(z.astype(float)), rtol=5e-6)


WILD = {  # laws many of whose draws are the first or the last numbers of float32
    "Beta": d.Beta(0.05, 0.05),
    "Cauchy": d.Cauchy(0.0, 1e30),
    "Dirichlet": d.Dirichlet(np.float32([0.01, 0.02])),
    "Gamma": d.Gamma(0.02, 1.0),
    "InverseGamma": d.InverseGamma(0.02, 1.0),
    "Kumaraswamy": d.Kumaraswamy(0.05, 0.05),
    "LogNormal": d.LogNormal(0.0, 60.0),
    "Pareto": d.Pareto(1.0, 0.02),
    "StudentT": d.StudentT(0.05),
    "Weibull": d.Weibull(1.0, 0.02),
}


@pytest.mark.parametrize("name", WILD)
def test_a_law_has_a_density_at_its_own_draws(name, key):
    dist = WILD[name]
    x = dist.sample(key, (20_000,))
    log_prob, pullback = jax.vjp(lambda dist: dist.log_prob(x), dist)
    assert jnp.isfinite(log_prob).all()
    for slope in jax.tree.leaves(pullback(jnp.full(log_prob.shape, 1 / x.size))):
        assert jnp.isfinite(slope).all()


@pytest.mark.parametrize("a", [(0.05, 0.05), (0.3, 0.6), (1e-3, 4.0)])
def test_the_density_of_a_share_has_its_digits_down_to_the_smallest_number(a):
    """n x, of a small sum n of both shapes, is no normal number there."""
    a = np.float32(a)
    x = np.float32([1.2e-38, 1e-37, 1e-20, 1e-3, 0.5])
    truth = scipy.stats.beta(*a.astype(float)).logpdf(x.astype(float))
    np.testing.assert_allclose(d.Beta(*a).log_prob(x), truth, rtol=2e-6, atol=2e-6)
    pairs = np.stack([x, 1 - x], -1)
    np.testing.assert_allclose(d.Dirichlet(a).log_prob(pairs), truth, rtol=2e-6, atol=2e-6)
