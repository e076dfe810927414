"""The arrays of the arguments: their names, and which are to be differentiated."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stochastic_net._types import Array, PyTree
from stochastic_net.diagnostics._program.keys import is_key

_COLLECTIONS = ("batch_stats", "cache", "intermediates", "stats")


@dataclasses.dataclass(frozen=True)
class Leaf:
    """One array of the arguments."""

    name: str
    value: Any
    argument: str  # the parameter of f that it belongs to
    watched: bool  # whether its derivative is asked for

    @property
    def is_key(self) -> bool:
        """Whether it is a typed key."""
        return is_key(jax.typeof(self.value)) if not isinstance(self.value, float) else False


def aval(value: Any):
    """Its shape and dtype."""
    return jax.typeof(value) if not isinstance(value, np.ndarray) else jnp.asarray(value)


def is_array(value: Any) -> bool:
    """Whether it is traced; what is not is fixed."""
    return isinstance(value, Array | np.ndarray | np.generic | float)


def _is_variable(x: object) -> bool:
    """A variable of Flax, known without importing it."""
    kinds = type(x).__mro__
    return any(c.__name__ == "Variable" and c.__module__.startswith("flax") for c in kinds)


def variables(arg: PyTree) -> dict[tuple, bool]:
    """The paths of Flax variables, and whether each is a parameter."""
    found = jax.tree_util.tree_leaves_with_path(arg, is_leaf=_is_variable)
    return {
        path: any(c.__name__ == "Param" for c in type(x).__mro__)
        for path, x in found
        if _is_variable(x)
    }


def is_state(path: tuple, states: dict[tuple, bool], leaves: list) -> bool:
    """Whether a leaf is a statistic or a counter rather than a parameter."""
    for end in range(len(path) + 1):
        if path[:end] in states:
            return not states[path[:end]]
    first = getattr(path[0], "key", None) if path else None
    tops = {getattr(other[0], "key", None) for other, _ in leaves if other}
    return "params" in tops and first in _COLLECTIONS
