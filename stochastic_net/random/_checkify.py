"""A check that stays with the value it is about, and costs a jitted function nothing.

`checkify.debug_check` compiles to nothing too, but leaves an effect on the program, and JAX calls
what has an effect by way of Python: 0.15 ms a call with ten arguments, 0.4 ms in a training step.
Here the check is the body of an identity, which `checkify` looks into and nothing else does.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import checkify
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from stochastic_net._types import Array


class _Checked(Primitive):
    """The identity; `call_jaxpr` is the identity with a check.

    checkify binds what has a `call_jaxpr` to the functions that it made of it, which return the
    state of the error and then the results (JAX 0.10 to 0.12).
    """

    def bind(self, *args: Any, subfuns: Sequence[Any] = (), **params: Any) -> Any:
        if subfuns:
            return subfuns[0].call_wrapped(*args)
        return super().bind(*args, **params)


checked_p = _Checked("checked")
checked_p.multiple_results = True
checked_p.def_impl(lambda x, **_: [x])
checked_p.def_abstract_eval(lambda x, **_: [x])
mlir.register_lowering(checked_p, lambda _, x, **__: [x])


def with_check(valid: Callable[[Array], Array], value: Array, message: str) -> Array:
    """`value`, of which checkify says `message` unless `valid(value)` is True everywhere.

    What is done with the check is what is done with the value that is returned: where that is not
    used, neither is looked at.

    Args:
      valid: elementwise, or along the last axes; a function that lives as long as the program.
    """
    aval = jax.typeof(value)
    body = _body(valid, message, aval.shape, aval.dtype)
    return checked_p.bind(value, call_jaxpr=body, valid=valid, message=message)[0]


@functools.lru_cache(maxsize=1024)
def _body(valid: Callable[[Array], Array], message: str, shape: Any, dtype: Any) -> Any:
    def identity(x: Array) -> Array:
        checkify.debug_check(valid(x).all(), message)
        return x

    return jax.make_jaxpr(identity)(jax.ShapeDtypeStruct(shape, dtype))


def _derivative(primals: Any, tangents: Any, *, valid: Any, message: str, call_jaxpr: Any) -> Any:
    del call_jaxpr
    return [with_check(valid, primals[0], message)], tangents


def _over_a_batch(args: Any, axes: Any, *, valid: Any, message: str, call_jaxpr: Any) -> Any:
    del call_jaxpr
    front = jnp.moveaxis(args[0], axes[0], 0)
    return [with_check(valid, front, message)], [0]


ad.primitive_jvps[checked_p] = _derivative
batching.primitive_batchers[checked_p] = _over_a_batch
