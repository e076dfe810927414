"""`check_gradients` on networks whose gradients are right, of real size: it calls none broken.

Each entry is a function without arguments that returns (f, arguments).
"""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx
from jax import lax

import stochastic_net as sn

SOUND = {}


def sound(f=None, *, relaxed=False):
    """Add a network; `relaxed` ones need JAX's ordinary promotion."""
    if f is None:
        return functools.partial(sound, relaxed=relaxed)
    SOUND[f.__name__] = pytest.param(f, id=f.__name__, marks=[pytest.mark.relaxed] * relaxed)
    return f


def normal(*shape, seed=0, scale=1.0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape) * scale, jnp.float32)


# --- variational autoencoders


class VAE(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Linear(64, 32, rngs=rngs)
        self.mean, self.log_var = nnx.Linear(32, 8, rngs=rngs), nnx.Linear(32, 8, rngs=rngs)
        self.up, self.out = nnx.Linear(8, 32, rngs=rngs), nnx.Linear(32, 64, rngs=rngs)

    def __call__(self, x, key):
        h = nnx.relu(self.first(x))
        mean, log_var = self.mean(h), self.log_var(h)
        z = mean + jnp.exp(0.5 * log_var) * jax.random.normal(key, mean.shape)
        logits = self.out(nnx.relu(self.up(z)))
        recon = jnp.sum(optax.sigmoid_binary_cross_entropy(logits, jax.nn.sigmoid(x)), -1)
        kl = 0.5 * jnp.sum(jnp.exp(log_var) + mean**2 - 1 - log_var, -1)
        return jnp.mean(recon + kl)


@sound
def vae():
    return VAE(nnx.Rngs(0)), (normal(16, 64),)


@sound
def importance_weighted_autoencoder():
    def loss(params, x, key):
        h = jnp.tanh(x @ params["encode"])
        mean, std = h @ params["mean"], jax.nn.softplus(h @ params["std"]) + 1e-3
        noise = jax.random.normal(key, (5, *mean.shape))
        z = mean[None] + std[None] * noise
        decoded = z @ params["decode"]
        log_weight = (
            -0.5 * jnp.sum((x[None] - decoded) ** 2, -1)
            - 0.5 * jnp.sum(z**2, -1)
            + jnp.sum(0.5 * noise**2 + jnp.log(std)[None], -1)
        )
        return -jnp.mean(jax.nn.logsumexp(log_weight, axis=0) - jnp.log(5.0))

    shapes = {"encode": (8, 16), "mean": (16, 3), "std": (16, 3), "decode": (3, 8)}
    return loss, (
        {k: normal(*s, seed=i, scale=0.3) for i, (k, s) in enumerate(shapes.items())},
        normal(6, 8),
    )


@sound
def vector_quantised_autoencoder():
    def loss(params, x):
        z = jnp.tanh(x @ params["encode"])
        distance = jnp.sum((z[:, None] - params["codes"][None]) ** 2, -1)
        index = jnp.argmin(distance, axis=-1)
        codes = params["codes"][index]
        straight = z + lax.stop_gradient(codes - z)
        recon = jnp.mean((straight @ params["decode"] - x) ** 2)
        commit = jnp.mean((lax.stop_gradient(codes) - z) ** 2)
        return recon + jnp.mean((codes - lax.stop_gradient(z)) ** 2) + 0.25 * commit

    shapes = {"encode": (8, 4), "codes": (16, 4), "decode": (4, 8)}
    return loss, (
        {k: normal(*s, seed=i, scale=0.5) for i, (k, s) in enumerate(shapes.items())},
        normal(32, 8),
    )


@sound
def gamma_posterior():
    def loss(a, rate, key):
        posterior = sn.distributions.Gamma(a, rate)
        z = posterior.sample(key)
        return ((z - 1) ** 2).sum() + sn.kl(posterior, sn.distributions.Gamma(1.0, 1.0)).sum()

    return loss, (jnp.array([0.5, 2.0, 5.0]), jnp.array([1.0, 2.0, 0.5]))


@sound
def gumbel_softmax():
    def loss(logits, w, key):
        y = jax.nn.softmax((logits + jax.random.gumbel(key, logits.shape)) / 0.5)
        return jnp.mean((y @ w - 1.0) ** 2)

    return loss, (normal(6, 4), normal(4, 3, seed=1))


@sound
def straight_through_gumbel():
    def loss(logits, w, key):
        soft = jax.nn.softmax((logits + jax.random.gumbel(key, logits.shape)) / 0.5)
        hard = jax.nn.one_hot(jnp.argmax(soft, -1), 4)
        y = soft + lax.stop_gradient(hard - soft)
        return jnp.mean((y @ w - 1.0) ** 2)

    return loss, (normal(6, 4), normal(4, 3, seed=1))


# --- images


class Block(nnx.Module):
    def __init__(self, fan_in, fan_out, stride, rngs):
        conv = functools.partial(nnx.Conv, kernel_size=(3, 3), use_bias=False, rngs=rngs)
        self.first = conv(fan_in, fan_out, strides=(stride, stride))
        self.second = conv(fan_out, fan_out)
        self.norms = nnx.List([nnx.BatchNorm(fan_out, rngs=rngs) for _ in range(2)])
        self.skip = (
            nnx.Conv(fan_in, fan_out, (1, 1), strides=(stride, stride), use_bias=False, rngs=rngs)
            if stride > 1
            else None
        )

    def __call__(self, x):
        h = nnx.relu(self.norms[0](self.first(x)))
        h = self.norms[1](self.second(h))
        return nnx.relu(h + (x if self.skip is None else self.skip(x)))


class ResNet18(nnx.Module):
    def __init__(self, width, rngs):
        self.stem = nnx.Conv(3, width, (3, 3), use_bias=False, rngs=rngs)
        self.norm = nnx.BatchNorm(width, rngs=rngs)
        self.blocks = nnx.List()
        fan_in = width
        for stage in range(4):
            for i in range(2):
                stride = 2 if stage and not i else 1
                self.blocks.append(Block(fan_in, width * 2**stage, stride, rngs))
                fan_in = width * 2**stage
        self.head = sn.nn.GaussianHead(fan_in, 32, rngs=rngs)
        self.out = nnx.Linear(32, 10, rngs=rngs)

    def __call__(self, x, key):
        drop, draw = jax.random.split(key)
        h = nnx.relu(self.norm(self.stem(x)))
        for block in self.blocks:
            h = block(h)
        h = jnp.mean(h, axis=(1, 2))
        keep = jax.random.bernoulli(drop, 0.9, h.shape)
        h = jnp.where(keep, h / 0.9, 0.0)
        return self.out(self.head(h).sample(draw))


def cross_entropy(net, x, labels, key):
    logits = net(x, key)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def resnet18_of(width):
    return cross_entropy, (ResNet18(width, nnx.Rngs(0)), normal(2, 32, 32, 3), jnp.array([1, 7]))


@sound(relaxed=True)
def resnet18_with_dropout_and_a_sampled_layer():
    return resnet18_of(8)  # as wide as the time of a test allows; the full one takes 7 s alone


class ConvNet(linen.Module):
    @linen.compact
    def __call__(self, x, train):
        for width in (8, 16):
            x = linen.Conv(width, (3, 3))(x)
            x = linen.BatchNorm(use_running_average=not train)(x)
            x = linen.max_pool(linen.leaky_relu(x), (2, 2), (2, 2))
        x = linen.Dropout(0.3, deterministic=not train)(x.reshape(len(x), -1))
        return linen.Dense(10)(x)


@sound(relaxed=True)
def linen_convnet_with_dropout():
    x = normal(4, 8, 8, 1)
    net = ConvNet()
    variables = net.init(jax.random.key(0), x, False)

    def loss(variables, x, labels, key):
        logits, _ = net.apply(variables, x, True, rngs={"dropout": key}, mutable=["batch_stats"])
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    return loss, (variables, x, jnp.array([0, 3, 2, 9]))


@sound(relaxed=True)
def denoising_diffusion():
    betas = jnp.linspace(1e-4, 0.02, 100)
    kept = jnp.cumprod(1 - betas)

    def loss(params, x, key):
        when, noise_key = jax.random.split(key)
        t = jax.random.randint(when, (len(x),), 0, 100)
        noise = jax.random.normal(noise_key, x.shape)
        a = kept[t][:, None]
        noisy = jnp.sqrt(a) * x + jnp.sqrt(1 - a) * noise
        angles = t[:, None] / 100 * jnp.arange(1, 5)
        time = jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], -1)
        h = jax.nn.silu(jnp.concatenate([noisy, time], -1) @ params["in"] + params["b"])
        return jnp.mean((h @ params["out"] - noise) ** 2)

    params = {"in": normal(16, 32, scale=0.2), "b": jnp.zeros(32), "out": jnp.zeros((32, 8))}
    return loss, (params, normal(16, 8))


