"""Draw every distribution in a pytree."""

import jax

from stochastic_net._types import Key, PyTree, is_distribution
from stochastic_net.distributions._convert import own
from stochastic_net.random import check_key, named_key


def sample(tree: PyTree, key: Key) -> PyTree:
    """Replace every distribution in `tree` by a draw from it; leave the other leaves as they are.

    The noise of a leaf is a function of the key and of the leaf's path: adding an entry to the
    tree does not change the draws of the others. If the tree is itself a distribution the draw is
    `tree.sample(key)`.
    NumPyro's distributions are drawn by the samplers of this library where it has the family.

    Args:
      tree: any pytree (a dict of parameters, an `nnx.State`, a module) holding distributions.
      key: one typed key; it is consumed.

    Returns:
      A pytree of the same structure with arrays where the distributions were.

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> kernel = sn.Gaussian(jnp.zeros((2, 3)), jnp.ones((2, 3)))
      >>> draw = sn.sample({"kernel": kernel, "bias": jnp.zeros(3)}, jax.random.key(0))
      >>> print(draw["kernel"].shape, draw["bias"])
      (2, 3) [0. 0. 0.]
    """
    check_key(key)
    leaves, treedef = jax.tree_util.tree_flatten_with_path(tree, is_leaf=is_distribution)
    return jax.tree.unflatten(treedef, [_draw(leaf, path, key) for path, leaf in leaves])


def _draw(leaf: PyTree, path: tuple, key: Key) -> PyTree:
    if not is_distribution(leaf):
        return leaf
    return own(leaf).sample(named_key(key, jax.tree_util.keystr(path)) if path else key)
