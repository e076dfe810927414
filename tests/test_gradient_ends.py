"""Networks in which a derivative ends: `check_gradients` says where."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from _broken import BATCH, MATRIX, POSITIVE, THREE, Broken, check
from flax import linen, nnx
from jax import lax
from jax.experimental import pallas as pl

broken = Broken()


# --- plain, and inside of calls and loops


@broken("stop_gradient", THREE, POSITIVE, argument="mean")
def detached_mean(mean, std, key):
    mean = lax.stop_gradient(mean)  # <-
    return jnp.sum((mean + std * jax.random.normal(key, (3,))) ** 2)


@broken("stop_gradient", THREE, POSITIVE, argument="std")
def detached_by_a_helper(mean, std, key):
    def freeze(x):
        return lax.stop_gradient(x)  # <-

    return jnp.sum((mean + freeze(std) * jax.random.normal(key, (3,))) ** 2)


@broken("stop_gradient", {"w": MATRIX, "b": THREE}, BATCH, argument="params['w']")
def detached_inside_jit(params, x):
    @jax.jit
    def layer(w, x):
        return x @ lax.stop_gradient(w)  # <-

    return jnp.mean((layer(params["w"], x) + params["b"][None]) ** 2)


@broken("rounding", THREE)
def rounded(x):
    return jnp.sum(jnp.round(x * 255) / 255)  # <-


@broken("rounding", THREE)
def signs(x):
    return jnp.sum(jnp.sign(x) * jnp.arange(3.0))  # <-


@broken("rounding", MATRIX, BATCH, argument="w")
def quantised_in_scan(w, x):
    def step(h, row):
        h = jnp.floor(8 * (row @ w)) / 8  # <-
        return h, h.sum()

    return lax.scan(step, jnp.zeros(3), x)[1].sum()


@broken("integer", THREE)
def cast_to_integer(x):
    index = (10 * x).astype(jnp.int32)  # <-
    return jnp.sum(index.astype(jnp.float32) ** 2)


@broken("integer", THREE)
def cast_to_bool(x):
    return jnp.sum(x.astype(bool).astype(jnp.float32))  # <-


@broken("comparison", jnp.float32(0.1), THREE, argument="threshold")
def learned_threshold(threshold, x):
    return jnp.sum(jnp.where(x > threshold, x, 0.0))  # <-


@broken("comparison", THREE, BATCH, argument="w")
def hard_gate_in_vmap(w, x):
    def one(row):
        gate = jnp.dot(row, w) > 0  # <-
        return jnp.where(gate, row.sum(), 0.0)

    return jax.vmap(one)(x).sum()


@broken("comparison", jnp.float32(0.1), THREE, argument="switch")
def branch_on_a_parameter(switch, x):
    return lax.cond(switch > 0, jnp.sin, jnp.cos, x).sum()  # <-


@broken("argmax", THREE, MATRIX, argument="scores")
def hard_attention(scores, values):
    return values[jnp.argmax(scores)].sum()  # <-


@broken("argmax", THREE, THREE, argument="priority")
def sorted_by_a_score(priority, x):
    order = jnp.argsort(priority)  # <-
    return jnp.sum(x[order] * jnp.arange(3.0))


@broken("argmax", THREE, THREE, argument="scores")
def top_two(scores, x):
    _, best = lax.top_k(scores, 2)  # <-
    return x[best].sum()


@broken("argmax", BATCH)
def accuracy_as_a_loss(logits):
    wrong = jnp.argmax(logits, axis=-1) != 0  # <-
    return wrong.astype(jnp.float32).mean()


@broken("unused", THREE, POSITIVE, argument="var")
def variance_forgotten(mean, var, key):
    del var
    return jnp.sum((mean + jax.random.normal(key, (3,))) ** 2)


@broken("zero_factor", THREE, THREE, argument="y")
def weight_zero(x, y):
    return jnp.sum(x**2) + jnp.sum(0.0 * y**2)  # <-


@jax.custom_jvp
def clipped_badly(x):
    return jnp.clip(x, -1, 1)


@clipped_badly.defjvp
def _(primals, tangents):
    return clipped_badly(*primals), jnp.zeros_like(tangents[0])


@broken("custom_rule", THREE)
def rule_of_zeros(x):
    return jnp.sum(clipped_badly(x) ** 2)  # <-


@jax.custom_vjp
def scaled(x, w):
    return x * w


scaled.defvjp(lambda x, w: (x * w, w), lambda w, g: (g * w, jnp.zeros_like(w)))


@broken("custom_rule", THREE, THREE, argument="w")
def backward_rule_of_zeros(x, w):
    return jnp.sum(scaled(x, w) ** 2)  # <-


@broken("while_loop", jnp.float32(0.9))
def unrolled_too_late(x):
    return lax.while_loop(lambda s: s[1] < 10, lambda s: (s[0] * x, s[1] + 1), (1.0, 0))[0]  # <-


@broken("stop_gradient", MATRIX, BATCH, argument="w")
def detached_in_remat(w, x):
    @jax.checkpoint
    def layer(w, x):
        return jnp.tanh(x @ lax.stop_gradient(w))  # <-

    return layer(w, x).sum()


# --- modules


class Quantised(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Linear(3, 4, rngs=rngs)
        self.second = nnx.Linear(4, 1, rngs=rngs)

    def __call__(self, x):
        h = jnp.round(self.first(x))  # <-
        return self.second(h).mean()


broken("rounding", BATCH, argument="net.first", source=Quantised)(Quantised(nnx.Rngs(0)))


class HardGate(linen.Module):
    @linen.compact
    def __call__(self, x, key):
        logits = linen.Dense(3)(x)
        z = jax.nn.one_hot(jax.random.categorical(key, logits), 3)  # <-
        return linen.Dense(1)(z).mean()


HARD_GATE = HardGate()


@broken(
    "draw",
    HARD_GATE.init(jax.random.key(0), BATCH, jax.random.key(1)),
    BATCH,
    source=HardGate,
    argument="Dense_0",
)
def linen_module(variables, x, key):
    return HARD_GATE.apply(variables, x, key)


# --- in other styles


@broken("stop_gradient", {"w": MATRIX}, BATCH, argument="params['w']")
def detached_leaf_by_leaf(params, x):
    params = jax.tree.map(lax.stop_gradient, params)  # <-
    return jnp.sum(x @ params["w"])


@broken("stop_gradient", {"w": MATRIX}, BATCH, argument="params['w']")
def detached_after_an_optimiser_step(params, x):
    optimiser = optax.sgd(0.1)
    slope = jax.grad(lambda p: jnp.mean((x @ p["w"]) ** 2))(params)
    updates, _ = optimiser.update(slope, optimiser.init(params), params)
    moved = jax.tree.map(lax.stop_gradient, optax.apply_updates(params, updates))  # <-
    return jnp.mean((x @ moved["w"] - 1.0) ** 2)


@broken("integer", THREE)
def bits_of_a_float(x):
    bits = lax.bitcast_convert_type(x, jnp.int32) & -65536  # <-
    return lax.bitcast_convert_type(bits, jnp.float32).sum()


@broken("integer", jnp.float32(2.7), THREE, argument="position")
def position_as_an_index(position, x):
    return x[position.astype(jnp.int32)]  # <-


@broken("argmax", BATCH)
def ranks(x):
    order = jnp.argsort(jnp.argsort(x, 0), 0)  # <-
    return jnp.sum(order.astype(jnp.float32))


@broken("rounding", MATRIX, BATCH)
def rounded_in_a_scan_in_a_scan(w, x):
    def outer(carry, _):
        def inner(h, row):
            return jnp.tanh(jnp.ceil(h @ w) + row), None  # <-

        return lax.scan(inner, carry, x)[0], None

    return lax.scan(outer, jnp.zeros(3), None, length=2)[0].sum()


@broken("rounding", MATRIX, BATCH)
def rounded_on_every_shard(w, x):
    mesh = jax.make_mesh((5,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = jax.sharding.PartitionSpec

    def shard(w, x):
        return lax.psum(jnp.sum(jnp.round(x @ w)), "data")  # <-

    specs = (spec(), spec("data"))
    return jax.shard_map(shard, mesh=mesh, in_specs=specs, out_specs=spec())(w, x)


@broken("custom_rule", MATRIX, BATCH, argument="w")
def backward_rule_of_zeros_in_scan(w, x):
    def step(h, row):
        return jnp.tanh(scaled(h, w[0]) + row), None  # <-

    return lax.scan(step, jnp.zeros(3), x)[0].sum()


@broken("while_loop", THREE)
def root_by_iteration(x):
    def better(root):
        return 0.5 * (root + x.sum() / root)

    return lax.while_loop(lambda r: r * r > 1 + x.sum(), better, jnp.float32(3.0))  # <-


@broken("refused", BATCH)
def pallas_kernel(x):
    def kernel(x_ref, out_ref):
        out_ref[...] = jnp.floor(x_ref[...])

    shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
    return pl.pallas_call(kernel, out_shape=shape, interpret=True)(x).sum()  # <-


@broken("refused", THREE)
def computed_by_numpy(x):
    shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
    return jax.pure_callback(lambda v: np.sin(v), shape, x).sum()  # <-


@broken("rounding", THREE.astype(jnp.bfloat16))
def rounded_in_bfloat16(x):
    return jnp.round(x * 4).sum()  # <-


@broken("stop_gradient", THREE.astype(jnp.float16))
def detached_in_float16(x):
    return lax.stop_gradient(x * x).sum()  # <-


class Stack(nnx.Module):
    def __init__(self, rngs):
        self.layers = nnx.List([nnx.Linear(3, 3, rngs=rngs) for _ in range(3)])

    def __call__(self, x):
        for layer in self.layers:
            x = jnp.floor(layer(x) * 8) / 8  # <-
        return x.mean()


broken("rounding", BATCH, argument="net.layers", source=Stack)(Stack(nnx.Rngs(0)))


@broken.rows()
def test_every_fault_is_found_at_its_line(f, args, kind, severity, argument, source, options):
    check(f, args, kind, severity, argument, source, options)