@sound
def contrastive():
    def loss(w, x, key):
        first, second = jax.random.split(key)
        views = [x + 0.1 * jax.random.normal(k, x.shape) for k in (first, second)]
        a, b = (h / jnp.linalg.norm(h, axis=-1, keepdims=True) for h in (v @ w for v in views))
        return optax.softmax_cross_entropy_with_integer_labels(
            a @ b.T / 0.5, jnp.arange(len(x))
        ).mean()

    return loss, (normal(8, 4), normal(6, 8, seed=1))


# --- Bayesian networks


def draw_weights(params, key):
    leaves, tree = jax.tree.flatten(params, is_leaf=lambda p: isinstance(p, tuple))
    keys = jax.random.split(key, len(leaves))
    return tree.unflatten(
        [
            mean + jax.nn.softplus(rho) * jax.random.normal(k, mean.shape)
            for (mean, rho), k in zip(leaves, keys, strict=True)
        ]
    )


def gaussian_weights(*sizes):
    return [
        {
            "w": (normal(a, b, seed=a, scale=0.3), jnp.full((a, b), -3.0)),
            "b": (jnp.zeros(b), jnp.full(b, -3.0)),
        }
        for a, b in itertools.pairwise(sizes)
    ]


def forward(weights, x):
    for i, layer in enumerate(weights):
        x = jnp.tanh(x) if i else x
        x = x @ layer["w"] + (layer["b"] if x.ndim == 1 else layer["b"][None])
    return x


