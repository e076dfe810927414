"""What a sampler is given besides its key: parameters that broadcast, a shape, a dtype."""

import math
import operator
from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike

from stochastic_net._types import Array, Shape
from stochastic_net.random._dtypes import compute_dtype
from stochastic_net.random._implicit import moving
from stochastic_net.random._require import require_if_concrete


class Draw(NamedTuple):
    """What to draw: an array of `shape` and `dtype`, made as one of shape `flat`."""

    shape: Shape
    flat: Shape
    dtype: jnp.dtype

    @property
    def wide(self) -> jnp.dtype:
        """The dtype to compute in: float32 for the 16-bit floats."""
        return compute_dtype(self.dtype)

    def finish(self, z: Array, low: float = -math.inf, high: float = math.inf) -> Array:
        """`z`, drawn flat, wide and strictly inside (low, high), in the shape and dtype asked for.

        A narrow dtype is kept inside: see `inside`.
        """
        z = z.reshape(self.shape)
        return z if z.dtype == self.dtype else inside(z.astype(self.dtype), low, high)


def arguments(shape: Shape | None, dtype: DTypeLike | None, **parameters: ArrayLike):
    """The `Draw`, and the parameters broadcast to its flat shape in its wide dtype.

    As in `jax.random`: a shape of None is that of the parameters broadcast together, any other
    must be one that they broadcast to; a dtype of None is JAX's default float.

    Raises:
      TypeError: a parameter is no array of real numbers, or `dtype` is not a float.
      ValueError: the shapes do not broadcast.
    """
    arrays = {name: _real(name, value) for name, value in parameters.items()}
    shapes = {name: array.shape for name, array in arrays.items()}
    target = _target(shapes) if shape is None else sample_shape(shape)
    flat = target if len(target) <= 2 else (target[0], math.prod(target[1:]))
    draw = Draw(target, flat, jnp.result_type(float if dtype is None else dtype))
    return draw, *(_spread(name, array, draw) for name, array in arrays.items())


def inside(z: Array, low: float, high: float) -> Array:
    """`z` strictly inside (low, high), where its dtype is too coarse for it.

    Rounding may put a draw on an open end, or beyond the largest number of its dtype: there the
    next number inside stands for it, and moves with the parameters as it does.
    """
    least, most = _ends(low, high, z.dtype)
    return _stand_in(jnp.clip(z, least, most), z)


@moving
def _stand_in(_, z: Array) -> tuple[Array]:
    """The number that stands in for z has the derivatives of z."""
    return (jnp.ones_like(z),)


def _ends(low: float, high: float, dtype: jnp.dtype) -> tuple[Array, Array]:
    """The least and the most normal number of `dtype` in the open interval (low, high)."""
    info = jnp.finfo(dtype)
    least = info.tiny if low == 0 else jnp.nextafter(jnp.array(low, dtype), jnp.array(0, dtype))
    most = jnp.nextafter(jnp.array(high, dtype), jnp.array(0, dtype))
    return jnp.asarray(least, dtype), most


def positive(**parameters: ArrayLike) -> None:
    """Raise ValueError unless the parameters, where they are concrete, are above 0."""
    for name, value in parameters.items():
        message = f"{name} must be positive."
        require_if_concrete(lambda x: x > 0, jnp.asarray(value), message)


def _real(name: str, value: ArrayLike) -> Array:
    array = jnp.asarray(value)
    if not jnp.issubdtype(array.dtype, jnp.number) or jnp.iscomplexobj(array):
        raise TypeError(f"{name} must be an array of real numbers, got dtype {array.dtype}.")
    return array


def sample_shape(shape: Shape) -> Shape:
    """`shape` as a tuple of sizes."""
    try:
        sizes = tuple(operator.index(size) for size in shape)
    except TypeError:
        sizes = (-1,)
    if any(size < 0 for size in sizes):
        raise ValueError(f"shape must be a tuple of sizes such as (10,), got {shape!r}.")
    return sizes


def _target(shapes: dict[str, Shape]) -> Shape:
    try:
        return jnp.broadcast_shapes(*shapes.values())
    except ValueError:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"the parameters must broadcast together, got {listed}.") from None


def _spread(name: str, array: Array, draw: Draw) -> Array:
    try:
        return jnp.broadcast_to(array.astype(draw.wide), draw.shape).reshape(draw.flat)
    except ValueError:
        raise ValueError(
            f"shape {draw.shape} must be one that {name} of shape {array.shape} broadcasts to. "
            "For more draws of each entry prepend axes: shape=(10, *" + name + ".shape)."
        ) from None
