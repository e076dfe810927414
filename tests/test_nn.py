"""The room `nn`: one object under every transformation, gradients through every kind of encoder."""

import functools
import inspect

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _mesh import mesh_of
from flax import nnx
from jax.experimental import checkify
from jax.sharding import PartitionSpec as P
from jax.test_util import check_grads

import stochastic_net as sn

FEATURES = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3)
PAIR = sn.Gaussian(FEATURES, np.linspace(0, 2, 12, dtype="float32").reshape(4, 3))


def linear(rngs, features_in=3, features_out=2):
    return nnx.Linear(features_in, features_out, rngs=rngs)


def drawing(rngs):
    """A decoder, or an encoder and more, that draws twice."""
    head, second = (sn.nn.GaussianHead(3, 3, rngs=rngs) for _ in range(2))
    return sn.nn.Sequential(head, sn.nn.Sample(), jnp.tanh, second, sn.nn.Sample())


def towers(rngs):
    return sn.nn.Towers(linear(rngs, 3, 3), linear(rngs, 3, 3))


MODULES = {  # how it is built, and what it takes
    "Sample": (lambda rngs: sn.nn.Sample(), PAIR),
    "GaussianHead": (lambda rngs: sn.nn.GaussianHead(3, 2, rngs=rngs), FEATURES),
    "Towers": (towers, PAIR),
    "Sequential": (drawing, FEATURES),
    "Sequential that draws nothing": (lambda rngs: sn.nn.Sequential(linear(rngs)), FEATURES),
    "StochasticNet": (lambda rngs: sn.nn.StochasticNet(None, linear(rngs)), PAIR),
    "StochasticNet of functions": (lambda rngs: sn.nn.StochasticNet(None, jnp.tanh), PAIR),
    "Towers, draw": (lambda rngs: sn.nn.StochasticNet(towers(rngs), linear(rngs)), PAIR),
    "Towers, draws": (lambda rngs: sn.nn.StochasticNet(towers(rngs), drawing(rngs)), PAIR),
    "head, draw": (
        lambda rngs: sn.nn.StochasticNet(sn.nn.GaussianHead(3, 3, rngs=rngs), linear(rngs)),
        FEATURES,
    ),
}
table = pytest.mark.parametrize(("build", "x"), MODULES.values(), ids=MODULES)


def new_key():
    return jax.random.key(3)


def call(module, x, key):
    """What a module gives to x, called with the key if it takes one."""
    return module(x, key) if "key" in inspect.signature(module).parameters else module(x)


def loss(module, x, key):
    return sum(jnp.square(leaf).sum() for leaf in jax.tree.leaves(call(module, x, key)))


def in_tree_mode(transform):
    def transformed(f):
        def run(*args):
            with nnx.set_graph_mode(False):
                return transform(f)(*args)

        return run

    return transformed


CALLS = {
    "jax.jit": jax.jit,
    "nnx.jit": nnx.jit,
    "nnx.jit in tree mode": in_tree_mode(nnx.jit),
    "jax.jit in tree mode": in_tree_mode(jax.jit),
}


@table
@pytest.mark.parametrize("transform", CALLS.values(), ids=CALLS)
def test_the_same_object_gives_the_same_under_every_jit(build, x, transform):
    module = build(nnx.Rngs(0))
    eager = call(module, x, new_key())
    chex.assert_trees_all_close(transform(call)(module, x, new_key()), eager, rtol=2e-6, atol=2e-6)


def both(grad):
    """The gradients to the module's parameters and to its input, as two lists of arrays."""
    return lambda *args: [jax.tree.leaves(part) for part in grad(loss, argnums=(0, 1))(*args)]


GRADS = {
    "jax.jit(jax.grad)": both(lambda f, argnums: jax.jit(jax.grad(f, argnums))),
    "nnx.grad": both(nnx.grad),
    "nnx.jit(nnx.grad)": both(lambda f, argnums: nnx.jit(nnx.grad(f, argnums=argnums))),
    "nnx.grad in tree mode": in_tree_mode(lambda _: both(nnx.grad))(None),
}


@table
@pytest.mark.parametrize("grads", GRADS.values(), ids=GRADS)
def test_every_grad_reaches_all_parameters_and_the_input(build, x, grads):
    module = build(nnx.Rngs(0))
    to_module, to_x = grads(module, x, new_key())
    parameters = jax.tree.leaves(nnx.state(module, nnx.Param))
    assert [g.shape for g in to_module] == [p.shape for p in parameters]
    chex.assert_tree_all_finite((to_module, to_x))
    assert all(np.mean(np.asarray(g) != 0) > 0.9 for g in [*to_module, *to_x])
    truth = jax.grad(loss, argnums=(0, 1))(module, x, new_key())
    for got, expected in zip((to_module, to_x), map(jax.tree.leaves, truth), strict=True):
        chex.assert_trees_all_close(got, expected, rtol=1e-5, atol=1e-5)


