"""Every estimator under every transformation, in every dtype, of nothing at all."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _estimators import TABLE, function, problem, table

import stochastic_net as sn

pytestmark = pytest.mark.law

E, D = sn.estimators, sn.distributions


def devices(run, keys):
    """Under jit of vmap, a key on each of eight devices."""
    mesh = jax.make_mesh((8,), ("i",), axis_types=(jax.sharding.AxisType.Auto,))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("i"))
    return jax.jit(jax.vmap(run))(jax.device_put(keys, sharding))


@table(TABLE)
def test_one_gradient_under_every_transformation(row):
    """Eager; jit, vmap, jvp and eight devices; scan and remat. Other keys, other values."""
    law, w = problem(row)
    assert jax.device_count() == 8
    tangents = jax.tree.map(jnp.ones_like, law), jnp.ones_like(w)

    def slopes(value):
        return jax.value_and_grad(value, argnums=(0, 1))(law, w)

    def estimate(key):
        return lambda law, w: row.estimator(function(w), law, key, num_samples=4)

    def both(key):
        again = estimate(jax.random.clone(key))
        return slopes(estimate(key)), jax.jvp(again, (law, w), tangents)[1]

    eight = jax.random.split(jax.random.key(1), 8)
    eager = slopes(estimate(jax.random.split(jax.random.key(1), 8)[0]))
    mapped, ahead = devices(both, eight)
    keys = jax.random.split(jax.random.key(1), 8)
    _, scanned = jax.lax.scan(lambda c, k: (c, slopes(jax.checkpoint(estimate(k)))), 0, keys)
    for a, b, c in zip(*map(jax.tree.leaves, (eager, mapped, scanned)), strict=True):
        np.testing.assert_allclose(b[0], a, rtol=3e-4, atol=3e-5)
        np.testing.assert_allclose(b, c, rtol=3e-4, atol=3e-5)
    total = sum(x.reshape(8, -1).sum(1) for x in jax.tree.leaves(mapped[1]))
    np.testing.assert_allclose(ahead, total, rtol=1e-3, atol=1e-4)
    constant = row.estimator is E.enumerate_support
    assert len(set(mapped[0].tolist())) == 1 if constant else len(set(mapped[0].tolist())) > 1


@table({n: TABLE[n] for n in ("pathwise", "score_function", "disarm", "antithetic")})
def test_it_compiles_once_for_a_shape(row):
    law, w = problem(row)
    traced = []

    @jax.jit
    def run(law, w, key):
        traced.append(1)
        return jax.grad(lambda law, w: row.estimator(function(w), law, key), (0, 1))(law, w)

    for key in jax.random.split(jax.random.key(0), 3):
        run(law, w, key)
    assert len(traced) == 1
    assert not jax.make_jaxpr(run)(law, w, jax.random.key(0)).effects  # JAX's fast path


@table({n: r for n, r in TABLE.items() if r.coins and n not in ("double_control_variate", "rodeo")})
def test_f_may_return_an_array(row):
    """(Continuous ones are tested with one everywhere.)"""
    law, w = problem(row)
    if row.estimator.__name__.startswith(("relax", "control_variate")):
        pytest.skip("its own function is a number")

    def estimate(f, law):
        return row.estimator(f, law, jax.random.key(0))

    first, second = function(w), lambda z: 2 * function(2 * w)(z)

    @jax.jit
    def all_three(law):
        together = jax.jacrev(lambda law: estimate(lambda z: jnp.stack([first(z), second(z)]), law))
        return together(law), [
            jax.grad(lambda law, f=f: estimate(f, law))(law) for f in (first, second)
        ]

    jacobian, singles = all_three(law)
    for i, single in enumerate(singles):
        for a, b in zip(jax.tree.leaves(jacobian), jax.tree.leaves(single), strict=True):
            np.testing.assert_allclose(a[i], b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
@pytest.mark.parametrize("name", ["quasi", "rodeo", "relax", "disarm", "measure_valued", "reinmax"])
def test_every_dtype_of_parameters_and_of_f(name, dtype):
    row = TABLE[name]
    with jax.enable_x64(dtype == "float64"):
        law = jax.tree.map(lambda x: x.astype(dtype), problem(row)[0])

        def value(law):
            return row.estimator(
                lambda z: (jnp.asarray(z, dtype) ** 2).sum(), law, jax.random.key(0)
            )

        for slope in jax.tree.leaves(jax.grad(value)(law)):
            assert slope.dtype == dtype
            assert np.isfinite(np.asarray(slope, np.float64)).all()


@table({n: r for n, r in TABLE.items() if not n.startswith("control_variate")})
def test_laws_without_elements(row):
    nothing = jnp.zeros((0,))
    law = sn.Gaussian(nothing, nothing) if row.numbers else D.Bernoulli(nothing)

    def value(law):
        return row.estimator(lambda z: 1 + jnp.asarray(z, float).sum(), law, jax.random.key(0))

    found, slopes = jax.value_and_grad(value)(law)
    assert found == 1.0
    assert all(x.shape == (0,) for x in jax.tree.leaves(slopes))


@table(
    {n: r for n, r in TABLE.items() if r.one_hot and not r.numbers and not n.startswith("contr")}
)
def test_a_class_that_never_comes_has_no_part(row):
    """Its logit is -inf."""
    logits = jnp.asarray([0.0, 1.0, -jnp.inf])

    def value(logits):
        law = D.OneHotCategorical(logits)
        return row.estimator(
            lambda z: (jnp.asarray(z, float) @ jnp.arange(3.0)) ** 2, law, jax.random.key(1)
        )

    slopes = jax.grad(value)(logits)
    assert np.isfinite(slopes).all()
    assert slopes[2] == 0
