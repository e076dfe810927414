"""The same draw everywhere: noise is a function of key and shape, however the program is run.

Each way of drawing for a batch of examples, one key each, is held against drawing for one example
after the other, in three grades:

- the random bits are equal, always (`jax.random.normal` is replaced by bits that rounding leaves
  alone, so that all that is ours, keys and shapes, is seen without it);
- the noise is equal bit for bit on JAX 0.10, and within 2 ULP on JAX 0.12, where XLA on CPU fuses
  multiply and add in one loop and not in another;
- mean + std * eps is within 4 ULP of |mean| + |std * eps|, for the same reason.

With XLA_FLAGS=--xla_cpu_max_isa=AVX nothing is fused and all three are equal bit for bit
(test_legs.py runs this file so).
"""

import functools
import math
import os
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _mesh import mesh_of
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

import stochastic_net as sn

NO_FMA = "--xla_cpu_max_isa=AVX" in os.environ["XLA_FLAGS"]
NOISE_ULP = 0 if NO_FMA or jax.__version_info__ < (0, 12) else 2
BATCH = 8
impls = pytest.mark.parametrize("impl", ["threefry2x32", "threefry4x32"])
events = pytest.mark.parametrize("event", [(5,), (4, 3, 2)], ids=str)


def one_by_one(draw, x, keys):
    pairs = [jax.tree.map(lambda leaf, i=i: leaf[i], x) for i in range(BATCH)]
    return jnp.stack([draw(pair, key) for pair, key in zip(pairs, keys, strict=True)])


def permuted(draw, x, keys):
    order = np.random.default_rng(0).permutation(BATCH)
    x, keys = jax.tree.map(lambda leaf: leaf[order], (x, keys))
    return jax.jit(jax.vmap(draw))(x, keys)[np.argsort(order)]


def padded(draw, x, keys):
    x = jax.tree.map(lambda leaf: jnp.concatenate([leaf, leaf[:3]]), x)
    more = jax.random.split(jax.random.key(99, impl=jax.random.key_impl(keys)), 3)
    return jax.jit(jax.vmap(draw))(x, jnp.concatenate([keys, more]))[:BATCH]


