"""Quantiles by a fixed number of safeguarded Newton steps: draws that are smooth in parameters."""

from collections.abc import Callable
from typing import Literal

import jax.numpy as jnp
from jax import lax

from stochastic_net._types import Array

Coupling = Literal["fast", "smooth"]
Tails = Callable[[Array], tuple[Array, Array]]


def quantile(
    tails: Tails,
    log_density: Callable[[Array], Array],
    u: Array,
    complement: Array,
    low: Array,
    high: Array,
    steps: int = 64,
) -> Array:
    """z in (low, high) with F(z) = u, for whole arrays; it has no derivative of its own.

    Newton's method on the logarithm of the smaller tail, which is nearly straight where the tail is
    far; a step that leaves the bracket halves it instead. The number of steps is fixed, as halving
    alone needs for an exact result.

    Args:
      tails: z -> (F(z), 1 - F(z)), each accurate where it is small.
      log_density: z -> log p(z).
      u, complement: the target as (u, 1 - u), each accurate where it is small.
      low, high: numbers below and above every solution. For a law that spans scales pass log z.
    """
    lower_tail = u < complement
    target = jnp.where(lower_tail, u, complement)

    def step(_, state):
        low, high, z = state
        tail = jnp.where(lower_tail, *tails(z))
        excess = jnp.log(tail / target)  # of the tail that is solved for
        excess = jnp.where(lower_tail, excess, -excess)  # > 0 where z is too large
        low, high = jnp.where(excess > 0, low, z), jnp.where(excess > 0, z, high)
        newton = z - excess * tail * jnp.exp(-log_density(z))
        inside = (newton > low) & (newton < high)
        return low, high, jnp.where(inside, newton, low + (high - low) / 2)

    return lax.fori_loop(0, steps, step, (low, high, low + (high - low) / 2))[2]


def check_coupling(coupling: str) -> bool:
    """Whether the draw is to be smooth in the parameters for a fixed key.

    Raises:
      ValueError: neither "fast" nor "smooth".
    """
    if coupling not in ("fast", "smooth"):
        raise ValueError(f'coupling must be "fast" or "smooth", got {coupling!r}.')
    return coupling == "smooth"
