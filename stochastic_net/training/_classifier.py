"""The network that is trained: standardise the pair, draw, classify by a convolutional net."""

import math

import jax.numpy as jnp
from flax import nnx

from stochastic_net._types import Array
from stochastic_net.distributions import Gaussian
from stochastic_net.nn import StochasticNet


class Constant(nnx.Variable):
    """An array that belongs to the network and is not trained."""


class Standardise(nnx.Module):
    """The encoder: (x - shift) / scale, exact on the mean and on the variance."""

    def __init__(self, shift: float, scale: float) -> None:
        self.shift = Constant(jnp.asarray(shift, jnp.float32))
        self.scale = Constant(jnp.asarray(scale, jnp.float32))

    def __call__(self, x: Gaussian) -> Gaussian:
        return (x - self.shift[...]) / self.scale[...]


class ConvNet(nnx.Module):
    """The decoder: two rounds of convolution, relu and pooling, then two dense layers."""

    def __init__(self, image_shape: tuple[int, ...], classes: int, *, rngs: nnx.Rngs) -> None:
        height, width, channels = image_shape
        self.conv1 = nnx.Conv(channels, 16, (3, 3), rngs=rngs)
        self.conv2 = nnx.Conv(16, 32, (3, 3), rngs=rngs)
        self.dense = nnx.Linear(32 * (height // 4) * (width // 4), 64, rngs=rngs)
        self.logits = nnx.Linear(64, classes, rngs=rngs)

    def __call__(self, image: Array) -> Array:
        for conv in (self.conv1, self.conv2):
            image = nnx.max_pool(nnx.relu(conv(image)), (2, 2), strides=(2, 2))
        features = image.reshape(*image.shape[:-3], math.prod(image.shape[-3:]))
        return self.logits(nnx.relu(self.dense(features)))


def make_classifier(
    image_shape: tuple[int, ...], classes: int, shift: float, scale: float, rngs: nnx.Rngs
) -> StochasticNet:
    """net(x, key): the class logits of one draw from the pair."""
    return StochasticNet(Standardise(shift, scale), ConvNet(image_shape, classes, rngs=rngs))