@sound
def bayesian_mlp():
    def loss(params, x, y, key):
        fit = jnp.mean((forward(draw_weights(params, key), x)[:, 0] - y) ** 2)
        pairs = jax.tree.leaves(params, is_leaf=lambda p: isinstance(p, tuple))
        kl = sum(
            jnp.sum(0.5 * (jax.nn.softplus(r) ** 2 + m**2 - 1) - jnp.log(jax.nn.softplus(r)))
            for m, r in pairs
        )
        return fit + 1e-3 * kl

    return loss, (gaussian_weights(5, 16, 16, 1), normal(20, 5), normal(20, seed=3))


@sound
def one_draw_of_the_weights_for_a_vmapped_batch():
    def loss(params, x, y, key):
        def one(x, y):
            return (forward(draw_weights(params, key), x)[0] - y) ** 2

        return jax.vmap(one)(x, y).mean()

    return loss, (gaussian_weights(5, 8, 1), normal(20, 5), normal(20, seed=3))


# --- sequences


@sound
def rnn_with_a_draw_in_scan():
    def loss(params, xs, key):
        def step(h, inputs):
            x, key = inputs
            mean = jnp.tanh(h @ params["h"] + x @ params["x"])
            h = mean + jax.nn.softplus(params["s"]) * jax.random.normal(key, mean.shape)
            return h, jnp.sum((h @ params["o"] - x) ** 2)

        _, losses = lax.scan(step, jnp.zeros(8), (xs, jax.random.split(key, len(xs))))
        return losses.mean()

    params = {
        "h": normal(8, 8, scale=0.3),
        "x": normal(3, 8, seed=1),
        "s": jnp.full(8, -2.0),
        "o": normal(8, 3, seed=2),
    }
    return loss, (params, normal(7, 3, seed=4))


class Transformer(nnx.Module):
    def __init__(self, rngs):
        self.embed = nnx.Embed(20, 16, rngs=rngs)
        self.attend = nnx.MultiHeadAttention(
            2, 16, dropout_rate=0.1, decode=False, deterministic=False, rngs=rngs
        )
        self.norms = nnx.List([nnx.LayerNorm(16, rngs=rngs) for _ in range(2)])
        self.up, self.down = nnx.Linear(16, 32, rngs=rngs), nnx.Linear(32, 16, rngs=rngs)
        self.drop = nnx.Dropout(0.1, rngs=rngs)

    def __call__(self, tokens):
        x = self.embed(tokens)
        mask = nnx.make_causal_mask(tokens)
        x = x + self.attend(self.norms[0](x), mask=mask)
        x = x + self.drop(self.down(nnx.gelu(self.up(self.norms[1](x)))))
        return self.embed.attend(x)


