"""What an estimator is given, opened up: f of a list of draws, one for each distribution."""

import dataclasses
import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from stochastic_net._types import Array, Key, PyTree, is_distribution
from stochastic_net.distributions import Independent, own
from stochastic_net.distributions._independent import shape_of as shape_of
from stochastic_net.distributions._widened import widened
from stochastic_net.random import check_key, named_key

Draws = list[Array]  # one array a distribution, leading axis: the samples


@dataclasses.dataclass(frozen=True)
class Target:
    """E f(z), z an independent draw from each of `laws`, to be estimated of `num_samples` draws.

    Everything below has a leading axis of samples, which are independent of each other.
    """

    over: Callable[[Callable[[PyTree], Array]], Callable[[Draws], Array]]  # of a pytree: of Draws
    f: Callable[[PyTree], Array]
    laws: list[Any]
    places: list[str]
    num_samples: int

    @property
    def function(self) -> Callable[[Draws], Array]:
        """f of one draw from each law."""
        return self.over(lambda z: _as_array(self.f(z)))

    def keys(self, key: Key) -> list[Key]:
        """A key for each law, as `sn.sample` makes them."""
        return [named_key(key, place) if place else key for place in self.places]

    def draw(self, key: Key, laws: list[Any] | None = None) -> Draws:
        """`num_samples` draws from `laws`, by default from this target's, which then move."""
        shape = () if self.num_samples == 1 else (self.num_samples,)
        laws = self.laws if laws is None else laws
        drawn = [law.sample(k, shape) for law, k in zip(laws, self.keys(key), strict=True)]
        return drawn if shape else [z[None] for z in drawn]

    def fixed_draw(self, key: Key) -> Draws:
        """`draw`, without a derivative."""
        return self.draw(key, lax.stop_gradient(self.laws))

    def values(self, draws: Draws) -> Array:
        """f of each sample, along a leading axis, as floats; a single sample is not batched."""
        if all(z.shape[0] == 1 for z in draws):
            values = jnp.asarray(self.function([z[0] for z in draws]))[None]
        else:
            values = jnp.asarray(jax.vmap(self.function)(draws))
        inexact = jnp.issubdtype(values.dtype, jnp.inexact)
        return values if inexact else values.astype(jnp.result_type(float))

    def log_prob(self, draws: Draws) -> Array:
        """log p of each sample, shape (samples,); of 16-bit laws in float32."""
        return sum_of(
            law.log_prob(z).reshape(z.shape[0], -1).sum(-1)
            for law, z in zip(widened(self.laws), draws, strict=True)
        )


def target(
    f: Callable[[PyTree], Array],
    dist: PyTree,
    key: Key,
    num_samples: int,
    *,
    least: int = 1,
    multiple: int = 1,
) -> Target:
    """Open up the arguments of an estimator, and check them.

    Args:
      least, multiple: the fewest samples it needs, and what their number is a multiple of.

    Raises:
      TypeError: `dist` holds no distribution, or `key` is not a typed key.
      ValueError: `num_samples` is not a number that the estimator can use.
    """
    check_key(key)
    if not callable(f):
        raise TypeError(f"f must be a function from a draw to an array, got {f!r}.")
    num_samples = at_least(max(least, multiple), "num_samples", num_samples)
    if num_samples % multiple:
        raise ValueError(
            f"num_samples must be a multiple of {multiple} for this estimator, got {num_samples}."
        )
    leaves, structure = jax.tree_util.tree_flatten_with_path(dist, is_leaf=is_distribution)
    random = [is_distribution(leaf) for _, leaf in leaves]
    if not any(random):
        raise TypeError(f"dist must be a distribution or a pytree that holds one, got {dist!r}.")

    def over(function: Callable[[PyTree], Array]) -> Callable[[Draws], Array]:
        def of_draws(draws: Draws) -> Array:
            drawn = iter(draws)
            found = [next(drawn) if r else x for r, (_, x) in zip(random, leaves, strict=True)]
            return function(structure.unflatten(found))

        return of_draws

    chosen = [
        (path, _elements(own(leaf))) for r, (path, leaf) in zip(random, leaves, strict=True) if r
    ]
    places = [jax.tree_util.keystr(path) for path, _ in chosen]
    return Target(over, f, [law for _, law in chosen], places, num_samples)


def _elements(law: Any) -> Any:
    """The law of which all the elements are drawn: for an estimator all of them are one event."""
    return _elements(own(law.base)) if isinstance(law, Independent) else law


def at_least(least: int, name: str, value: int) -> int:
    """A count, which is known when the program is traced.

    Raises:
      TypeError, ValueError: it is no int, or below `least`.
    """
    if isinstance(value, jax.core.Tracer) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an int that is not traced, got {value!r}.")
    number = operator.index(value)
    if number < least:
        raise ValueError(f"{name} must be at least {least} for this estimator, got {number}.")
    return number


def _as_array(value: Any) -> Array:
    if isinstance(value, list | tuple | dict) or value is None:
        raise TypeError(
            f"f must return an array, got {type(value).__name__}. Several outputs: jnp.stack them."
        )
    return jnp.asarray(value)


def sum_of(arrays: Any) -> Array:
    """The sum of one array or more."""
    first, *others = arrays
    return sum(others, start=first)


def over_samples(per_sample: Array, values: Array) -> Array:
    """A number a sample, shape (samples,), beside values of shape (samples, ...)."""
    wide = per_sample.astype(values.dtype).reshape(per_sample.shape + (1,) * (values.ndim - 1))
    return jnp.broadcast_to(wide, values.shape)
