"""The words every room shares: array types, and what a distribution and an estimator are."""

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

import jax
from jax.typing import ArrayLike

Array: TypeAlias = jax.Array
Key: TypeAlias = jax.Array  # a typed key, jax.random.key(seed): shape (), dtype key<...>
Shape: TypeAlias = tuple[int, ...]
PyTree: TypeAlias = Any

__all__ = [
    "Array",
    "ArrayLike",
    "Distribution",
    "Estimator",
    "Key",
    "PyTree",
    "Shape",
    "is_distribution",
]

Draw = TypeVar("Draw")


@runtime_checkable
class Distribution(Protocol):
    """What can be drawn and scored. Structural: a NumPyro distribution is one as well."""

    def sample(self, key: Key, shape: Shape = (), /) -> Array:
        """Draw an array of shape `shape + self.shape`; the key is consumed."""
        ...

    def log_prob(self, value: ArrayLike, /) -> Array:
        """The log-density at `value`."""
        ...


def is_distribution(value: object) -> bool:
    """By the class: an `nnx.Param` that holds a distribution passes on attributes, yet is none."""
    return issubclass(type(value), Distribution)


class Estimator(Protocol):
    """E f(z) for z ~ `dist` as a value whose derivative is an estimate of the gradient."""

    def __call__(
        self, f: Callable[[Any], Array], dist: PyTree, key: Key, *, num_samples: int = 1
    ) -> Array:
        """An estimate of E f(z); the key is consumed."""
        ...
