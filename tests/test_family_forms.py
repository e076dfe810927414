"""Every family as a value: shapes, pytrees, refused parameters, other ways to build it."""

import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _families import exact, table
from jax.experimental import checkify

import stochastic_net.distributions as d


@table
def test_shapes(row):
    dist = jax.tree.map(lambda leaf: jnp.asarray(leaf[:2]), row.build())
    event = dist.event_shape
    assert dist.batch_shape == (2,)
    assert dist.shape == (2, *event)

    def draw(dist, shape=()):
        return jax.eval_shape(lambda p: p.sample(jax.random.key(0), shape), dist).shape

    def score(dist, x):
        return jax.eval_shape(lambda p: p.log_prob(x), dist).shape

    assert draw(dist, (3, 4)) == (3, 4, 2, *event)
    assert score(dist, jnp.zeros((5, 2), "float32")) == (5, 2)
    first, *rest = (getattr(dist, name) for name in row.settings)
    if rest:  # parameters of shapes (2,) and (3, 1) broadcast, and keep their shapes
        wide = row.family(first, *(jnp.stack([leaf[:1]] * 3) for leaf in rest))
        assert wide.batch_shape == (3, 2)
        assert draw(wide) == (3, 2)
        if not row.discrete:
            loss = lambda p: p.log_prob(p.sample(jax.random.key(0))).sum()  # noqa: E731
            shapes = jax.eval_shape(jax.grad(loss), wide)
            for name in row.settings:
                assert getattr(shapes, name).shape == getattr(wide, name).shape
    empty = jax.tree.map(lambda leaf: leaf[:0], dist)
    assert jax.jit(lambda p: p.sample(jax.random.key(0)))(empty).shape == (0, *event)
    assert score(empty, jnp.zeros((3, 0, *event), "float32")) == (3, 0)


@table
def test_a_family_is_a_pytree(row):
    dist = row.build()
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(dist)]
    assert paths == [f".{name}" for name in row.settings]
    for again in (jax.jit(lambda p: p)(dist), jax.tree.map(lambda leaf: leaf, dist)):
        assert type(again) is row.family
        chex.assert_trees_all_equal(again, dist)
    keys = jax.random.split(jax.random.key(0), *dist.batch_shape)
    mapped = jax.eval_shape(jax.vmap(row.family.sample), dist, keys)
    assert mapped.shape == dist.shape
    value = row.laws()[0].ppf(0.5)
    one = jax.jit(row.family.log_prob)(dist, np.float32(value))
    mapped = jax.jit(jax.vmap(row.family.log_prob, (0, None)))(dist, np.float32(value))
    np.testing.assert_allclose(exact(mapped), exact(one), rtol=2e-6, atol=2e-6)
    assert jax.tree.unflatten(jax.tree.structure(dist), [None] * len(paths)) is not None


@table
def test_a_wrong_parameter_is_refused(row):
    good = {n: jnp.asarray(v) for n, v in row.ordinary_arrays().items()}
    checked = jax.jit(checkify.checkify(lambda p: row.family(**p).sample(jax.random.key(0))))
    for name, rule in row.family._fields.items():
        if not rule.support.integer:
            bad = {**good, name: good[name].at[1].set(jnp.nan)}
            with pytest.raises(ValueError, match=f"{name} of {row.family.__name__} must be .* of "):
                row.family(**bad)
            with pytest.raises(ValueError, match=f"{name} of {row.family.__name__} must be"):
                checked(bad)[0].throw()
            with pytest.raises(TypeError, match=f"{name} must be a Python number or a floating"):
                row.family(**{**good, name: jnp.ones(3, "int32")})
        if str(rule.support).endswith("positive"):
            with pytest.raises(ValueError, match=f"{name} .*must be finite and positive.*-1.0"):
                row.family(**{**good, name: good[name].at[1].set(-1.0)})
        with pytest.raises(TypeError, match=f"{name} must be an array, got list"):
            row.family(**{**good, name: [1.0]})
        if len(good) > 1:
            with pytest.raises(ValueError, match=f"{row.family.__name__} must broadcast together"):
                row.family(**{**good, name: jnp.stack([good[name][0]] * 2)})
    dist = row.build()
    with pytest.raises(ValueError, match=r"ends with the .* of shape"):
        dist.log_prob(jnp.zeros((len(dist.batch_shape) + 77,), "float32"))
    with pytest.raises(TypeError, match="typed JAX key"):
        dist.sample(0)
    with pytest.raises(ValueError, match="shape must be a tuple"):
        dist.sample(jax.random.key(0), 3)


