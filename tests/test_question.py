"""The question this library answers: does the gradient reach mean and variance through a draw?

A pair of shape (1, 300, 300, 16), one draw, a 3 x 3 convolution to 32 channels.
"""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.experimental import checkify

import stochastic_net as sn

SHAPE = (1, 300, 300, 16)


@functools.cache
def question():
    """The network and the pair: some variances are small, some are 0."""
    rng = np.random.default_rng(0)
    rngs, bias = nnx.Rngs(0), nnx.initializers.normal()
    conv = nnx.Conv(16, 32, (3, 3), padding=1, bias_init=bias, rngs=rngs)
    var = np.maximum(rng.normal(0.3, 0.5, SHAPE), 0.0) ** 2
    x = sn.Gaussian(rng.normal(size=SHAPE).astype("float32"), var.astype("float32"))
    assert 0.2 < np.mean(x.var == 0) < 0.3
    return sn.nn.StochasticNet(None, conv), x


@jax.jit
def output_and_gradients(net, x, key):
    """The output y, and what sum(y ** 2) / 2 sends back to the network and to the pair."""

    def loss(net, x):
        y = net(x, key)
        return 0.5 * jnp.square(y).sum(), y

    (_, y), grads = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(net, x)
    return y, grads


@functools.cache
def answer():
    return output_and_gradients(*question(), jax.random.key(1))


def test_the_gradient_reaches_mean_variance_and_kernel():
    _, x = question()
    y, (to_net, to_x) = answer()
    assert y.shape == (1, 300, 300, 32)
    chex.assert_tree_all_finite((y, to_net, to_x))
    assert (to_x.mean.shape, to_x.var.shape) == (SHAPE, SHAPE)
    assert to_net.decoder.kernel.shape == (3, 3, 16, 32)
    for reached in (to_x.mean, to_x.var[x.var > 0], to_net.decoder.kernel, to_net.decoder.bias):
        assert np.mean(np.asarray(reached) != 0) > 0.999
    np.testing.assert_array_equal(to_x.var[x.var == 0], 0.0)  # the convention


# Errors allowed against PyTorch, as shares of the largest entry of the tensor (measured on CPU in
# brackets). An entry of the kernel's gradient is a sum of 90,000 products, which XLA adds up in
# float32 to 1.2e-5 of the float64 truth and PyTorch to 6e-6, whatever is done about the draw: there
# 1e-5 holds for the norm of the error over the norm of the gradient, and in float64.
FLOAT32 = {
    "output": 1e-5,  # [5.5e-7]
    "to mean": 1e-5,  # [3.0e-7]
    "to var": 1e-5,  # [7.7e-8]
    "to kernel": 2e-5,  # [1.5e-5]
    "to bias": 1e-5,  # [3.6e-6]
}
FLOAT64 = dict.fromkeys(FLOAT32, 1e-12)


@pytest.mark.torch
@pytest.mark.parametrize(("dtype", "allowed"), [("float32", FLOAT32), ("float64", FLOAT64)])
def test_pytorch_gives_the_same_outputs_and_gradients(dtype, allowed):
    torch = pytest.importorskip("torch")
    with jax.enable_x64(dtype == "float64"):
        net, x = jax.tree.map(lambda leaf: leaf.astype(dtype), question())
        eps = jax.random.normal(jax.random.key(1), SHAPE, dtype)
        y, (to_net, to_x) = output_and_gradients(net, x, jax.random.key(1))

    def first(array):  # channels first, as PyTorch has them
        array = np.ascontiguousarray(np.moveaxis(np.asarray(array), -1, 1))
        return torch.tensor(array).requires_grad_()

    def last(tensor):
        return np.moveaxis(tensor.detach().numpy(), 1, -1)

    mean, var, noise = first(x.mean), first(x.var), first(eps).detach()
    kernel = torch.tensor(np.asarray(net.decoder.kernel[...]).transpose(3, 2, 0, 1))
    bias = torch.tensor(np.asarray(net.decoder.bias[...]))
    point = var == 0  # PyTorch's gradient is infinite there
    std = torch.where(point, 0.0, torch.sqrt(torch.where(point, 1.0, var)))
    kernel.requires_grad_(), bias.requires_grad_()
    theirs = torch.nn.functional.conv2d(mean + std * noise, kernel, bias, padding=1)
    (0.5 * theirs.square().sum()).backward()

    compared = {
        "output": (y, last(theirs)),
        "to mean": (to_x.mean, last(mean.grad)),
        "to var": (to_x.var, last(var.grad)),
        "to kernel": (to_net.decoder.kernel[...], kernel.grad.numpy().transpose(2, 3, 1, 0)),
        "to bias": (to_net.decoder.bias[...], bias.grad.numpy()),
    }
    for name, (ours, theirs) in compared.items():
        error = np.asarray(ours, np.float64) - theirs
        assert abs(error).max() < allowed[name] * abs(theirs).max(), name
        assert np.linalg.norm(error) < min(allowed[name], 1e-5) * np.linalg.norm(theirs), name


def negative():
    """The original asker's pair: a variance drawn by randn."""
    net, x = question()
    return net, jax.tree.unflatten(jax.tree.structure(x), (x.mean, x.mean[::-1]))


def test_a_negative_variance_is_an_error_at_once():
    net, x = negative()
    message = r"var must be finite and not negative: .* 72\d\d\d\d of 1440000 entries are not, the "
    message += r"first is -\d\.\d+ at index \(0, 0, 0, \d+\)"
    with pytest.raises(ValueError, match=message):
        sn.Gaussian(x.mean, x.var)
    with pytest.raises(ValueError, match=message):
        net(x, jax.random.key(1))


def test_a_negative_variance_is_an_error_through_checkify():
    net, x = negative()

    @jax.jit
    @checkify.checkify
    def checked(net, x, key):
        return net(sn.Gaussian(x.mean, x.var), key).sum()

    error, _ = checked(net, x, jax.random.key(1))
    with pytest.raises(checkify.JaxRuntimeError, match="var must be finite and not negative"):
        error.throw()
    error, _ = checked(*question(), jax.random.key(1))
    error.throw()


def test_zero_variance_everywhere_is_the_deterministic_network():
    net, x = question()
    point = sn.Gaussian(x.mean, jnp.zeros(SHAPE, "float32"))
    y, (to_net, to_x) = output_and_gradients(net, point, jax.random.key(1))
    np.testing.assert_array_equal(y, jax.jit(net.decoder)(x.mean))
    chex.assert_tree_all_finite((to_net, to_x))
    np.testing.assert_array_equal(to_x.var, 0.0)
    assert (to_x.mean != 0).all()
