"""What a distribution is given: real arrays, floating parameters of one shape, a sample shape."""

from collections.abc import Collection, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from stochastic_net._types import Array, ArrayLike, Shape
from stochastic_net.random import FLOATS

_ARRAYS = (jax.Array, np.ndarray, np.generic, int, float, complex)


def real_array(name: str, value: ArrayLike) -> Array:
    """`value` as an array of real numbers; anything else is a TypeError that names the argument."""
    if not (isinstance(value, _ARRAYS) or hasattr(value, "__jax_array__")):
        raise TypeError(
            f"{name} must be an array, got {type(value).__name__}. Convert it with jnp.asarray."
        )
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind not in "biufcV":
        raise TypeError(f"{name} must be an array of numbers, got dtype {value.dtype}.")
    array = jnp.asarray(value)
    if not jnp.issubdtype(array.dtype, np.number) or jnp.iscomplexobj(array):
        raise TypeError(f"{name} must be an array of real numbers, got dtype {array.dtype}.")
    return array


def parameters(**arguments: ArrayLike) -> list[Array]:
    """The arguments as floating arrays of one dtype, and of one shape: nothing is broadcast."""
    arrays = {name: real_array(name, value) for name, value in arguments.items()}
    for name, array in arrays.items():
        if array.dtype not in FLOATS:
            raise TypeError(
                f"{name} must be a floating array (float16, bfloat16, float32 or float64), got "
                f"{array.dtype} of shape {array.shape}. Cast it first: jnp.asarray(x, jnp.float32)."
            )
    if len({array.shape for array in arrays.values()}) > 1:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(
            f"{' and '.join(arrays)} must have one shape, got {shapes}. Nothing is broadcast, for "
            "a mean that is repeated would be drawn anew in every copy; use jnp.broadcast_to."
        )
    with jax.numpy_dtype_promotion("standard"):
        dtype = jnp.result_type(*(array.dtype for array in arrays.values()))
    return [array.astype(dtype) for array in arrays.values()]


def broadcast_parameters(
    integers: Collection[str], arguments: Mapping[str, ArrayLike]
) -> dict[str, Array]:
    """The arguments as arrays of one floating dtype; a Python number takes that of the others.

    Those named in `integers` are int32 arrays. Shapes stay as they are.
    """
    arrays = {}
    for name, value in arguments.items():
        if name in integers:
            arrays[name] = _known(name, value)
            continue
        whole = isinstance(value, int) and not isinstance(value, bool)
        arrays[name] = real_array(name, float(value) if whole else value)  # 2 counts as 2.0
    for name, array in arrays.items():
        if name in integers:
            wanted = "an array of integers" if array.dtype.kind not in "iu" else None
        else:
            wanted = None if array.dtype in FLOATS else "a floating array (float32, say)"
        if wanted:
            raise TypeError(
                f"{name} must be a Python number or {wanted}, got {array.dtype} of shape "
                f"{array.shape}. Cast it first, for example with .astype."
            )
    with jax.numpy_dtype_promotion("standard"):
        dtype = jnp.result_type(*(a for name, a in arrays.items() if name not in integers))
    return {n: a if n in integers else a.astype(dtype) for n, a in arrays.items()}


def _known(name: str, value: ArrayLike) -> Array:
    """Integers as an array of int32; what is known stays so where a function is traced."""
    if isinstance(value, jax.core.Tracer) or not isinstance(value, _ARRAYS):
        return _int32(real_array(name, value))
    with jax.ensure_compile_time_eval():
        return _int32(real_array(name, value))


def _int32(array: Array) -> Array:
    """The integers as int32; what is no integer is refused later, as it is."""
    return array.astype(jnp.int32) if array.dtype.kind in "iu" else array


def spread(shape: Shape, *arrays: Array) -> list[Array]:
    """The arrays at `shape`, said aloud so that rank promotion may be forbidden."""
    return [jnp.broadcast_to(array, shape) for array in arrays]
