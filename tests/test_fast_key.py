"""The key implementation THREEFRY13: its bits are the cipher's, the same everywhere, and random.

The laws are held against a Threefry written here in plain Python, the statistics at six standard
deviations: a false alarm of 2e-9 a test if the bits were fair coins, and the keys are fixed.
`benchmarks/key_battery.py` looks much closer.
"""

import math
import pickle
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _mesh import mesh_of
from jax.extend.random import threefry_2x32
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

import stochastic_net as sn
from stochastic_net.random._threefry import threefry

IMPL = sn.random.THREEFRY13
SHAPES = [(), (7,), (0,), (3, 0), (4, 5), (2, 1, 3, 4)]
WIDTHS = [8, 16, 32, 64]
BITS, SPLIT, FOLD_IN, SEED = (part << 62 for part in range(4))  # who asks, atop the counter
SIGMA = 6


def key_of(seed):
    return jax.random.key(seed, impl=IMPL)


def words(keys):
    return [tuple(row) for row in jax.random.key_data(keys).reshape(-1, 2).tolist()]


def by_hand(key, counter, rounds):
    """Threefry-2x32 as in Salmon et al. 2011, on Python's integers."""
    rotations, mask = (13, 15, 26, 6, 17, 29, 16, 24), 2**32 - 1
    schedule = (*key, key[0] ^ key[1] ^ 0x1BD11BDA)
    x, y = (counter >> 32) + schedule[0] & mask, (counter & mask) + schedule[1] & mask
    for n in range(rounds):
        turn = rotations[n % 8]
        x = x + y & mask
        y = (y << turn & mask | y >> 32 - turn) ^ x
        if n % 4 == 3:
            block = n // 4 + 1
            x = x + schedule[block % 3] & mask
            y = y + schedule[(block + 1) % 3] + block & mask
    return x, y


def bits_by_hand(key, places, width):
    both = [by_hand(words(key)[0], BITS + place, 13) for place in places]
    if width == 64:
        return [x << 32 | y for x, y in both]
    return [(x ^ y) % 2**width for x, y in both]


@pytest.fixture(params=WIDTHS, ids=lambda width: f"uint{width}")
def width(request):
    """Each width, with x64 on for the widest."""
    with jax.enable_x64(request.param == 64 or jax.config.jax_enable_x64):
        yield request.param


def test_twenty_rounds_are_the_threefry_of_jax():
    counters = np.random.default_rng(0).integers(0, 2**32, (2, 50), np.uint32)
    key = np.uint32([0x13198A2E, 0x03707344])
    theirs = threefry_2x32(key, jnp.asarray(counters)).reshape(2, 50)
    ours = threefry((key[0], key[1]), *map(jnp.asarray, counters), rounds=20)
    np.testing.assert_array_equal(np.stack(ours), theirs)
    # The known answer of Random123, for the oracle of this file.
    answer = by_hand((0x13198A2E, 0x03707344), 0x243F6A88_85A308D3, 20)
    assert answer == (0xC4923A9C, 0x483DF7A0)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_bits_are_the_ciphers_in_flat_order(shape, width):
    bits = jax.random.bits(key_of(1), shape, f"uint{width}")
    assert (bits.shape, bits.dtype) == (shape, f"uint{width}")
    expected = bits_by_hand(key_of(1), range(math.prod(shape)), width)
    np.testing.assert_array_equal(bits.ravel(), np.array(expected, bits.dtype))


@pytest.mark.parametrize(
    ("shape", "start", "place"),
    [
        ((2**32,), (2**32 - 5,), 2**32 - 5),
        ((2**32 + 9,), (2**32 - 2,), 2**32 - 2),
        ((2**33,), (2**32 + 5,), 2**32 + 5),
        ((3, 2, 2**31), (2, 1, 7), 5 * 2**31 + 7),
        ((2**21, 2**20), (2**20 + 3, 2), (2**20 + 3) * 2**20 + 2),
    ],
    ids=str,
)
def test_no_place_is_counted_twice_in_huge_arrays(shape, start, place, width):
    ends = (*(i + 1 for i in start[:-1]), start[-1] + 4)

    def corner(key):  # fused: only these four are made
        return jax.lax.slice(jax.random.bits(key, shape, f"uint{width}"), start, ends).ravel()

    bits = jax.jit(corner)(key_of(2)).tolist()
    assert bits == bits_by_hand(key_of(2), range(place, place + 4), width)


