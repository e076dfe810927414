"""The room `random`: the noise is jax.random's, 16-bit noise is rounded, names pick keys."""

import math
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stochastic_net as sn

SHAPES = [(), (7,), (0,), (4, 5), (3, 0), (2, 3, 5), (2, 0, 3), (2, 3, 4, 5)]
NO_FMA = "--xla_cpu_max_isa=AVX" in os.environ["XLA_FLAGS"]
HALVES = ["float16", "bfloat16"]
IMPLS = ["threefry2x32", "threefry4x32"]


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    """Each precision, with x64 on for float64."""
    with jax.enable_x64(request.param == "float64" or jax.config.jax_enable_x64):
        yield request.param


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_normal_is_jax_random_normal_bit_for_bit(shape, dtype, impl):
    ours = sn.random.normal(jax.random.key(1, impl=impl), shape, dtype)
    theirs = jax.random.normal(jax.random.key(1, impl=impl), shape, dtype)
    assert (ours.shape, ours.dtype) == (shape, dtype)
    # We draw flat from three dimensions on. The random bits are the same; what JAX 0.12 makes of
    # them depends in the last bits on the loop that XLA fuses, unless it is kept from fusing.
    exact = len(shape) <= 2 or NO_FMA or jax.__version_info__ < (0, 12)
    np.testing.assert_array_max_ulp(np.asarray(ours), np.asarray(theirs), 0 if exact else 2)


def test_the_default_dtype_is_that_of_jax(dtype, key):
    assert sn.random.normal(key).dtype == jnp.result_type(float)


@pytest.mark.parametrize("dtype", HALVES)
def test_half_noise_is_float32_noise_rounded_once(dtype):
    half = sn.random.normal(jax.random.key(2), (3, 4, 5), dtype)
    full = sn.random.normal(jax.random.key(2), (3, 4, 5), "float32")
    assert half.dtype == dtype
    np.testing.assert_array_equal(half, full.astype(dtype))


@pytest.mark.parametrize("dtype", HALVES)
def test_half_noise_is_standard_normal(dtype, key):
    n = 400_000
    eps = np.asarray(sn.random.normal(key, (n,), dtype), np.float64)
    # z-tests at 6 sigma: false alarm 2e-9 each. jax.random.normal's own bfloat16 noise has its mean
    # 7.3 sigma off at this n, its variance 3.3, its largest value at 2.9, and 128 distinct values.
    assert abs(eps.mean()) < 6 / math.sqrt(n)
    assert abs((eps**2).mean() - 1) < 6 * math.sqrt(2 / n)
    assert abs(eps).max() > 4  # missed with probability exp(-25)
    assert np.unique(eps).size > 2_000


@pytest.mark.parametrize("dtype", [int, bool, complex, "float8_e4m3fn", "uint8"], ids=str)
def test_other_dtypes_are_refused(dtype, key):
    with pytest.raises(TypeError, match=r"expected a dtype of float16, .* Cast first"):
        sn.random.normal(key, (2,), dtype)


NAMES = ["a", "b", "ab", "ba", "", "a/b", "a/", "/b", "['ab']['c']", "['a']['bc']", ".a.b", "ä"]


@pytest.mark.parametrize("impl", IMPLS)
def test_distinct_names_pick_distinct_keys_and_none_of_the_users_own(impl):
    key = jax.random.key(3, impl=impl)
    named = jnp.stack([sn.random.named_key(key, name) for name in NAMES])
    fold_in = jax.vmap(jax.random.fold_in, (None, 0))
    folded = fold_in(key, jnp.arange(64))
    grandchildren = jax.vmap(fold_in, (0, None))(folded, jnp.arange(8)).ravel()
    split = jax.random.split(jax.random.clone(key), 64)
    others = jnp.concatenate([jax.random.clone(key)[None], folded, grandchildren])
    assert named.dtype == key.dtype
    assert len(_words(named) | _words(others)) == len(NAMES) + len(others)
    assert _words(split) == _words(folded)  # why a key is either split or folded, never both


def test_a_named_key_is_pinned():
    # Golden bits: what a name draws may only change together with the version in the hash.
    words = jax.random.key_data(sn.random.named_key(jax.random.key(0), "weight"))
    assert [hex(word) for word in words.tolist()] == ["0xdd8aa263", "0x99c442dc"]


def test_a_named_key_is_the_same_under_jit_and_vmap():
    keys = jax.random.split(jax.random.key(4), 3)
    one_by_one = jnp.stack([sn.random.named_key(key, "w") for key in keys])
    batched = jax.jit(jax.vmap(lambda key: sn.random.named_key(key, "w")))(keys)
    assert bool((one_by_one == batched).all())


def _words(keys):
    return {tuple(words) for words in jax.random.key_data(keys).tolist()}