@table
def test_one_key_an_example_is_one_example_after_the_other(build, x):
    module = build(nnx.Rngs(0))
    keys = jax.random.split(new_key(), 4)
    mapped = jax.vmap(functools.partial(call, module))(x, keys)
    for i, key in enumerate(keys):
        one = call(module, jax.tree.map(lambda leaf, i=i: leaf[i], x), key)
        chex.assert_trees_all_close(
            jax.tree.map(lambda leaf, i=i: leaf[i], mapped), one, rtol=2e-6, atol=2e-6
        )


@table
def test_no_module_stores_randomness_or_changes_by_a_call(build, x):
    module = build(nnx.Rngs(0))
    before = [leaf.copy() for leaf in jax.tree.leaves(module)]
    call(module, x, new_key())
    assert not jax.tree.leaves(nnx.state(module, nnx.RngState))
    chex.assert_trees_all_equal(jax.tree.leaves(module), before)
    assert all(leaf.dtype == "float32" for leaf in before)


@table
def test_a_second_call_is_not_traced_again(build, x):
    chex.clear_trace_counter()  # it counts by the name of the function
    step = jax.jit(chex.assert_max_traces(call, n=1))
    module = build(nnx.Rngs(0))
    for seed in (1, 2):
        step(module, x, jax.random.key(seed))
        module = jax.tree.map(lambda leaf: 0.9 * leaf, module)


@table
def test_linen_takes_the_same_module(build, x):
    linen = nnx.bridge.to_linen(build)
    args = (x, new_key()) if "key" in inspect.signature(build(nnx.Rngs(0))).parameters else (x,)
    variables = linen.init(jax.random.key(0), *args)
    assert set(variables) <= {"params", "nnx"}
    module = build(nnx.Rngs(0))
    nnx.update(module, nnx.State(jax.tree.map(nnx.Param, variables.get("params", {}))))
    got = jax.jit(linen.apply)(variables, x, *(new_key() for _ in args[1:]))
    chex.assert_trees_all_close(got, call(module, x, new_key()), rtol=2e-6, atol=2e-6)


# The places in a program that a network may stand in. The check of its variance must not get in the
# way anywhere, and must still be there for checkify.


def in_cond(f, net, x, key):
    return jax.lax.cond(x.mean[0, 0] < 9, f, lambda *args: 0 * f(*args), net, x, key)


def in_scan(f, net, x, key):
    return jax.lax.scan(lambda total, k: (total + f(net, x, k), None), 0.0, key[None])[0]


def in_while(f, net, x, key):
    def step(state):
        return state[0] + 1, state[1] + f(net, x, jax.random.clone(key))

    return jax.lax.while_loop(lambda state: state[0] < 1, step, (0, jnp.zeros((), "float32")))[1]


def in_remat(f, net, x, key):
    return jax.value_and_grad(jax.checkpoint(f))(net, x, key)[0]


def in_vmap(f, net, x, key):
    return jax.vmap(f, (None, None, 0))(net, x, key[None]).sum()


def in_shard_map(f, net, x, key):
    mesh = mesh_of(4, "device")

    def on_each_device(net, x, key):
        return jax.lax.pmean(f(net, x, key), "device")

    return jax.shard_map(on_each_device, mesh=mesh, in_specs=P(), out_specs=P())(net, x, key)


def in_export(f, net, x, key):
    exported = jax.export.export(jax.jit(f))(net, x, key)
    return exported.call(net, x, key)


PLACES = {
    "cond": in_cond,
    "scan": in_scan,
    "while": in_while,
    "remat": in_remat,
    "vmap": in_vmap,
    "shard_map": in_shard_map,
    "export": in_export,
}


@pytest.mark.parametrize("place", PLACES)
def test_a_network_may_stand_anywhere_in_a_program(place):
    net = sn.nn.StochasticNet(towers(nnx.Rngs(0)), drawing(nnx.Rngs(1)))
    f = jax.jit(lambda net, x, key: PLACES[place](loss, net, x, key))
    np.testing.assert_allclose(f(net, PAIR, new_key()), loss(net, PAIR, new_key()), rtol=2e-6)


# An exported program carries no checks.
@pytest.mark.parametrize("place", [name for name in PLACES if name != "export"])
def test_its_check_stands_there_for_checkify(place):
    net = sn.nn.StochasticNet(None, linear(nnx.Rngs(0)))
    bad = jax.tree.unflatten(jax.tree.structure(PAIR), (PAIR.mean, -PAIR.var))

    def made_in_place(net, x, key):
        return loss(net, sn.Gaussian(x.mean, x.var), key)

    f = jax.jit(checkify.checkify(lambda net, x, key: PLACES[place](made_in_place, net, x, key)))
    assert f(net, PAIR, new_key())[0].get() is None
    assert "var must be finite and not negative" in f(net, bad, new_key())[0].get()


