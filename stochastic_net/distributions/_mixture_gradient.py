r"""How a draw of a mixture moves with the weights and the components.

It keeps its quantile: with the mixture's cdf F and density p, dz = -dF(z) / p(z), in all
parameters. Where the weights move, the components' F_k are replaced by -(1 - F_k) above the median:
the changes of the weights add up to 0, and these terms do not cancel. The elements of a vector are
moved one after the other, each by its cdf given those before: a mixture of the same components with
weights proportional to softmax(logits)_k p_k(z_1) p_k(z_2)..., which move with the elements before
and with the parameters (the distributional transform; Graves 2016, arXiv:1607.05690; Figurnov,
Mohamed & Mnih 2018, arXiv:1805.08498).
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from stochastic_net._types import Array
from stochastic_net.distributions._survival import survival


@jax.custom_jvp
def _attached(z: Array, logits: Array, components: Any) -> Array:
    del logits, components
    return z


def move(z: Array, logits: Array, components: Any) -> Array:
    """`z`, with the derivatives of a draw.

    Args:
      z: shape (..., *batch), or (..., *batch, D).
      logits: shape (*batch, K).
      components: all their leaves of shape (*batch, K), or (*batch, K, D).
    """
    return _attached(lax.stop_gradient(z), logits, components)


@_attached.defjvp
def _attached_jvp(primals, tangents):
    z, logits, components = primals
    z = _attached(z, logits, components)  # not the primal itself: it moves with the parameters
    if len(components.shape) == logits.ndim:
        logits, slope = (jnp.broadcast_to(x, z.shape + x.shape[-1:]) for x in (logits, tangents[1]))
        return z, _quantile_slope(logits, slope, z, components, tangents[2])
    return z, _vector_slope(z, (logits, tangents[1]), (components, tangents[2]))


def _vector_slope(z: Array, logits: tuple[Array, Array], components: tuple[Any, Any]) -> Array:
    """The derivatives of the elements, in order, each with the weights that those before give."""

    def element(state, inputs):
        weights, weights_slope = state
        x, part, part_slope = inputs
        slope = _quantile_slope(weights, weights_slope, x, part, part_slope)
        own, own_slope = jax.jvp(_log_density, (x, part), (slope, part_slope))
        return (weights + own, weights_slope + own_slope), slope

    start = tuple(jnp.broadcast_to(x, z.shape[:-1] + x.shape[-1:]) for x in logits)
    parts = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, -1, 0), components)
    _, slopes = lax.scan(element, start, (jnp.moveaxis(z, -1, 0), *parts))
    return jnp.moveaxis(slopes, 0, -1)


def _quantile_slope(logits: Array, dlogits: Array, z: Array, part: Any, dpart: Any) -> Array:
    """-dF(z) / p(z) for logits of shape (*z.shape, K) and components of shape (*batch, K)."""
    wide = jnp.broadcast_to(z[..., None], logits.shape)
    weights, dweights = jax.jvp(jax.nn.softmax, (logits,), (dlogits,))
    mass, dmass = jax.jvp(lambda part: part.cdf(wide), (part,), (dpart,))
    below = (weights * mass).sum(-1, keepdims=True) < 0.5
    mass = jnp.where(below, mass, -survival(part, wide))
    change = (dweights * mass + weights * dmass).sum(-1)
    return -change / (weights * jnp.exp(part.log_prob(wide))).sum(-1)


def _log_density(x: Array, part: Any) -> Array:
    return part.log_prob(jnp.broadcast_to(x[..., None], (*x.shape, part.shape[-1])))
