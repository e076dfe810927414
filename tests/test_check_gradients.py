"""`check_gradients` on networks broken in known ways, and on sound ones of real size.

A broken case says which kind of finding is expected; where, its own source says: the line with the
comment `# <-`.
"""

import inspect
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from jax import lax

import stochastic_net as sn

KEY = 7
THREE = jnp.array([0.3, -0.8, 1.1])
POSITIVE = jnp.array([0.4, 0.9, 1.6])
MATRIX = jnp.asarray(np.random.default_rng(0).normal(size=(3, 3)) / 2, jnp.float32)
BATCH = jnp.asarray(np.random.default_rng(1).normal(size=(5, 3)), jnp.float32)

BROKEN = {}


def broken(kind, *args, severity="error", marks=(), argument=None, **options):
    """Add a function that is broken with a finding of this kind at its marked line."""

    def add(f):
        BROKEN[f.__name__] = pytest.param(
            f, args, kind, severity, argument, options, id=f.__name__, marks=marks
        )
        return f

    return add


# --- where a derivative ends


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


# --- draws that do not move


@broken("draw", POSITIVE / 2, THREE, argument="p")
def bernoulli_mask(p, x, key):
    mask = jax.random.bernoulli(key, p)  # <-
    return jnp.sum(jnp.where(mask, x, 0.0))


@broken("draw", POSITIVE / 2, THREE, argument="p")
def bernoulli_by_hand(p, x, key):
    u = jax.random.uniform(key, (3,))
    keep = (u < p).astype(jnp.float32)  # <-
    return jnp.sum(keep * x)


@broken("draw", THREE, MATRIX, argument="logits")
def categorical_choice(logits, values, key):
    return values[jax.random.categorical(key, logits)].sum()  # <-


@broken("draw", THREE, MATRIX, argument="logits")
def categorical_beside_a_kl(logits, decoder, key):
    z = jax.nn.one_hot(jax.random.categorical(key, logits), 3)  # <-
    kl = jnp.sum(jax.nn.softmax(logits) * (jax.nn.log_softmax(logits) + jnp.log(3.0)))
    return jnp.sum((z @ decoder - 1.0) ** 2) + kl


@broken("draw", THREE, MATRIX, argument="logits")
def elbo_without_the_score(logits, decoder, key):
    z = jax.random.categorical(key, logits)  # <-
    return jnp.sum((decoder[z] - 1.0) ** 2) + jax.nn.log_softmax(logits)[z]


@broken("draw", POSITIVE)
def poisson_counts(rate, key):
    return jnp.sum(jax.random.poisson(key, rate).astype(jnp.float32) ** 2)  # <-


@broken("draw", POSITIVE / 2)
def geometric_counts(p, key):
    return jnp.sum(jax.random.geometric(key, p).astype(jnp.float32) ** 2)  # <-


@broken("draw", POSITIVE / 2)
def binomial_counts(p, key):
    return jnp.sum(jax.random.binomial(key, 8.0, p) ** 2)  # <-


@broken("draw", THREE, MATRIX, argument="logits")
def categorical_in_scan(logits, w, key):
    def step(h, key):
        word = jax.random.categorical(key, h + logits)  # <-
        return jnp.tanh(w[word]), h.sum()

    return lax.scan(step, jnp.zeros(3), jax.random.split(key, 4))[1].sum()


@broken("draw", BATCH, MATRIX, argument="logits")
def categorical_in_vmap(logits, w, key):
    def one(logits, key):
        return w[jax.random.categorical(key, logits)].sum()  # <-

    return jax.vmap(one)(logits, jax.random.split(key, 5)).mean()


@broken("draw", THREE)
def probit_by_hand(mean, key):
    z = mean + jax.random.normal(key, (3,))
    return jnp.sum(jnp.where(z > 0, 1.0, -1.0) * jnp.arange(3.0))  # <-


@broken("draw", jnp.float32(0.2), THREE, THREE, argument="logit")
def mixture_by_hand(logit, a, b, key):
    which, noise = jax.random.split(key)
    first = jax.random.bernoulli(which, jax.nn.sigmoid(logit))  # <-
    z = jnp.where(first, a, b) + jax.random.normal(noise, (3,))
    return jnp.sum(z**2)


@broken("biased_sampler", POSITIVE)
def inverse_gaussian(mean, key):
    return jnp.sum(jnp.sin(jax.random.wald(key, mean)))  # <-


@broken("refused", THREE)
def our_categorical(logits, key):
    z = sn.distributions.OneHotCategorical(logits).sample(key)  # <-
    return jnp.sum(z * jnp.arange(3.0))


# --- dangers


@broken("singular", THREE, jnp.array([0.0, 1.0, 2.0]), argument="var")
def square_root_at_zero(mean, var, key):
    return jnp.sum((mean + jnp.sqrt(var) * jax.random.normal(key, (3,))) ** 2)  # <-


@broken("singular", THREE, POSITIVE, argument="var")
def square_root_near_zero(mean, var, key):
    std = var**0.5  # <-
    return jnp.sum((mean + std * jax.random.normal(key, (3,))) ** 2)


@broken("negative", MATRIX, BATCH)
def negative_variance(w, x, key):
    h = x @ w
    return jnp.sum((h + jnp.sqrt(h) * jax.random.normal(key, h.shape)) ** 2)  # <-


@broken("where_nan", THREE)
def guarded_once(x):
    return jnp.sum(jnp.where(x > 0, jnp.sqrt(x), 0.0))  # <-