# Who draws what.


class Noise(nnx.Module):
    """A layer that draws: shows its noise, whatever comes in."""

    def __call__(self, x, key):
        return jax.random.normal(key, (3,), "float32")


def spy(seen):
    """A layer that draws nothing and keeps what it saw."""
    return lambda x: seen.append(x) or x


def test_the_ith_layer_that_draws_gets_the_ith_folded_key():
    def noises(*layers):
        seen = []
        layers = [part for layer in layers for part in (layer, spy(seen))]
        sn.nn.Sequential(*layers)(FEATURES[0], new_key())
        return [x for x, layer in zip(seen, layers[::2], strict=True) if isinstance(layer, Noise)]

    expected = [
        jax.random.normal(jax.random.fold_in(new_key(), i), (3,), "float32") for i in range(3)
    ]
    np.testing.assert_array_equal(noises(Noise(), Noise()), expected[:2])
    np.testing.assert_array_equal(noises(jnp.tanh, Noise(), abs, jnp.tanh, Noise()), expected[:2])
    np.testing.assert_array_equal(noises(Noise(), Noise(), jnp.tanh, Noise()), expected)


def test_a_decoder_that_draws_gets_the_second_half_of_the_key():
    x = sn.Gaussian(FEATURES[0], np.ones(3, "float32"))
    first, second = jax.random.split(new_key())
    seen = []
    decoder = sn.nn.Sequential(spy(seen), Noise())
    noise = sn.nn.StochasticNet(None, decoder)(x, new_key())
    np.testing.assert_array_equal(seen[0], x.sample(first))
    expected = jax.random.normal(jax.random.fold_in(second, 0), (3,), "float32")
    np.testing.assert_array_equal(noise, expected)
    alone = sn.nn.StochasticNet(None, jnp.tanh)(x, new_key())
    np.testing.assert_array_equal(alone, jnp.tanh(x.sample(new_key())))


def test_a_foreign_distribution_is_drawn_too():
    class Uniform:
        def sample(self, key, sample_shape=()):
            return jax.random.uniform(key, (*sample_shape, 3), "float32")

        def log_prob(self, value):
            return jnp.zeros_like(value)

    drawn = sn.nn.Sequential(lambda x: Uniform(), sn.nn.Sample())(FEATURES, new_key())
    expected = Uniform().sample(jax.random.fold_in(new_key(), 0))
    np.testing.assert_array_equal(drawn, expected)


@pytest.mark.relaxed
def test_a_discrete_draw_of_numpyro_is_not_silently_constant():
    dist = pytest.importorskip("numpyro").distributions
    layers = {
        "Sample": sn.nn.Sample(),
        "StochasticNet": sn.nn.StochasticNet(None, lambda z: z),
    }
    for layer in layers.values():
        with pytest.raises(TypeError, match="Bernoulli is discrete"):
            jax.grad(lambda t: layer(dist.Bernoulli(logits=t), new_key()).astype("float32"))(0.0)  # noqa: B023
        theirs = dist.Normal(jnp.zeros(3), 1.0)
        drawn = layer(theirs, new_key())
        expected = sn.distributions.own(theirs).sample(new_key())
        np.testing.assert_array_equal(drawn, expected)


# A variance that a network puts out is one.


@pytest.mark.parametrize("min_var", [0.0, 1e-6, 0.5])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_a_variance_is_positive_whatever_the_network_puts_out(dtype, min_var):
    with jax.enable_x64(dtype == "float64" or jax.config.jax_enable_x64):
        # 16-bit variances are computed in float32 and rounded once, which is half an eps.
        roundings, wide = (0.51, "float32") if "16" in dtype else (2, dtype)
        eps, largest = float(jnp.finfo(dtype).eps), float(jnp.finfo(dtype).max)
        smallest = float(jnp.finfo(dtype).smallest_subnormal) + float(jnp.finfo(wide).tiny)
        raw = jnp.array([-largest, -1e4, -100, -20, -1, 0, 1, 20, 1e4, largest], dtype)
        encoder = sn.nn.Towers(lambda m: m, lambda v: raw, min_var=min_var)
        head = sn.nn.GaussianHead(1, 10, min_var=min_var, param_dtype=dtype, rngs=nnx.Rngs(0))
        head.linear.kernel[...] = jnp.zeros_like(head.linear.kernel[...])
        head.linear.bias[...] = jnp.concatenate([raw, raw])
        x = sn.Gaussian(jnp.zeros(10, dtype), jnp.ones(10, dtype))
        for var in (encoder(x).var, head(jnp.ones((1,), dtype)).var):
            assert var.dtype == dtype
            assert (var >= jnp.asarray(min_var, dtype)).all()
            assert jnp.isfinite(var).all()
            expected = np.logaddexp(np.asarray(raw, np.float64), 0) + min_var
            error = abs(np.asarray(var, np.float64) - expected)
            assert (error <= roundings * eps * expected + smallest).all()
        slope = jax.vjp(lambda raw: sn.nn.Towers(abs, lambda v: raw)(x).var, raw)[1](raw * 0 + 1)
        chex.assert_tree_all_finite(slope)