@sound(relaxed=True)
def transformer_with_dropout():
    tokens = jnp.asarray(np.random.default_rng(0).integers(0, 20, (2, 9)))

    def loss(net, tokens):
        logits = net(tokens[:, :-1])
        return optax.softmax_cross_entropy_with_integer_labels(logits, tokens[:, 1:]).mean()

    return loss, (Transformer(nnx.Rngs(0)), tokens)


@sound
def deep_network_in_remat_and_scan():
    def loss(w, x, key):
        @jax.checkpoint
        def layer(x, inputs):
            w, key = inputs
            keep = jax.random.bernoulli(key, 0.8, x.shape)
            return x + jnp.where(keep, jax.nn.gelu(x @ w) / 0.8, 0.0), None

        return jnp.mean(lax.scan(layer, x, (w, jax.random.split(key, len(w))))[0] ** 2)

    return loss, (normal(4, 8, 8, scale=0.3), normal(3, 8, seed=1))


# --- reinforcement learning and discrete choices


@sound
def soft_actor():
    def loss(actor, critic, observation, key):
        h = jax.nn.relu(observation @ actor["h"])
        mean, log_std = h @ actor["mean"], jnp.clip(h @ actor["log_std"], -20, 2)
        u = mean + jnp.exp(log_std) * jax.random.normal(key, mean.shape)
        action = jnp.tanh(u)
        log_prob = -0.5 * ((u - mean) / jnp.exp(log_std)) ** 2 - log_std
        log_prob = jnp.sum(log_prob - jnp.log(1 - action**2 + 1e-6), -1)
        inputs = jnp.concatenate([observation, action], -1)
        q1, q2 = (jax.nn.relu(inputs @ c["h"]) @ c["out"] for c in critic)
        return jnp.mean(0.2 * log_prob - jnp.minimum(q1, q2)[:, 0])

    actor = {
        "h": normal(4, 32),
        "mean": normal(32, 2, scale=0.1),
        "log_std": normal(32, 2, scale=0.1),
    }
    critic = [{"h": normal(6, 32, seed=s), "out": normal(32, 1, seed=s + 5)} for s in (1, 2)]
    return loss, (actor, critic, normal(8, 4, seed=9))


@sound
def reinforce_by_hand():
    def loss(w, reward, x, key):
        logits = x @ w
        action = jax.random.categorical(key, logits)
        log_prob = jnp.take_along_axis(jax.nn.log_softmax(logits), action[:, None], -1)[:, 0]
        gain = lax.stop_gradient(reward[action] - reward.mean())
        return -jnp.mean(gain * log_prob)

    return lambda w, x, key: loss(w, jnp.array([0.0, 1.0, 3.0]), x, key), (
        normal(4, 3),
        normal(9, 4),
    )


@sound
def bernoulli_score_function():
    def loss(logits, w, key):
        p = jax.nn.sigmoid(logits)
        b = jax.random.bernoulli(key, p).astype(jnp.float32)
        value = jnp.sum((b @ w - 1.0) ** 2)
        log_prob = jnp.sum(b * jnp.log(p) + (1 - b) * jnp.log1p(-p))
        return value + lax.stop_gradient(value) * log_prob

    return loss, (normal(5), normal(5, 2, seed=1))


@sound
def policy_gradient_with_clipped_ratio():
    def loss(w, old_log_prob, x, action, advantage):
        log_prob = jnp.take_along_axis(jax.nn.log_softmax(x @ w), action[:, None], -1)[:, 0]
        ratio = jnp.exp(log_prob - old_log_prob)
        clipped = jnp.clip(ratio, 0.8, 1.2)
        return -jnp.mean(jnp.minimum(ratio * advantage, clipped * advantage))

    action = jnp.array([0, 1, 2, 0, 1, 2, 0, 1])
    return loss, (normal(4, 3), normal(8) - 1, normal(8, 4, seed=2), action, normal(8, seed=3))


@sound
def sparse_experts():
    def loss(params, x):
        gates = jax.nn.softmax(x @ params["router"])
        best, index = lax.top_k(gates, 2)
        experts = params["experts"][index]
        y = jnp.einsum("bk,bkio,bi->bo", best / best.sum(-1, keepdims=True), experts, x)
        return jnp.mean((y - x) ** 2)

    return loss, (
        {"router": normal(4, 6), "experts": normal(6, 4, 4, seed=1)},
        normal(10, 4, seed=2),
    )