@broken("where_nan", POSITIVE)
def guarded_logarithm(x):
    return jnp.sum(jnp.where(x > 0, jnp.log(x), 0.0))  # <-


@broken("singular", jnp.zeros((2, 3)))
def norm_of_padding(x):
    return jnp.linalg.norm(x, axis=-1).sum()  # <-


@broken("singular", jnp.array([0.0, 1.0, 2.0]))
def logarithm_at_zero(x):
    return jnp.sum(x * jnp.log(x))  # <-


@broken("singular", THREE, jnp.array([0.0, 1.0, 2.0]))
def division_by_zero(x, scale):
    return jnp.sum(x / scale)  # <-


@broken("singular", -POSITIVE)
def relu_then_root(x):
    return jnp.sum(jnp.sqrt(jax.nn.relu(x)))  # <-


@broken("saturated", 10 + POSITIVE)
def clipped_away(x):
    return jnp.sum(jnp.clip(x, -1.0, 1.0) ** 2)  # <-


@broken("saturated", 1e3 * POSITIVE)
def saturated_sigmoid(x):
    return jnp.sum(jax.nn.sigmoid(x))  # <-


# --- derivatives that are wrong


@jax.custom_vjp
def sine(x):
    return jnp.sin(x)


sine.defvjp(lambda x: (jnp.sin(x), x), lambda x, g: (1.05 * g * jnp.cos(x),))


@broken("bias", THREE)
def rule_five_percent_off(x, key):
    return jnp.sum(sine(x + jax.random.normal(key, (3,))))  # <-


# --- keys and noise


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


# --- modules


class Quantised(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Linear(3, 4, rngs=rngs)
        self.second = nnx.Linear(4, 1, rngs=rngs)

    def __call__(self, x):
        h = jnp.round(self.first(x))  # <-
        return self.second(h).mean()


@broken("rounding", BATCH, argument="net.first")
def nnx_module(x):
    return Quantised


class HardGate(linen.Module):
    @linen.compact
    def __call__(self, x, key):
        logits = linen.Dense(3)(x)
        z = jax.nn.one_hot(jax.random.categorical(key, logits), 3)  # <-
        return linen.Dense(1)(z).mean()


@broken("draw", BATCH, argument="Dense_0")
def linen_module(x, key):
    return HardGate


def numpyro():
    return pytest.importorskip("numpyro.distributions")


def distrax():
    return pytest.importorskip("distrax")


relaxed = pytest.mark.relaxed


@broken("draw", THREE, argument="logits", marks=relaxed)
def numpyro_categorical(logits, key):
    z = numpyro().Categorical(logits=logits).sample(key)  # <-
    return jnp.arange(3.0)[z]


@broken("draw", THREE, THREE, POSITIVE, argument="logits", marks=relaxed)
def numpyro_mixture(logits, loc, scale, key):
    nd = numpyro()
    mixture = nd.MixtureSameFamily(nd.Categorical(logits=logits), nd.Normal(loc, scale))
    return jnp.sin(mixture.sample(key))  # <-


@broken("while_loop", POSITIVE, argument="kappa", marks=relaxed)
def numpyro_von_mises(kappa, key):
    return jnp.sum(jnp.sin(numpyro().VonMises(0.0, kappa).sample(key)))  # <-


@broken("draw", POSITIVE, marks=relaxed)
def numpyro_poisson(rate, key):
    return jnp.sum(1.0 * numpyro().Poisson(rate).sample(key))  # <-


@broken("draw", THREE, THREE, POSITIVE, argument="logits", marks=relaxed)
def distrax_mixture(logits, loc, scale, key):
    dx = distrax()
    mixture = dx.MixtureSameFamily(dx.Categorical(logits=logits), dx.Normal(loc, scale))
    return jnp.sin(mixture.sample(seed=key))  # <-


@broken("draw", POSITIVE / 2, argument="p", marks=relaxed)
def distrax_bernoulli(p, key):
    return jnp.sum(1.0 * distrax().Bernoulli(probs=p).sample(seed=key))  # <-


def prepared(f):
    """The function to check and the source that holds its mark."""
    if f.__name__ == "nnx_module":
        return Quantised(nnx.Rngs(0)), Quantised, ()
    if f.__name__ == "linen_module":
        module = HardGate()
        variables = module.init(jax.random.key(0), BATCH, jax.random.key(1))
        return (lambda variables, x, key: module.apply(variables, x, key)), HardGate, (variables,)
    return f, f, ()


def marked_line(thing):
    lines, start = inspect.getsourcelines(thing)
    return start + next(i for i, line in enumerate(lines) if "# <-" in line)


@pytest.mark.parametrize(("f", "args", "kind", "severity", "argument", "options"), BROKEN.values())
def test_every_fault_is_found_at_its_line(f, args, kind, severity, argument, options):
    f, source, first = prepared(f)
    report = sn.check_gradients(
        f, *first, *args, key=jax.random.key(KEY), num_samples=200, **options
    )
    found = [x for x in report.findings if x.kind == kind]
    assert found, report
    assert found[0].severity == severity, report
    assert report.ok is (severity != "error")
    if kind != "unused":
        line = marked_line(source)
        assert any(x.line == line and x.file == __file__ for x in found), report
    if argument:
        assert argument in found[0].argument, report
    errors = {x.kind for x in report.findings if x.severity == "error"}
    assert errors <= {kind}, report
    assert max(map(len, str(report).splitlines())) <= 100
    assert json.loads(json.dumps(report.to_dict())) == report.to_dict()


def test_the_table_is_long_enough():
    assert len(BROKEN) >= 40
