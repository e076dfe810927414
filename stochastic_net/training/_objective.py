"""What the two modes make of the pair: the logits, the loss, the predicted probabilities."""

from collections.abc import Callable
from typing import cast

import jax
import jax.numpy as jnp
import optax

from stochastic_net._types import Array, Key
from stochastic_net.distributions import Gaussian
from stochastic_net.nn import StochasticNet
from stochastic_net.training._config import Mode
from stochastic_net.training._dataset import Examples

Logits = Callable[[StochasticNet, Gaussian, Array], Array]


def example_keys(key: Key, batch: Examples) -> Array:
    """A key per example, which does not depend on the others in the batch nor on their order."""
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, batch.id)


def plain(net: StochasticNet, x: Gaussian, keys: Array) -> Array:
    """Logits of the mean; the variance is ignored."""
    encoder = cast("Callable[[Gaussian], Gaussian]", net.encoder)
    return net.decoder(encoder(x).mean)


def sampled(net: StochasticNet, x: Gaussian, keys: Array) -> Array:
    """Logits of one draw, each example with its own key."""
    return jax.vmap(net)(x, keys)


LOGITS: dict[Mode, Logits] = {"plain": plain, "sample": sampled}


def loss(net: StochasticNet, batch: Examples, key: Key, mode: Mode) -> Array:
    """Mean cross-entropy; in mode sample one draw's, an upper bound on that of the average."""
    logits = LOGITS[mode](net, batch.pair, example_keys(key, batch))
    return optax.softmax_cross_entropy_with_integer_labels(logits, batch.label).mean()


def probabilities(net: StochasticNet, batch: Examples, key: Key, mode: Mode, draws: int) -> Array:
    """p(class) of shape (batch, classes); in mode sample the average over `draws` draws."""

    def once(draw: Array) -> Array:
        # A fold a draw. Splitting every example's key instead computes the same law, but XLA:CPU
        # (JAX 0.10) then takes minutes to compile this loop.
        keys = example_keys(jax.random.fold_in(key, draw), batch)
        return jax.nn.softmax(LOGITS[mode](net, batch.pair, keys))

    if mode == "plain":
        return once(jnp.zeros((), jnp.int32))
    return jnp.mean(jax.lax.map(once, jnp.arange(draws)), axis=0)