def micro_batches(draw, x, keys):
    halves = jax.tree.map(lambda leaf: leaf.reshape(2, BATCH // 2, *leaf.shape[1:]), (x, keys))
    z = jax.jit(jax.vmap(jax.vmap(draw)))(*halves)
    return z.reshape(BATCH, *z.shape[2:])


def scanned(draw, x, keys):
    return jax.lax.scan(lambda carry, xk: (carry, draw(*xk)), None, (x, keys))[1]


def redrawn_for_the_gradient(draw, x, keys):
    def loss(shift, x, keys):  # its gradient is shift + z, of the z that remat draws again
        return 0.5 * jnp.square(shift + jax.vmap(draw)(x, keys)).sum()

    return jax.jit(jax.grad(jax.checkpoint(loss)))(jnp.zeros_like(x.mean), x, keys)


def on_8_devices(draw, x, keys):
    return jax.jit(jax.vmap(draw))(*jax.device_put((x, keys), over_devices()))


def shard_mapped(draw, x, keys):
    mesh = over_devices().mesh
    f = jax.shard_map(jax.vmap(draw), mesh=mesh, in_specs=P("batch"), out_specs=P("batch"))
    return jax.jit(f)(x, keys)


WAYS = {
    "one by one, jit": lambda draw, x, keys: one_by_one(jax.jit(draw), x, keys),
    "vmap": lambda draw, x, keys: jax.vmap(draw)(x, keys),
    "jit vmap": lambda draw, x, keys: jax.jit(jax.vmap(draw))(x, keys),
    "permuted": permuted,
    "padded": padded,
    "micro-batches": micro_batches,
    "scan": scanned,
    "remat": redrawn_for_the_gradient,
    "8 devices": on_8_devices,
    "shard_map": shard_mapped,
}
ways = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


@functools.cache
def over_devices():
    return NamedSharding(mesh_of(8), P("batch"))


def run(way, impl, event, mean, var):
    """The draws of a batch, one key an example; `mean` and `var` vary over the batch."""

    def spread(values):
        column = np.float32(values).reshape(BATCH, *[1] * len(event))
        return np.broadcast_to(column, (BATCH, *event))

    keys = jax.random.split(jax.random.key(11, impl=impl), BATCH)
    x = sn.Gaussian(spread(mean), spread(var))
    return np.asarray(way(lambda x, key: sn.nn.Sample()(x, key), x, keys))


NOISE = (np.zeros(BATCH), np.ones(BATCH))
PAIRS = (np.linspace(-3, 5, BATCH), np.geomspace(1e-2, 30, BATCH))


@impls
@ways
def test_the_random_bits_are_equal(way, impl, monkeypatch):
    def whole_numbers(key, shape, dtype):
        return (jax.random.bits(key, shape, "uint32") >> 8).astype(dtype)

    monkeypatch.setattr(jax.random, "normal", whole_numbers)
    once, again = (run(how, impl, (4, 3, 2), *NOISE) for how in (one_by_one, way))
    np.testing.assert_array_equal(again, once)
    assert np.unique(once).size > 150  # of 192


@impls
@events
@ways
def test_the_noise_is_equal(way, impl, event):
    once, again = run(one_by_one, impl, event, *NOISE), run(way, impl, event, *NOISE)
    np.testing.assert_array_max_ulp(again, once, NOISE_ULP)


@impls
@events
@ways
def test_the_draw_is_equal(way, impl, event):
    once, again = run(one_by_one, impl, event, *PAIRS), run(way, impl, event, *PAIRS)
    if NO_FMA:
        np.testing.assert_array_equal(again, once)
    mean, noise = run(one_by_one, impl, event, PAIRS[0], NOISE[0]), once
    ulp = np.finfo(np.float32).eps * (abs(mean) + abs(noise - mean))
    assert (abs(again - once) <= 4 * ulp).all()


COLLECTIVE = re.compile(r"all-gather|all-to-all|all-reduce|collective-permute|reduce-scatter")


@impls
@pytest.mark.parametrize("event", [(), (5,), (4, 3, 2)], ids=str)
def test_one_key_draws_a_sharded_batch_where_it_lies(impl, event):
    def draw_and_gradient(x, key):
        z, pullback = jax.vjp(lambda x: x.sample(key), x)
        return z, pullback(z)[0]

    x = sn.Gaussian(jnp.zeros((16, *event), "float32"), jnp.ones((16, *event), "float32"))
    key, same_key = (jax.random.key(12, impl=impl) for _ in range(2))
    z, grad = jax.jit(draw_and_gradient)(x, key)
    x = jax.device_put(x, over_devices())
    compiled = jax.jit(draw_and_gradient).lower(x, same_key).compile()
    z8, grad8 = compiled(x, same_key)
    for many, one in [(z8, z), (grad8.mean, grad.mean), (grad8.var, grad.var)]:
        assert many.sharding.is_equivalent_to(over_devices(), many.ndim)
        np.testing.assert_array_max_ulp(np.asarray(many), np.asarray(one), 2 * NOISE_ULP)
    assert not COLLECTIVE.search(compiled.as_text())
    # Each device makes its own noise only. (A key has 4 words.)
    sizes = re.findall(r"[a-z]\d+\[([\d,]+)\]", compiled.as_text())
    largest = max(math.prod(map(int, size.split(","))) for size in sizes)
    assert largest == max(4, x.mean.size // 8)
    mean = jax.jit(lambda x, key: x.sample(key).mean(0)).lower(x, same_key).compile()
    assert COLLECTIVE.search(mean.as_text())  # what the search finds where devices do talk