def test_many_bits_are_the_same_bits(width):
    def draw(key, many):
        return jax.random.bits(key, (many,), f"uint{width}")

    few, many = draw(key_of(2), 2**16 - 1), jax.jit(draw, static_argnums=1)(key_of(2), 2**16 + 9)
    np.testing.assert_array_equal(many[: few.size], few)
    expected = bits_by_hand(key_of(2), range(few.size, many.size), width)
    assert many[few.size :].tolist() == expected


def on_8_devices():
    return NamedSharding(mesh_of(8), P("batch"))


def shard_mapped(draw, keys):
    mesh = on_8_devices().mesh
    f = jax.shard_map(jax.vmap(draw), mesh=mesh, in_specs=P("batch"), out_specs=P("batch"))
    return jax.jit(f)(keys)


WAYS = {
    "vmap": lambda draw, keys: jax.vmap(draw)(keys),
    "jit vmap": lambda draw, keys: jax.jit(jax.vmap(draw))(keys),
    "vmap twice": lambda draw, keys: jax.vmap(jax.vmap(draw))(keys.reshape(2, 4)),
    "scan": lambda draw, keys: jax.lax.scan(lambda c, key: (c, draw(key)), None, keys)[1],
    "8 devices": lambda draw, keys: jax.jit(jax.vmap(draw))(jax.device_put(keys, on_8_devices())),
    "shard_map": shard_mapped,
}
DRAWS = {
    "bits": lambda key: jax.random.bits(key, (2, 3)),
    "bits in a pass of their own": lambda key: jax.random.bits(key, (2**8, 2**8 + 1)),
    "uniform": lambda key: jax.random.uniform(key, (5,)),
    "split": lambda key: jax.random.key_data(jax.random.split(key, (3, 2))),
    "fold_in": lambda key: jax.random.key_data(jax.random.fold_in(key, 7)),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_many_keys_at_once_draw_what_each_draws_alone(way, draw):
    once = jnp.stack([draw(key) for key in jax.random.split(key_of(3), 8)])
    again = np.asarray(way(draw, jax.random.split(key_of(3), 8))).reshape(once.shape)
    np.testing.assert_array_equal(again, once)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_the_noise_of_many_keys_is_what_each_draws_alone(way):
    def draw(key):
        return sn.random.normal(key, (2, 3, 5))

    once = jnp.stack([draw(key) for key in jax.random.split(key_of(5), 8)])
    again = np.asarray(way(draw, jax.random.split(key_of(5), 8))).reshape(once.shape)
    np.testing.assert_array_max_ulp(again, np.asarray(once), 4)  # multiply and add may be fused


COLLECTIVE = re.compile(r"all-gather|all-to-all|all-reduce|collective-permute|reduce-scatter")


ON_8_DEVICES = [(80,), (16, 5), (16, 4, 3, 2), (16, 1, 9), (2**20,), (16, 64, 64)]


@pytest.mark.parametrize("shape", ON_8_DEVICES, ids=str)
@pytest.mark.parametrize(
    "draw", [jax.random.bits, jax.random.normal, sn.random.normal], ids=["bits", "normal", "ours"]
)
def test_each_device_draws_its_own_part_and_no_more(draw, shape):
    def draw_shape(key):
        return draw(key, shape)

    compiled = jax.jit(draw_shape, out_shardings=on_8_devices()).lower(key_of(4)).compile()
    assert not COLLECTIVE.search(compiled.as_text())
    sizes = re.findall(r"[a-z]\d+\[([\d,]+)\]", compiled.as_text())
    assert max(math.prod(map(int, size.split(","))) for size in sizes) == math.prod(shape) // 8
    parts, whole = compiled(key_of(4)), jax.jit(draw_shape)(key_of(4))
    ulp = 0 if draw is jax.random.bits else 4  # XLA may fuse multiply and add in one and not both
    if not ulp:
        np.testing.assert_array_equal(parts, whole)
    np.testing.assert_allclose(parts, whole, rtol=ulp * np.finfo(np.float32).eps)


@pytest.mark.parametrize(
    ("seed", "x64", "number"),
    [
        (0, False, 0),
        (2**31, False, 2**31),
        (-1, False, 2**32 - 1),
        (2**40 + 1, False, 1),  # JAX cuts the seed before we see it
        (2**40 + 1, True, 2**40 + 1),
        (-1, True, 2**64 - 1),
        (np.uint32(2**32 - 1), False, 2**32 - 1),
        (np.int32(-1), True, 2**32 - 1),
    ],
)
def test_a_key_is_the_hash_of_its_seed(seed, x64, number):
    with jax.enable_x64(x64):
        assert words(key_of(seed)) == [by_hand((SEED >> 32,) * 2, number, 20)]


def test_a_traced_seed_makes_the_same_key():
    keys = jax.jit(jax.vmap(key_of))(jnp.arange(5))
    assert words(keys) == [words(key_of(seed))[0] for seed in range(5)]


def test_children_are_the_ciphers_at_counters_of_their_own():
    (parent,) = words(key_of(5))
    split = jax.random.split(key_of(5), (2, 3))
    assert words(split) == [by_hand(parent, SPLIT + i, 20) for i in range(6)]
    fold_in = jax.vmap(jax.random.fold_in, (None, 0))
    data = jnp.uint32([0, 1, 2**31, 2**32 - 1])
    assert words(fold_in(key_of(5), data)) == [by_hand(parent, FOLD_IN + int(i), 20) for i in data]


def test_no_child_equals_another_or_the_parents_bits():
    n = 2000
    split = jax.random.split(key_of(6), n)
    folded = jax.vmap(jax.random.fold_in, (None, 0))(key_of(6), jnp.arange(n))
    again = jax.vmap(jax.random.split)(split[:500]).ravel()
    with jax.enable_x64(True):
        bits = [divmod(word, 2**32) for word in jax.random.bits(key_of(6), (n,), "uint64").tolist()]
    everything = [*words(key_of(6)), *words(split), *words(folded), *words(again), *bits]
    assert len(set(everything)) == 1 + n + n + 1000 + n


def test_more_children_begin_with_the_fewer():
    assert words(jax.random.split(key_of(7), 9))[:2] == words(jax.random.split(key_of(7)))


def test_a_key_comes_back_from_its_words_and_from_its_pickle():
    saved = np.asarray(jax.random.key_data(key_of(8)))
    again = jax.random.wrap_key_data(jnp.asarray(saved), impl=IMPL)
    assert again.dtype == key_of(8).dtype == jax.random.key(0, dtype=again.dtype).dtype
    assert bool(again == key_of(8))
    assert bool(jax.random.clone(again) == key_of(8))
    assert bool(pickle.loads(pickle.dumps(key_of(8))) == key_of(8))
    assert jax.random.key_impl(again) == IMPL
    keys = jax.jit(lambda key: jax.random.split(key, 3))(again)
    assert words(keys) == words(jax.random.split(key_of(8), 3))
    assert jax.random.wrap_key_data(jax.random.key_data(keys), impl=IMPL).shape == (3,)


def test_keys_of_other_implementations_are_other_keys():
    other = jax.random.wrap_key_data(jax.random.key_data(key_of(9)), impl="threefry2x32")
    assert other.dtype != key_of(9).dtype
    assert bool((jax.random.bits(other, (8,)) != jax.random.bits(key_of(9), (8,))).all())


def test_a_key_drawn_from_twice_is_noticed():
    key = key_of(10)
    jax.random.normal(key)
    with pytest.raises(jax.errors.KeyReuseError):
        jax.random.normal(key)


@pytest.mark.parametrize("shape", [(300_000,), (10, 30_000), (10, 100, 300)], ids=str)
@pytest.mark.parametrize("draw", [jax.random.normal, sn.random.normal], ids=["jax", "ours"])
def test_the_normal_draw_is_standard_normal(draw, shape):
    check_standard_normal(draw(key_of(11), shape))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(), (0, 3), (50_000,), (10, 20, 30)], ids=str)