# --- densities and other tools


@sound
def coupling_flow():
    def loss(params, x):
        log_det = 0.0
        for i, layer in enumerate(params):
            a, b = jnp.split(x, 2, -1) if i % 2 else jnp.split(x, 2, -1)[::-1]
            h = jnp.tanh(a @ layer["h"])
            scale, shift = jnp.tanh(h @ layer["s"]), h @ layer["t"]
            x = jnp.concatenate([a, b * jnp.exp(scale) + shift], -1)
            log_det = log_det + scale.sum(-1)
        return jnp.mean(0.5 * jnp.sum(x**2, -1) - log_det)

    layers = [
        {
            "h": normal(2, 8, seed=s),
            "s": normal(8, 2, seed=s + 1, scale=0.1),
            "t": normal(8, 2, seed=s + 2),
        }
        for s in (0, 3, 6)
    ]
    return loss, (layers, normal(12, 4, seed=20))


@sound
def mixture_density_network():
    def loss(params, x, y):
        h = jnp.tanh(x @ params["h"])
        weights, mean = jax.nn.log_softmax(h @ params["w"]), h @ params["m"]
        std = jax.nn.softplus(h @ params["s"]) + 1e-3
        log_p = -0.5 * ((y[:, None] - mean) / std) ** 2 - jnp.log(std)
        return -jnp.mean(jax.nn.logsumexp(weights + log_p, axis=-1))

    params = {
        k: normal(*s, seed=i)
        for i, (k, s) in enumerate({"h": (3, 8), "w": (8, 4), "m": (8, 4), "s": (8, 4)}.items())
    }
    return loss, (params, normal(10, 3, seed=8), normal(10, seed=9))


@sound
def gaussian_process():
    def loss(params, x, y):
        gap = (x[:, None] - x[None]) / jnp.exp(params["length"])
        kernel = jnp.exp(params["size"] - 0.5 * gap**2)
        kernel = kernel + jnp.exp(params["noise"]) * jnp.eye(len(x))
        root = jnp.linalg.cholesky(kernel)
        white = jax.scipy.linalg.solve_triangular(root, y, lower=True)
        return 0.5 * jnp.sum(white**2) + jnp.sum(jnp.log(jnp.diagonal(root)))

    params = {k: jnp.float32(v) for k, v in {"length": 0.0, "size": 0.1, "noise": -2.0}.items()}
    return loss, (params, jnp.linspace(0, 4, 9), normal(9))


@jax.custom_jvp
def rounded(x):
    return jnp.round(x)


@rounded.defjvp
def _(primals, tangents):
    return rounded(primals[0]), tangents[0]


@sound
def quantisation_with_a_rule_of_its_own():
    def loss(w, x):
        return jnp.mean((x @ (rounded(w * 8) / 8) - 1.0) ** 2)

    return loss, (normal(5, 3), normal(7, 5, seed=1))


@sound
def spline_flow():
    def loss(widths, heights, key):
        u = jax.random.uniform(key, (7,), minval=0.01, maxval=0.99)
        knots = jnp.cumsum(jax.nn.softmax(widths))
        values = jnp.cumsum(jax.nn.softplus(heights))
        knots, values = (jnp.concatenate([jnp.zeros(1), x]) for x in (knots, values))
        i = jnp.clip(jnp.searchsorted(knots, u) - 1, 0, 3)
        slope = (values[i + 1] - values[i]) / (knots[i + 1] - knots[i])
        return jnp.sum(values[i] + (u - knots[i]) * slope)

    return loss, (normal(4), normal(4, seed=1))


@sound
def gradient_penalty():
    def loss(w, x, key):
        mixed = x + jax.random.uniform(key, (6, 1))
        critic = lambda row: jax.nn.leaky_relu(row @ w).sum()  # noqa: E731
        slopes = jax.vmap(jax.grad(critic))(mixed)
        return jnp.mean((jnp.sqrt(jnp.sum(slopes**2, -1) + 1e-8) - 1) ** 2)

    return (lambda w, key: loss(w, normal(6, 3, seed=1), key)), (normal(3, 4),)


@sound
def noisy_codebook():
    def loss(params, x, key):
        z = x @ params["encode"] + 0.1 * jax.random.normal(key, (9, 4))
        distance = jnp.sum((z[:, None] - params["codes"][None]) ** 2, -1)
        codes = params["codes"][jnp.argmin(distance, -1)]
        straight = z + lax.stop_gradient(codes - z)
        return jnp.mean((straight - 1.0) ** 2) + jnp.mean((codes - lax.stop_gradient(z)) ** 2)

    return loss, ({"encode": normal(5, 4), "codes": normal(6, 4, seed=1)}, normal(9, 5, seed=2))


