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
from stochastic_net.diagnostics._numbers import Objective, student

import stochastic_net as sn
from stochastic_net.diagnostics._bias import bias
from stochastic_net.diagnostics._trace import trace

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


@broken("draw", POSITIVE / POSITIVE.sum(), MATRIX, argument="p")
def choice_with_probabilities(p, values, key):
    return values[jax.random.choice(key, 3, p=p)].sum()  # <-


@broken("draw", THREE, MATRIX, argument="logits")
def hard_gumbel_softmax(logits, values, key):
    soft = jax.nn.softmax(logits + jax.random.gumbel(key, (3,)))
    hard = jax.nn.one_hot(jnp.argmax(soft), 3)  # <-
    return (hard @ values).sum()


@broken("stop_gradient", MATRIX, BATCH, argument="w")
def nested_in_jit_scan_and_remat(w, x):
    @jax.jit
    def run(w, x):
        def step(h, row):
            @jax.checkpoint
            def cell(h):
                return jnp.tanh(h @ lax.stop_gradient(w) + row)  # <-

            return cell(h), None

        return lax.scan(step, jnp.zeros(3), x)[0]

    return run(w, x).sum()


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


@broken("negative", -POSITIVE)
def logarithm_of_negatives(x):
    return jnp.sum(jnp.log(x))  # <-


@broken("singular", jnp.array([1.0, 0.2]))
def arccosine_at_one(x):
    return jnp.sum(jnp.arccos(x))  # <-


@broken("nan", 1e3 * POSITIVE)
def overflowing_exponential(x):
    return jnp.sum(jnp.exp(x))  # <-


@broken("comparison", THREE, argument="x")
def step_with_a_case_for_nan(x):
    return jnp.sum(jnp.heaviside(x, jnp.full(3, 0.5)))  # <-


# --- derivatives that are wrong


@jax.custom_vjp
def sine(x):
    return jnp.sin(x)


sine.defvjp(lambda x: (jnp.sin(x), x), lambda x, g: (1.05 * g * jnp.cos(x),))


@broken("bias", THREE, num_samples=200)
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
    options = {"num_samples": 50} | options
    report = sn.check_gradients(f, *first, *args, key=jax.random.key(KEY), **options)
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


# --- numbers


@jax.custom_vjp
def noisy(x, weight, factor):
    """x * weight, whose rule returns a derivative of mean `factor` times the right one."""
    return x * weight + 0.0 * factor


noisy.defvjp(
    lambda x, weight, factor: (x * weight + 0.0 * factor, factor),
    lambda factor, g: (g * factor, jnp.zeros_like(g), jnp.zeros_like(g)),
)


def noisily(bias):
    """A function whose gradient is 1 and is estimated by 1 + bias + N(0, 1) * (1 + bias)."""

    def f(x, key):
        return noisy(x, jnp.float32(1.0), (1 + bias) * (1 + jax.random.normal(key)))

    return f


@pytest.mark.parametrize("seed", range(3))
def test_a_bias_of_five_percent_at_signal_to_noise_one_is_found(seed):
    report = sn.check_gradients(
        noisily(0.05), jnp.float32(1.5), key=jax.random.key(seed), num_samples=10_000
    )
    (found,) = report.findings
    assert (found.kind, found.argument) == ("bias", "x")
    assert abs(report.arguments[0].signal - 1) < 0.05


def test_false_alarms_are_as_rare_as_stated():
    """An unbiased but noisy gradient, over 400 sets of keys: none is expected at 1e-5 each.

    At a level of 5 % there are to be 20 at most in the mean (what is within the tolerance is none);
    more than 40 happen once in 30,000 repetitions, and none at all once in 10^7.
    """
    program = trace(noisily(0.0), (jnp.float32(1.5),), jax.random.key(0), None)
    objective = Objective(program, jax.random.key(0), 100)
    at = objective.gradients(objective.point)
    alarms = often = 0
    for seed in range(400):
        objective.keys = jax.random.split(jax.random.key(seed), 100)
        (one,) = bias(objective, at, [0]).values()
        alarms += one.biased
        often += student(one.z, 100) < 0.05
    assert alarms == 0
    assert 0 < often <= 40


