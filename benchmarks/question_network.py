"""The question's network side by side: by hand in JAX, by us, in NumPyro and in PyTorch.

A pair of shape (1, 300, 300, 16), drawn as mean + sqrt(var) * eps, then a 3x3 convolution to 32
channels. "forward" gives the output y; "forward+backward" the loss mean(y ** 2) and its gradients
to mean, var, kernel and bias. All in float32; PyTorch in both of its memory layouts.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from _harness import Contender, jax_job, main, torch_device, torch_job
from flax import nnx

import stochastic_net as sn

SIDE, IN, OUT = 300, 16, 32


def arrays():
    """mean, var, kernel, bias; the same for every contender."""
    rng = np.random.default_rng(0)
    shapes = (1, SIDE, SIDE, IN), (1, SIDE, SIDE, IN), (3, 3, IN, OUT), (OUT,)
    mean, var, kernel, bias = (rng.normal(size=shape).astype("float32") for shape in shapes)
    return mean, var**2 + 0.1, 0.1 * kernel, bias


def jax_jobs(net, params, options, pair=lambda mean, var: (mean, var)):
    """Both tasks of `net(params, pair, key)`."""

    def loss(params, pair, key):
        return (net(params, pair, key) ** 2).mean()

    mean, var = map(jnp.asarray, arrays()[:2])
    args = params, pair(mean, var), jax.random.key(0, impl=options.key_impl)
    gradients = jax.value_and_grad(loss, argnums=(0, 1))
    return {"forward": jax_job(net, *args), "forward+backward": jax_job(gradients, *args)}


def convolve(z, kernel, bias):
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(z, kernel, (1, 1), "SAME", dimension_numbers=layout) + bias


def by_hand(options):
    def net(params, pair, key):
        mean, var = pair
        z = mean + jnp.sqrt(var) * jax.random.normal(key, mean.shape, mean.dtype)
        return convolve(z, *params)

    return jax_jobs(net, tuple(map(jnp.asarray, arrays()[2:])), options)


def ours(options, *, made_inside=False):
    """`made_inside`: the pair is made, and so checked for checkify, within the jitted function."""
    conv = nnx.Conv(IN, OUT, (3, 3), padding=1, rngs=nnx.Rngs(0))
    conv.kernel[...], conv.bias[...] = arrays()[2:]
    graphdef, params = nnx.split(sn.nn.StochasticNet(None, conv))

    def net(params, pair, key):
        return nnx.merge(graphdef, params)(sn.Gaussian(*pair) if made_inside else pair, key)

    return jax_jobs(net, params, options, *() if made_inside else [sn.Gaussian])


def numpyro(options):
    from numpyro.distributions import Normal

    def net(params, pair, key):
        mean, var = pair
        return convolve(Normal(mean, jnp.sqrt(var)).rsample(key), *params)

    return jax_jobs(net, tuple(map(jnp.asarray, arrays()[2:])), options)


def pytorch(layout, _options):
    import torch

    mean, var, kernel, bias = (torch.from_numpy(x).to(torch_device()) for x in arrays())
    images = (
        x.permute(*axes)
        for x, axes in ((mean, (0, 3, 1, 2)), (var, (0, 3, 1, 2)), (kernel, (3, 2, 0, 1)))
    )
    images = (x.contiguous(memory_format=getattr(torch, layout)) for x in images)
    mean, var, kernel, bias = (x.requires_grad_() for x in (*images, bias))

    def net():
        z = mean + var.sqrt() * torch.randn_like(mean)
        return torch.nn.functional.conv2d(z, kernel, bias, padding=1)

    def gradients():
        loss = (net() ** 2).mean()
        return loss, torch.autograd.grad(loss, (mean, var, kernel, bias))

    return {"forward": torch_job(torch.no_grad()(net)), "forward+backward": torch_job(gradients)}


def limit_ms(task, machine):
    """No program is faster: the convolutions' operations, or the bytes that have to move."""
    pixels, backward = SIDE * SIDE, task != "forward"
    flop = 2 * 9 * IN * OUT * pixels * (3 if backward else 1)
    words = pixels * (4 * IN if backward else 2 * IN + OUT)  # the pair, and its gradients or y
    return max(flop / machine["gflop_per_s"], 4 * words / machine["gbyte_per_s"]) * 1e-6


CONTENDERS = {
    "JAX by hand": Contender("jax", by_hand),
    "JAX by hand, again": Contender("jax", by_hand),  # what the noise alone makes of a ratio
    "stochastic_net": Contender("stochastic_net", ours),
    "  pair made in the jit": Contender("stochastic_net", partial(ours, made_inside=True)),
    "NumPyro": Contender("numpyro", numpyro),
    "PyTorch, NCHW": Contender("torch", partial(pytorch, "contiguous_format")),
    "PyTorch, channels_last": Contender("torch", partial(pytorch, "channels_last")),
}

if __name__ == "__main__":
    main(__doc__, CONTENDERS, limit_ms)