def test_the_noise_is_that_of_jax_but_for_rounding(shape, dtype):
    with jax.enable_x64(dtype == "float64"):
        ours = sn.random.normal(key_of(13), shape, dtype)
        wide = "float64" if dtype == "float64" else "float32"
        theirs = jax.random.normal(key_of(13), shape, wide).astype(dtype)
    assert (ours.shape, ours.dtype) == (shape, theirs.dtype)
    # JAX's inverse error function is off by 5.8e-6; one more rounding to 16 bits
    rtol = 6.5e-6 + (jnp.finfo(dtype).bits == 16) * float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(
        np.asarray(ours, np.float64), np.asarray(theirs, np.float64), rtol=rtol, atol=0
    )


def test_a_pair_samples_with_it():
    pair = sn.Gaussian(jnp.full((10, 30_000), 3.0), jnp.full((10, 30_000), 4.0))
    check_standard_normal((pair.sample(key_of(12)) - 3) / 2)
    slope = jax.grad(lambda mean: sn.Gaussian(mean, pair.var).sample(key_of(12)).sum())(pair.mean)
    assert bool((slope == 1).all())


def check_standard_normal(eps):
    eps = np.asarray(eps, np.float64)
    for order, variance in ((1, 1), (2, 2), (3, 15), (4, 96)):  # of eps^order
        mean = 3 if order == 4 else order == 2
        assert abs((eps**order).mean() - mean) < SIGMA * math.sqrt(variance / eps.size)


