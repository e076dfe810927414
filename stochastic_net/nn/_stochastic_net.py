"""The question's network: encode, draw, decode."""

from collections.abc import Callable
from typing import Any

import jax
from flax import nnx

from stochastic_net._types import Distribution, Key
from stochastic_net.nn._sample import draw
from stochastic_net.nn._takes_key import takes_key
from stochastic_net.random import check_key


class StochasticNet(nnx.Module):
    """net(x, key) = decoder(encoder(x).sample(key)), differentiable from end to end.

    The module stores no randomness: what is drawn is a function of the key and of the input, the
    same with and without `jax.jit` and under `jax.vmap`. For noise that does not depend on the
    rest of the batch give each example a key: `jax.vmap(net)(x, keys)`.

    Args:
      encoder: None, or what makes the distribution to draw from: Gaussian to Gaussian
        (`sn.nn.Towers`), or features to Gaussian (a network that ends in `sn.nn.GaussianHead`).
      decoder: any callable on the draw. If its call has a parameter `key`, it draws too: the key is
        split in two, the first for the draw, the second for the decoder.

    Raises:
      TypeError: what is to be drawn is not a distribution, or `key` is not one typed key.
      ValueError: a variance is negative or not finite, outside `jax.jit`. For a pair made inside,
        `sn.Gaussian` raises through `jax.experimental.checkify`.

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> from flax import nnx
      >>> conv = nnx.Conv(16, 32, (3, 3), padding=1, rngs=nnx.Rngs(0))
      >>> net = sn.nn.StochasticNet(None, conv)
      >>> x = sn.Gaussian(jnp.zeros((1, 30, 30, 16)), jnp.ones((1, 30, 30, 16)))
      >>> loss = lambda net, x, key: (net(x, key) ** 2).mean()
      >>> to_net, to_x = jax.jit(jax.grad(loss, argnums=(0, 1)))(net, x, jax.random.key(1))
      >>> to_net.decoder.kernel.shape, to_x.mean.shape, to_x.var.shape
      ((3, 3, 16, 32), (1, 30, 30, 16), (1, 30, 30, 16))
    """

    def __init__(
        self, encoder: Callable[[Any], Distribution] | None, decoder: Callable[..., Any]
    ) -> None:
        for name, part in (("encoder", encoder), ("decoder", decoder)):
            if not (callable(part) or (part is None and name == "encoder")):
                raise TypeError(
                    f"{name} must be a module or a function, got {type(part).__name__}."
                )
        self.encoder = encoder
        self.decoder = decoder

    def __call__(self, x: Any, key: Key) -> Any:
        encoded = x if self.encoder is None else self.encoder(x)
        if not takes_key(self.decoder):
            return self.decoder(draw(encoded, key))
        draw_key, decoder_key = jax.random.split(check_key(key))
        return self.decoder(draw(encoded, draw_key), key=decoder_key)