def test_the_gradient_is_measured():
    def f(x, scale, key):
        return jnp.sum(x * (2 + jax.random.normal(key, x.shape))) + scale * 3

    report = sn.check_gradients(
        f, jnp.ones(4), jnp.float32(1.0), key=jax.random.key(0), num_samples=4000
    )
    of_x, of_scale = report.arguments
    assert abs(of_x.norm - 4) < 5 * of_x.error
    assert abs(of_x.error - 2 / 4000**0.5) < 0.1 * of_x.error  # of four elements with deviation 1
    assert abs(of_x.signal - 2) < 0.1
    assert of_scale.norm == 3
    assert of_scale.signal == np.inf
    assert of_x.finite == 1
    assert not of_x.zero


def test_the_structure_alone():
    report = sn.check_gradients(
        categorical_choice, THREE, MATRIX, key=jax.random.key(0), numbers=False
    )
    assert [f.kind for f in report.findings] == ["draw"]
    assert report.num_samples == 0
    assert "structure only" in str(report)
    assert report.draws == [f"categorical at test_check_gradients.py:{report.findings[0].line}"]


# --- what may be passed


def test_argnums_leave_arguments_out():
    key = jax.random.key(0)
    assert sn.check_gradients(hard_attention, THREE, MATRIX, key=key, argnums=1).ok
    assert not sn.check_gradients(hard_attention, THREE, MATRIX, key=key, argnums=(0,)).ok


def test_a_loss_with_metrics_beside_it():
    def f(x, key):
        z = x + jax.random.normal(key, x.shape)
        return jnp.sum(z**2), {"hits": jnp.argmax(z), "share": (z > 0).astype(jnp.float32).mean()}

    assert sn.check_gradients(f, THREE, key=jax.random.key(0)).ok


def test_a_key_among_the_arguments_is_drawn_from_anew():
    def f(x, noise_key):
        return jnp.sum(x * jax.random.normal(noise_key, x.shape))

    report = sn.check_gradients(f, THREE, jax.random.key(3), key=jax.random.key(0))
    assert report.ok
    assert report.arguments[0].error > 0  # other noise for every key


@pytest.mark.parametrize("name", ["key", "rng", "rng_key", "seed", "anything"])
def test_where_the_key_goes(name):
    scope = {"jnp": jnp, "jax": jax}
    exec(f"def f(x, {name}):\n  return jnp.sum(x * jax.random.normal({name}, x.shape))", scope)
    report = sn.check_gradients(scope["f"], THREE, key=jax.random.key(0))
    assert report.ok
    assert report.arguments[0].error > 0


def test_a_target_is_meant_to_be_detached():
    def f(online, target, x):
        return jnp.mean((x @ online - lax.stop_gradient(x @ target)) ** 2)

    report = sn.check_gradients(f, MATRIX, 2 * MATRIX, BATCH, key=jax.random.key(0))
    assert report.ok
    assert [x.kind for x in report.findings] == ["stop_gradient"]


def test_assert_gradients_flow():
    sn.assert_gradients_flow(lambda x: jnp.sum(x**2), THREE, key=jax.random.key(0))
    with pytest.raises(sn.diagnostics.BrokenGradient, match=r"argmax of scores") as caught:
        sn.assert_gradients_flow(hard_attention, THREE, MATRIX, key=jax.random.key(0))
    assert isinstance(caught.value, AssertionError)


def test_bad_arguments():
    key = jax.random.key(0)
    with pytest.raises(TypeError, match="nothing to differentiate"):
        sn.check_gradients(lambda x: x, jnp.arange(3), key=key)
    with pytest.raises(TypeError, match="typed"):
        sn.check_gradients(lambda x: x, THREE, key=0)
    with pytest.raises(ValueError, match="argnums 2"):
        sn.check_gradients(lambda x: x, THREE, key=key, argnums=2)
    with pytest.raises(ValueError, match="at least 2"):
        sn.check_gradients(lambda x: x, THREE, key=key, num_samples=1)
    with pytest.raises(TypeError, match="cannot be traced"):
        sn.check_gradients(lambda x: x if x.sum() > 0 else -x, THREE, key=key)


def test_forms_of_the_report():
    report = sn.check_gradients(categorical_beside_a_kl, THREE, MATRIX, key=jax.random.key(0))
    assert "<table>" in report._repr_html_()
    assert len(report.plot().axes) == 1
    kinds = [node.kind for node in report.graph.nodes]
    assert sorted(kinds) == ["argument", "argument", "cut", "draw", "output"]
    assert "SNR" in "".join(edge.label for edge in report.graph.edges)
    (found,) = report.findings
    assert found.code == "z = jax.nn.one_hot(jax.random.categorical(key, logits), 3)  # <-"
    assert "sn.estimators" in found.cure