def test_python_numbers_take_the_dtype_of_the_arrays():
    assert d.Laplace(0, jnp.ones(3, "bfloat16")).dtype == "bfloat16"
    assert d.Laplace(0, 1).dtype == jnp.result_type(float)
    assert jax.grad(lambda s: d.Laplace(0.0, s).entropy())(2.0) == 0.5
    assert d.Laplace(jnp.zeros(3, "bfloat16"), jnp.ones(3, "float32")).loc.dtype == "float32"


def test_bounds_must_be_in_order():
    for family in (d.Uniform, lambda low, high: d.TruncatedGaussian(low=low, high=high)):
        with pytest.raises(ValueError, match="low < high"):
            family(1.0, 1.0)


def test_a_finite_support_is_enumerated():
    dists = {
        "Bernoulli": d.Bernoulli(jnp.float32([0.3, -2.0])),
        "Categorical": d.Categorical(jnp.float32([[0.3, -2.0, 1.0], [0.0, -jnp.inf, 2.0]])),
        "OneHot": d.OneHotCategorical(jnp.float32([[0.3, -2.0, 1.0], [0.0, -jnp.inf, 2.0]])),
        "Binomial": d.Binomial(jnp.int32([7, 3]), jnp.float32([0.2, -1.0])),
    }
    sizes = {"Bernoulli": 2, "Categorical": 3, "OneHot": 3, "Binomial": 8}
    for name, dist in dists.items():
        x = dist.enumerate_support()
        assert x.shape == (sizes[name], *dist.shape)
        p = jnp.exp(dist.log_prob(x))
        np.testing.assert_allclose(p.sum(0), 1, rtol=1e-5)
        wide = p.reshape(p.shape + (1,) * len(dist.event_shape))
        np.testing.assert_allclose((wide * x.astype("float32")).sum(0), dist.mean, rtol=1e-5)
    with pytest.raises(NotImplementedError, match="finite support"):
        d.Poisson(1.0).enumerate_support()
    with pytest.raises(TypeError, match="known when the function is traced"):
        jax.jit(lambda n: d.Binomial(n, 0.0).enumerate_support())(3)


def test_one_hot_is_a_categorical_vector(key):
    logits = jnp.float32([[0.3, -2.0, 1.0], [0.0, -jnp.inf, 2.0]])
    one_hot, index = d.OneHotCategorical(logits), d.Categorical(logits)
    draws = 20_000
    z = one_hot.sample(key, (draws,))
    assert np.asarray(one_hot.support.contains(z)).all()
    limit = 5.5 / math.sqrt(draws)
    assert abs(exact(z.mean(0)) - exact(one_hot.probs)).max() < limit * 0.5
    np.testing.assert_allclose(one_hot.log_prob(z), index.log_prob(z.argmax(-1)), rtol=1e-6)
    np.testing.assert_allclose(one_hot.entropy(), index.entropy(), rtol=1e-6)
    np.testing.assert_array_equal(exact(one_hot.log_prob(jnp.ones(3, "float32"))), -np.inf)
    with pytest.raises(TypeError, match="OneHotCategorical is discrete"):
        jax.grad(lambda p: p.sample(jax.random.key(0)).sum())(one_hot)


@pytest.mark.parametrize(
    "build",
    [
        d.Bernoulli.from_probs,
        d.Geometric.from_probs,
        lambda p: d.Binomial.from_probs(5, p),
        lambda p: d.NegativeBinomial.from_probs(5.0, p),
        lambda p: d.Categorical.from_probs(jnp.stack([p, 1 - p], -1)),
        lambda p: d.OneHotCategorical.from_probs(jnp.stack([p, 1 - p], -1)),
    ],
)
def test_from_probs(build):
    probs = jnp.float32([1e-6, 0.3, 0.9])
    got = build(probs).probs
    np.testing.assert_allclose(got if got.ndim == 1 else got[..., 0], probs, rtol=1e-6)
    with pytest.raises(ValueError, match="probs must be probabilities"):
        build(probs + 0.5)


def test_a_new_family_is_one_class():
    class Bump(d.Family):
        """Triangular on (-1, 1) times `scale`."""

        scale: jax.Array = d.parameter(d._support.positive)

        @property
        def support(self):
            return d._support.interval(-self.scale, self.scale)

        def _sample(self, key, shape):
            return self.scale * jax.random.triangular(key, -1.0, 0.0, 1.0, shape, self.dtype)

        def _log_prob(self, x):
            return jnp.log1p(-abs(x / self.scale)) - jnp.log(self.scale)

    dist = Bump(jnp.float32([1.0, 2.0]))
    assert dist.sample(jax.random.key(0), (3,)).shape == (3, 2)
    np.testing.assert_array_equal(dist.log_prob(0.0), -np.log(np.float32([1, 2])))
    np.testing.assert_array_equal(exact(dist.log_prob(5.0)), -np.inf)
    with pytest.raises(NotImplementedError, match="Bump has no closed form of cdf"):
        dist.cdf(0.0)
