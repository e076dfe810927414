"""Keys used twice, shared or fixed, and noise in few bits: `check_gradients` says where."""

import functools

import jax
import jax.numpy as jnp
from _broken import BATCH, MATRIX, POSITIVE, THREE, Broken, check
from jax import lax

broken = Broken()


@broken("key_reuse", THREE, POSITIVE)
def one_key_for_two(mean, std, key):
    z = mean + std * jax.random.normal(key, (3,))
    mask = jax.random.bernoulli(key, 0.5, (3,))  # <-
    return jnp.sum(jnp.where(mask, z, 0.0) ** 2)


@broken("key_reuse", THREE)
def drawn_from_and_split(mean, key):
    z = mean + jax.random.normal(key, (3,))
    for k in jax.random.split(key, 2):  # <-
        z = z * jax.random.normal(k, (3,))
    return jnp.sum(z)


@broken("key_reuse", THREE)
def split_and_folded(mean, key):
    first, _ = jax.random.split(key)
    z = mean + jax.random.normal(first, (3,))
    return jnp.sum(z * jax.random.normal(jax.random.fold_in(key, 0), (3,)))  # <-


@broken("shared_key", BATCH)
def key_closed_over(x, key):
    def one(x):
        return jnp.sum((x + jax.random.normal(key, (3,))) ** 2)  # <-

    return jax.vmap(one)(x).mean()


@broken("shared_key", BATCH)
def dropout_closed_over(x, key):
    def one(x):
        keep = jax.random.bernoulli(key, 0.5, (3,))  # <-
        return jnp.sum(jnp.where(keep, 2 * x, 0.0) ** 2)

    return jax.vmap(one)(x).mean()


@broken("shared_key", BATCH[:4])
def key_replicated_over_shards(x, key):
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = jax.sharding.PartitionSpec

    def noisy(x, key):
        return x + jax.random.normal(key, x.shape)  # <-

    over = jax.shard_map(noisy, mesh=mesh, in_specs=(spec("data"), spec()), out_specs=spec("data"))
    return jnp.sum(over(x, key) ** 2)


@broken("loop_key", MATRIX)
def same_noise_each_step(w, key):
    def step(h, _):
        return jnp.tanh(h @ w + jax.random.normal(key, (3,))), None  # <-

    return lax.scan(step, jnp.zeros(3), None, length=4)[0].sum()


@broken("constant_key", THREE, severity="warning")
def key_in_the_code(mean):
    return jnp.sum((mean + jax.random.normal(jax.random.key(0), (3,))) ** 2)  # <-


@broken("low_precision", THREE.astype(jnp.bfloat16), severity="warning")
def noise_in_bfloat16(mean, key):
    z = mean + jax.random.normal(key, (3,), jnp.bfloat16)  # <-
    return jnp.sum(z.astype(jnp.float32) ** 2)


@broken("key_reuse", THREE)
def raw_key_twice(x):
    key, _ = jax.random.split(jax.random.PRNGKey(0))
    return jnp.sum(x * jax.random.normal(key, (3,)) + jax.random.uniform(key, (3,)))  # <-


@broken("key_reuse", THREE)
def twice_in_a_private_helper(x, key):
    @jax.jit
    def _noise(x, key):
        return x * jax.random.normal(key, (3,)) + jax.random.uniform(key, (3,))  # <-

    return _noise(x, key).sum()


@broken("key_reuse", BATCH)
def one_key_for_two_dropouts(x, key):
    def drop(h):
        return jnp.where(jax.random.bernoulli(key, 0.5, h.shape), 2 * h, 0.0)  # <-

    return jnp.sum(drop(jnp.tanh(drop(x))))


@broken("key_reuse", BATCH)
def one_key_in_a_python_loop(x, key):
    return sum(jnp.sum(x * jax.random.normal(key, (5, 3))) for _ in range(3))  # <-


@broken("key_reuse", MATRIX, BATCH)
def one_key_for_two_checkpointed_blocks(w, x, key):
    @jax.checkpoint
    def block(x, key):
        return jnp.where(jax.random.bernoulli(key, 0.5, x.shape), x @ w, 0.0)  # <-

    return block(block(x, key), key).sum()


@broken("loop_key", BATCH)
def key_carried_unchanged(x, key):
    def step(carry, row):
        h, key = carry
        return (h + row * jax.random.normal(key, (3,)), key), None  # <-

    return lax.scan(step, (jnp.zeros(3), key), x)[0][0].sum()


@broken("shared_key", BATCH)
def key_bound_by_partial(x, key):
    def layer(key, row):
        return jnp.tanh(row) * jax.random.laplace(key, (3,))  # <-

    return jax.vmap(functools.partial(layer, key))(x).sum()


@broken("low_precision", THREE.astype(jnp.float16), severity="warning")
def uniform_in_float16(x, key):
    return jnp.sum((x * jax.random.uniform(key, (3,), jnp.float16)).astype(jnp.float32))  # <-


@broken.rows()
def test_every_fault_is_found_at_its_line(f, args, kind, severity, argument, source, options):
    check(f, args, kind, severity, argument, source, options)
