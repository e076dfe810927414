"""One draw everywhere; shapes, dtypes, and what is refused, of the gamma family."""

import functools
import re

import chex
import jax
import jax.numpy as jnp
import pytest
from _mesh import mesh_of
from _samplers import SAMPLERS, sampler
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P


@pytest.mark.law
@pytest.mark.parametrize("name", SAMPLERS)
def test_the_draw_is_the_same_everywhere(name):
    """Eager, jitted, mapped over keys, and over eight devices: one draw, but for rounding."""
    row = tuple(
        jnp.linspace(0.3, 5.0, 48).reshape(8, 6) + i for i in range(len(SAMPLERS[name][1][0]))
    )
    draw = functools.partial(sampler(name))
    eager = draw(jax.random.key(5), *row)
    chex.assert_trees_all_close(jax.jit(draw)(jax.random.key(5), *row), eager, rtol=1e-5)
    mapped = jax.vmap(lambda seed: draw(jax.random.key(seed), *row))(jnp.arange(3, 6))
    chex.assert_trees_all_close(mapped[2], eager, rtol=1e-5)
    rank4 = draw(jax.random.key(5), *(p.reshape(8, 2, 3, 1) for p in row))
    chex.assert_trees_all_close(rank4.reshape(8, 6), eager, rtol=1e-5)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sharded_draw_moves_no_array(name):
    """On eight devices each draws its shard: all that is sent is one bit a round of rejection."""
    sharding = NamedSharding(mesh_of(8), P("batch"))
    rows = tuple(jnp.linspace(0.3, 5.0, 8 * 32).reshape(8, 32) for _ in SAMPLERS[name][1][0])
    sharded = jax.device_put(rows, sharding)
    draw = jax.jit(lambda *row: sampler(name)(jax.random.key(2), *row), out_shardings=sharding)
    text = draw.lower(*sharded).compile().as_text()
    assert not re.search(r"all-gather|all-to-all|collective-permute", text)
    chex.assert_trees_all_close(draw(*sharded), draw(*rows), rtol=1e-5)


@pytest.mark.law
@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_shapes_and_dtypes(name, dtype):
    count = len(SAMPLERS[name][1][0])
    draw = functools.partial(sampler(name), dtype=dtype)
    column = jnp.ones((3, 1), dtype)
    assert draw(jax.random.key(0), *[column] * count, shape=(2, 3, 4)).shape == (2, 3, 4)
    assert draw(jax.random.key(0), *[jnp.ones((0, 2))] * count).shape == (0, 2)
    assert draw(jax.random.key(0), *[1.5] * count).dtype == dtype
    assert draw(jax.random.key(0), *[1] * count).shape == ()
    gradient = jax.grad(lambda p: draw(jax.random.key(0), *[p] * count, shape=(5, 3, 4)).sum())(
        column
    )
    assert gradient.dtype == dtype
    assert gradient.shape == column.shape


@pytest.mark.law
@pytest.mark.parametrize("name", SAMPLERS)
def test_float64_has_more_digits(name):
    with jax.enable_x64(True):
        row = [jnp.float64(p) for p in SAMPLERS[name][1][1]]
        z = sampler(name)(jax.random.key(0), *row, shape=(100,))
        assert z.dtype == jnp.float64
        assert (z != z.astype("float32").astype("float64")).mean() > 0.9


@pytest.mark.parametrize("name", [*SAMPLERS, "dirichlet"])
def test_bad_input_is_refused(name):
    count = len(SAMPLERS.get(name, (None, [(1,)]))[1][0])
    good = [jnp.ones(3)] * count
    key = jax.random.key(0)  # never consumed: each call is refused before

    def draw(*args, **options):
        return sampler(name)(*args, **options)

    with pytest.raises(TypeError, match="key"):
        draw(0, *good)
    with pytest.raises(ValueError, match="must be positive"):
        draw(key, jnp.array([1.0, -1.0, 0.0]), *good[1:])
    with pytest.raises(ValueError, match="must be positive"):
        draw(key, jnp.array([1.0, jnp.nan, 1.0]), *good[1:])
    with pytest.raises(TypeError, match="real"):
        draw(key, jnp.array([1j, 1.0, 1.0]), *good[1:])
    with pytest.raises(TypeError, match="float"):
        draw(key, *good, dtype="int32")
    if name != "dirichlet":  # there (4, 2) is a batch
        with pytest.raises(ValueError, match="shape"):
            draw(key, *good, shape=(4, 2))
    with pytest.raises(ValueError, match="shape"):
        draw(key, *good, shape=(-1,))
    traced = jax.jit(lambda p: draw(jax.random.key(0), p, *good[1:]))(
        jnp.array([jnp.nan, 1.0, 2.0])
    )
    assert jnp.isnan(traced[0])