STREAMS = {  # 2^16 words of a stream each
    "places of one key": lambda n: jax.random.bits(key_of(20), (n,)),
    "split children": lambda n: jax.vmap(jax.random.bits)(jax.random.split(key_of(21), n)),
    "folded children": lambda n: jax.vmap(
        lambda i: jax.random.bits(jax.random.fold_in(key_of(22), i))
    )(jnp.arange(n)),
    "neighbouring seeds": lambda n: jax.vmap(lambda i: jax.random.bits(key_of(i)))(jnp.arange(n)),
    "neighbouring words": lambda n: jax.vmap(
        lambda i: jax.random.bits(jax.random.wrap_key_data(jnp.stack([i, i]), impl=IMPL))
    )(jnp.arange(n, dtype=jnp.uint32)),
}


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_the_bits_look_like_fair_coins(stream):
    n = 2**16
    bytes_ = np.asarray(jax.jit(stream, static_argnums=0)(n))[:, None].view(np.uint8)
    signs = 2 * np.unpackbits(bytes_, axis=1).astype(np.float32) - 1  # whose sums are exact
    # Each bit, each pair of bits of a word, each bit and one of the next words: z-tests.
    scores = [signs.sum(0), (signs.T @ signs)[np.triu_indices(32, 1)]]
    scores += [(signs[lag:].T @ signs[:-lag]).ravel() for lag in (1, 2, 8)]
    worst = max(abs(score).max() for score in scores) / math.sqrt(n)
    tests = sum(score.size for score in scores)
    assert worst < math.sqrt(SIGMA**2 + 2 * math.log(tests))  # the largest of them, still 2e-9
    counts = np.bincount(bytes_.ravel(), minlength=256)
    chi2 = ((counts - 4 * n / 256) ** 2).sum() / (4 * n / 256)
    assert abs(chi2 - 255) < (SIGMA + 2) * math.sqrt(
        2 * 255
    )  # its tail is fatter than a Gaussian's


@pytest.mark.parametrize("what", ["key", "place", "child"])
def test_one_flipped_bit_flips_half_of_the_bits(what):
    n = 400
    rng = np.random.default_rng(0)
    inputs = rng.integers(0, 2**32, (n, 2), np.uint32)
    flips = np.zeros((64, 2), np.uint32)
    flips[np.arange(64), np.arange(64) // 32] = np.uint32(1) << np.arange(64, dtype=np.uint32) % 32
    zero = jnp.zeros((), jnp.uint32)

    def word(x):  # 32 bits of what the flip must change
        if what == "place":
            return jnp.bitwise_xor(*threefry((zero, zero), x[0], x[1], rounds=13))
        key = jax.random.wrap_key_data(x, impl=IMPL)
        return jax.random.bits(key) if what == "key" else jax.random.bits(jax.random.split(key)[1])

    hash_all = jax.jit(jax.vmap(word))
    before = np.asarray(hash_all(inputs))[:, None]
    after = np.asarray(hash_all((inputs[:, None] ^ flips).reshape(-1, 2))).reshape(n, 64)
    changed = np.unpackbits((before ^ after)[..., None].view(np.uint8), axis=2)
    z = (changed.mean(0) - 0.5) * 2 * math.sqrt(n)  # for each bit in and each bit out
    assert abs(z).max() < math.sqrt(SIGMA**2 + 2 * math.log(z.size))
    assert abs(changed.mean() - 0.5) < SIGMA * 0.5 / math.sqrt(changed.size)
