"""What an objective is made of, and the sums over pytrees of distributions."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from stochastic_net._types import Array, PyTree, is_distribution
from stochastic_net.distributions import kl, own


class Parts(NamedTuple):
    """An objective's value, and the two numbers it is made of."""

    value: Array
    log_likelihood: Array
    kl: Array


def laws(tree: PyTree) -> list[Any]:
    """The distributions in a pytree."""
    leaves = jax.tree.leaves(tree, is_leaf=is_distribution)
    return [own(leaf) for leaf in leaves if is_distribution(leaf)]


def divergences(posterior: PyTree, prior: PyTree) -> list[Array]:
    """KL(posterior || prior) of each event, one array for each distribution.

    A single distribution as prior is that of all; it may be a scalar.
    """
    return [kl(p, q) for p, q in zip(laws(posterior), _for_each(posterior, prior), strict=True)]


def log_prob(dist: PyTree, draw: PyTree, like: PyTree | None = None) -> Array:
    """log p of a draw from the pytree `like` (by default `dist` itself), summed."""
    like = dist if like is None else like
    return _total(
        law.log_prob(z) for law, z in zip(_for_each(like, dist), _drawn(like, draw), strict=True)
    )


def total(arrays: list[Array]) -> Array:
    """The sum of all entries."""
    return _total(arrays)


def no_derivative(posterior: PyTree) -> PyTree:
    """The same, without derivatives."""
    return lax.stop_gradient(posterior)


def _for_each(posterior: PyTree, prior: PyTree) -> list[Any]:
    given, wanted = laws(prior), len(laws(posterior))
    if len(given) == 1 and wanted > 1:
        return given * wanted
    if len(given) != wanted:
        raise ValueError(
            f"the prior must be one distribution or one for each of the posterior's {wanted}, got "
            f"{len(given)}."
        )
    return given


def _drawn(like: PyTree, draw: PyTree) -> list[Array]:
    leaves = jax.tree.leaves(like, is_leaf=is_distribution)
    values = jax.tree.leaves(draw)
    return [z for law, z in zip(leaves, values, strict=True) if is_distribution(law)]


def _total(arrays: Any) -> Array:
    return jnp.stack([jnp.sum(array) for array in arrays]).sum()
