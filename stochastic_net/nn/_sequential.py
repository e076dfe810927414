"""Layers one after the other, some of which draw."""

from collections.abc import Callable
from typing import Any

import jax
from flax import nnx

from stochastic_net._types import Key
from stochastic_net.nn._takes_key import takes_key
from stochastic_net.random import check_key


class Sequential(nnx.Module):
    """Apply `layers` in turn; those whose call has a parameter `key` get a key of their own.

    The i-th layer that draws gets `jax.random.fold_in(key, i)`. So layers that draw nothing, and
    layers appended at the end, do not change the noise of the others.

    Args:
      *layers: modules or functions. For layers none of which draws use `flax.nnx.Sequential`.

    Raises:
      TypeError: a layer is not callable, or `key` is not one typed key.

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> from flax import nnx
      >>> rngs = nnx.Rngs(0)
      >>> net = sn.nn.Sequential(
      ...     nnx.Linear(3, 8, rngs=rngs), sn.nn.GaussianHead(8, 4, rngs=rngs), sn.nn.Sample()
      ... )
      >>> net(jnp.ones((2, 3)), jax.random.key(0)).shape
      (2, 4)
    """

    def __init__(self, *layers: Callable[..., Any]) -> None:
        for position, layer in enumerate(layers):
            if not callable(layer):
                raise TypeError(
                    f"layer {position} of Sequential must be a module or a function, got "
                    f"{type(layer).__name__}."
                )
        self.layers = nnx.List(layers)

    def __call__(self, x: Any, key: Key) -> Any:
        check_key(key)
        drawn = 0
        for layer in self.layers:
            if takes_key(layer):
                x = layer(x, key=jax.random.fold_in(key, drawn))
                drawn += 1
            else:
                x = layer(x)
        return x