@sound
def some_of_our_samplers():
    def loss(p, key):
        first, second, third = jax.random.split(key, 3)
        r = sn.random
        return jnp.sum(r.gamma(first, p) + r.truncated_normal(second, -p, p) + r.wald(third, p))

    return loss, (jnp.array([0.4, 0.9, 1.6]),)


@sound
def the_networks_of_this_library():
    rngs = nnx.Rngs(0)
    tower = lambda: nnx.Sequential(nnx.Conv(2, 4, (3, 3), rngs=rngs), nnx.gelu)  # noqa: E731
    net = sn.nn.StochasticNet(sn.nn.Towers(tower(), tower()), nnx.Conv(4, 3, (3, 3), rngs=rngs))

    def loss(net, x, key):
        return jnp.mean(net(x, key) ** 2)

    return loss, (net, sn.Gaussian(normal(2, 6, 6, 2), jnp.full((2, 6, 6, 2), 0.5)))


@sound
def zero_variances_in_the_pair():
    def loss(x, key):
        return jnp.sum(jnp.sin(x.sample(key)))

    return loss, (sn.Gaussian(normal(3), jnp.array([0.0, 1.0, 2.0])),)


@sound
def a_key_an_example_under_vmap():
    def loss(w, x, key):
        def one(x, key):
            first, second = jax.random.split(key)
            h = jax.nn.relu(x @ w + 0.1 * jax.random.normal(first, (6,)))
            return jnp.sum(jnp.where(jax.random.bernoulli(second, 0.5, (6,)), 2 * h, 0.0) ** 2)

        return jax.vmap(one)(x, jax.random.split(key, len(x))).mean()

    return loss, (normal(4, 6), normal(9, 4, seed=1))


@sound
def sampled_features_then_kinks():
    def loss(mean, rho, w, key):
        z = mean + jax.nn.softplus(rho) * jax.random.normal(key, mean.shape)
        h = jnp.where(z > 0, z, 0.1 * z) + jnp.abs(z) + jax.nn.elu(z) + jax.nn.relu6(z)
        return jnp.sum(jnp.sort(h, axis=-1)[:, -2:] @ w) + jnp.max(h)

    return loss, (normal(4, 5), normal(4, 5, seed=1), normal(2, seed=2))


@sound(relaxed=True)
def numpyro_elbo():
    nd = pytest.importorskip("numpyro.distributions")

    def loss(loc, rho, a, key):
        first, second = jax.random.split(key)
        q, r = nd.Normal(loc, jax.nn.softplus(rho)), nd.Gamma(jnp.exp(a), 2.0)
        z, s = q.sample(first), r.sample(second)
        prior = nd.Normal(0.0, 1.0).log_prob(z) + nd.Gamma(2.0, 2.0).log_prob(s)
        return jnp.sum((z * s - 1.0) ** 2 - prior + q.log_prob(z) + r.log_prob(s))

    return loss, (normal(3), normal(3, seed=1), normal(3, seed=2))


@sound(relaxed=True)
def distrax_policy():
    dx = pytest.importorskip("distrax")

    def loss(w, x, key):
        h = x @ w
        mean, rho = jnp.split(h, 2, axis=-1)
        policy = dx.Transformed(
            dx.MultivariateNormalDiag(mean, jax.nn.softplus(rho) + 1e-3),
            dx.Block(dx.Tanh(), 1),
        )
        action, log_prob = policy.sample_and_log_prob(seed=key)
        return jnp.mean(0.1 * log_prob + jnp.sum((action - 0.3) ** 2, -1))

    return loss, (normal(4, 4, scale=0.3), normal(8, 4, seed=1))


@pytest.mark.parametrize("build", SOUND.values())
def test_a_sound_network_is_not_called_broken(build):
    f, args = build()
    samples = 8 if build is resnet18_with_dropout_and_a_sampled_layer else 64  # for time
    report = sn.check_gradients(f, *args, key=jax.random.key(7), num_samples=samples)
    assert report.ok, report
    assert all(x.arrives for x in report.arguments)


def test_the_table_is_long_enough():
    assert len(SOUND) >= 20
