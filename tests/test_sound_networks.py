"""Networks of real size with sound gradients: `check_gradients` calls none of them broken."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from _sound import Sound, check, normal
from flax import linen, nnx
from jax import lax

import stochastic_net as sn

sound = Sound()

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


@sound()
def vae():
    return VAE(nnx.Rngs(0)), (normal(16, 64),)


@sound()
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


@sound()
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


@sound()
def gamma_posterior():
    def loss(a, rate, key):
        posterior = sn.distributions.Gamma(a, rate)
        z = posterior.sample(key)
        return ((z - 1) ** 2).sum() + sn.kl(posterior, sn.distributions.Gamma(1.0, 1.0)).sum()

    return loss, (jnp.array([0.5, 2.0, 5.0]), jnp.array([1.0, 2.0, 0.5]))


@sound()
def gumbel_softmax():
    def loss(logits, w, key):
        y = jax.nn.softmax((logits + jax.random.gumbel(key, logits.shape)) / 0.5)
        return jnp.mean((y @ w - 1.0) ** 2)

    return loss, (normal(6, 4), normal(4, 3, seed=1))


@sound()
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


@sound(relaxed=True, num_samples=8)
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


@sound()
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


@sound()
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


@sound()
def one_draw_of_the_weights_for_a_vmapped_batch():
    def loss(params, x, y, key):
        def one(x, y):
            return (forward(draw_weights(params, key), x)[0] - y) ** 2

        return jax.vmap(one)(x, y).mean()

    return loss, (gaussian_weights(5, 8, 1), normal(20, 5), normal(20, seed=3))


# --- sequences


@sound()
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


@sound()
def deep_network_in_remat_and_scan():
    def loss(w, x, key):
        @jax.checkpoint
        def layer(x, inputs):
            w, key = inputs
            keep = jax.random.bernoulli(key, 0.8, x.shape)
            return x + jnp.where(keep, jax.nn.gelu(x @ w) / 0.8, 0.0), None

        return jnp.mean(lax.scan(layer, x, (w, jax.random.split(key, len(w))))[0] ** 2)

    return loss, (normal(4, 8, 8, scale=0.3), normal(3, 8, seed=1))


@sound.rows()
def test_a_sound_network_is_not_called_broken(build, options):
    check(build, options)
