"""What the modes make of the pair: the logits, the loss, the predicted probabilities."""

from collections.abc import Callable
from typing import cast

import jax
import jax.numpy as jnp
import optax

from stochastic_net._types import Array, Key
from stochastic_net.distributions import Gaussian
from stochastic_net.moments import expected_log_sum_exp, propagate
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


def propagated(net: StochasticNet, x: Gaussian) -> Gaussian:
    """The mean and variance of the logits, without a draw."""
    encoder = cast("Callable[[Gaussian], Gaussian]", net.encoder)
    return propagate(net.decoder)(encoder(x))


LOGITS: dict[Mode, Logits] = {"plain": plain, "sample": sampled}


def loss(net: StochasticNet, batch: Examples, key: Key, mode: Mode) -> Array:
    """Mean cross-entropy: of one draw in mode sample, expected over the logits in mode moments.

    Both are upper bounds on the cross-entropy of the average prediction.
    """
    if mode == "moments":
        logits = propagated(net, batch.pair)
        own = jnp.take_along_axis(logits.mean, batch.label[:, None], axis=-1)[:, 0]
        return (expected_log_sum_exp(logits) - own).mean()
    logits = LOGITS[mode](net, batch.pair, example_keys(key, batch))
    return optax.softmax_cross_entropy_with_integer_labels(logits, batch.label).mean()


def probabilities(net: StochasticNet, batch: Examples, key: Key, mode: Mode, draws: int) -> Array:
    """p(class) of shape (batch, classes): its expectation, in mode sample over `draws` draws."""
    if mode == "moments":
        p = propagate(jax.nn.softmax)(propagated(net, batch.pair)).mean
        return p / p.sum(-1, keepdims=True)

    def once(draw: Array) -> Array:
        # A fold a draw. Splitting every example's key instead computes the same law, but XLA:CPU
        # (JAX 0.10) then takes minutes to compile this loop.
        keys = example_keys(jax.random.fold_in(key, draw), batch)
        return jax.nn.softmax(LOGITS[mode](net, batch.pair, keys))

    if mode == "plain":
        return once(jnp.zeros((), jnp.int32))
    return jnp.mean(jax.lax.map(once, jnp.arange(draws)), axis=0)