# Encoders before the draw: each tower of its own, of every kind of layer.

IMAGES = (2, 8, 8, 3)
average = functools.partial(nnx.avg_pool, window_shape=(2, 2), strides=(2, 2))
largest = functools.partial(nnx.max_pool, window_shape=(2, 2), strides=(2, 2))


def conv(channels_in, channels_out, rngs, **options):
    return nnx.Conv(channels_in, channels_out, (3, 3), padding=1, rngs=rngs, **options)


def norm(rngs):
    return nnx.BatchNorm(4, momentum=0.9, rngs=rngs)


ENCODERS = {
    "conv": lambda rngs: [conv(3, 4, rngs)],
    "relu": lambda rngs: [conv(3, 4, rngs), jax.nn.relu, conv(4, 4, rngs)],
    "gelu": lambda rngs: [conv(3, 4, rngs), jax.nn.gelu],
    "tanh": lambda rngs: [conv(3, 4, rngs), jnp.tanh],
    "average pool": lambda rngs: [conv(3, 4, rngs), average],
    "max pool": lambda rngs: [conv(3, 4, rngs), largest],
    "batch norm": lambda rngs: [conv(3, 4, rngs, use_bias=False), norm(rngs), jnp.tanh],
    "all of them": lambda rngs: [
        *(conv(3, 4, rngs, use_bias=False), norm(rngs), jax.nn.relu, average),
        *(conv(4, 4, rngs), jax.nn.gelu, largest, conv(4, 4, rngs), jnp.tanh),
    ],
}
encoders = pytest.mark.parametrize("layers", ENCODERS.values(), ids=ENCODERS)


def question(layers, dtype="float32", training=True):
    """Towers of those layers, a draw, a convolution; and a pair of images."""
    rngs, rng = nnx.Rngs(0), np.random.default_rng(0)
    encoder = sn.nn.Towers(*(nnx.Sequential(*layers(rngs)) for _ in range(2)))
    net = sn.nn.StochasticNet(encoder, conv(4, 2, rngs))
    for _, module in nnx.iter_modules(net):
        if isinstance(module, nnx.BatchNorm):
            module.use_running_average = not training
    x = sn.Gaussian(rng.normal(size=IMAGES), rng.exponential(size=IMAGES))
    return jax.tree.map(lambda leaf: leaf.astype(dtype), (net, x))


@pytest.mark.relaxed  # flax's own average pool divides a float by an integer
@encoders
@pytest.mark.parametrize("training", [True, False])
def test_gradients_reach_the_inputs_and_all_parameters_of_every_tower(layers, training):
    net, x = question(layers, training=training)
    to_net, to_x = jax.jit(jax.grad(loss, argnums=(0, 1)))(net, x, new_key())
    chex.assert_tree_all_finite((to_net, to_x))
    parameters = nnx.to_flat_state(nnx.state(to_net, nnx.Param))
    assert len(parameters) >= 6
    for path, gradient in [*parameters, ("mean", to_x.mean), ("var", to_x.var)]:
        assert np.mean(np.asarray(gradient[...]) != 0) > 0.9, path


@pytest.mark.law
@pytest.mark.relaxed
@encoders
def test_gradients_through_a_tower_are_the_numerical_ones(layers):
    with jax.enable_x64(True):
        net, x = question(layers, "float64")
        f = jax.jit(lambda net, x: loss(net, x, new_key()))
        check_grads(f, (net, x), order=1, modes=("rev",), eps=1e-6, rtol=1e-5)


def test_batch_norm_in_a_tower_keeps_its_running_averages():
    net, x = question(ENCODERS["batch norm"])
    step = nnx.jit(nnx.grad(loss))
    step(net, x, new_key())
    for tower, inputs in ((net.encoder.mean_net, x.mean), (net.encoder.var_net, x.var)):
        conv, norm, _ = tower.layers
        h = jax.jit(conv)(inputs)
        np.testing.assert_allclose(norm.mean[...], 0.1 * h.mean((0, 1, 2)), rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(norm.var[...], 0.9 + 0.1 * h.var((0, 1, 2)), rtol=1e-4)
        norm.use_running_average = True
    frozen = jax.tree.map(jnp.copy, nnx.state(net, nnx.BatchStat))
    step(net, x, new_key())
    chex.assert_trees_all_equal(nnx.state(net, nnx.BatchStat), frozen)
