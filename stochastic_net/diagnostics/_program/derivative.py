"""Which outputs of an operation have a derivative in which inputs: JAX's own rules are asked.

A derivative that is zero by rule (of `floor`, `stop_gradient`, a `custom_jvp` that returns zeros)
does not depend on the tangent that goes in, which is seen in the program of the derivative.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core
from jax.extend.core import JaxprEqn
from jax.extend.core import primitives as p

from stochastic_net.diagnostics._program.words import words

SMOOTH = words(
    """
    add sub mul div neg exp exp2 expm1 log log1p sqrt rsqrt cbrt tanh logistic sin cos tan
    pow integer_pow square max min abs select_n reduce_sum reduce_max reduce_min dot_general
    add_any conv_general_dilated broadcast_in_dim reshape transpose squeeze expand_dims
    concatenate slice dynamic_slice dynamic_update_slice gather scatter-add pad rev cumsum
    erf erfc reduce_window_sum reduce_window_max reduce_window copy copy_p psum pvary
    unstack tile
    psum_invariant all_gather all_gather_invariant ppermute all_to_all reduce_scatter pbroadcast
    """
)
NEVER = words(
    """
    stop_gradient floor ceil round sign is_finite eq ne lt le gt ge argmax argmin iota and
    or not xor population_count clz shift_left shift_right_logical shift_right_arithmetic
    random_bits random_split random_wrap random_unwrap random_fold_in random_seed
    rng_bit_generator rng_uniform threefry2x32 eq_to lt_to le_to nextafter
    """
)

Mask = list[list[bool]]  # [output][input]


class Refused(NamedTuple):
    """JAX raises when this is differentiated."""

    why: str


def is_float(aval) -> bool:
    """Whether a value of this type can carry a derivative."""
    dtype = getattr(aval, "dtype", None)
    return dtype is not None and jnp.issubdtype(dtype, jnp.inexact)


def is_short(atom) -> bool:
    """Whether a variable or literal is a float of 16 bits or fewer."""
    return is_float(atom.aval) and atom.aval.dtype.itemsize < 4


def shape(atom) -> tuple[int, ...]:
    """Of the value of a variable or literal."""
    return tuple(atom.aval.shape)


_asked: dict = {}


def derivative(eqn: JaxprEqn) -> Mask | Refused:
    """Which of the outputs have a derivative in which of the inputs."""
    ins = [is_float(x.aval) for x in eqn.invars]
    outs = [is_float(x.aval) for x in eqn.outvars]
    name = eqn.primitive.name
    custom = eqn.primitive is p.custom_jvp_call_p  # its rule may raise for draws of integers too
    if name in NEVER or not any(ins) or not (any(outs) or custom):
        return [[False] * len(ins) for _ in outs]
    if name in SMOOTH or (name == "convert_element_type"):
        return [[o and i for i in ins] for o in outs]
    place = (eqn.primitive, *(str(x.aval) for x in eqn.invars), _described(eqn.params))
    if place not in _asked:
        _asked[place] = eqn, _ask(eqn, ins, outs)  # the equation is kept, so that ids stay its own
    return _asked[place][1]


def _described(params: dict) -> tuple:
    return tuple(
        (k, repr(v) if isinstance(v, int | str | tuple | float | bool | np.dtype) else id(v))
        for k, v in sorted(params.items())
    )


def bind(eqn: JaxprEqn, *inputs) -> list:
    """An equation on other inputs, its derivative rules kept."""
    outputs = eqn.primitive.bind(*inputs, **eqn.primitive.get_bind_params(eqn.params))
    return list(outputs) if eqn.primitive.multiple_results else [outputs]


def _ask(eqn: JaxprEqn, ins: list[bool], outs: list[bool]) -> Mask | Refused:
    """Trace the derivative (backwards where there is only that) and see what depends on what."""
    moved = [i for i, flag in enumerate(ins) if flag]
    seen = [o for o, flag in enumerate(outs) if flag]

    def of_moved(others: Sequence, *values):
        inputs = dict(zip(moved, values, strict=True))
        rest = iter(others)
        every = [inputs[i] if i in inputs else next(rest) for i in range(len(ins))]
        outputs = bind(eqn, *every)
        return [outputs[o] for o in seen]

    args = [_struct(x.aval) for x in eqn.invars]
    here, rest = [args[i] for i in moved], [a for i, a in enumerate(args) if i not in moved]

    def backward(rest, values, cotangents):
        return jax.vjp(lambda *v: of_moved(rest, *v), *values)[1](cotangents)

    def forward(rest, values, tangents):
        return jax.jvp(lambda *v: of_moved(rest, *v), tuple(values), tuple(tangents))[1]

    mask = [[False] * len(ins) for _ in outs]
    try:
        if eqn.primitive is p.custom_vjp_call_p:
            into = [_struct(eqn.outvars[o].aval) for o in seen]
            found = depends(backward, (rest, here), into)
            found = [list(column) for column in zip(*found, strict=True)]  # by output, by input
        else:
            found = depends(forward, (rest, here), here)
    except Exception as error:  # whatever the user's rule raises is what it is to be told
        return Refused(str(error).split("\n")[0])
    for o, row in zip(seen, found, strict=True):
        for i, flag in zip(moved, row, strict=True):
            mask[o][i] = flag
    return mask


def _struct(aval) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(aval.shape, aval.dtype)


def depends(f: Callable, fixed: tuple, moved: list) -> list[list[bool]]:
    """Which leaves of f(*fixed, moved) depend on which entries of `moved`, by its program."""
    program = jax.make_jaxpr(f)(*fixed, moved)
    known = len(program.jaxpr.invars) - len(moved)
    bits = [0] * known + [1 << i for i in range(len(moved))]
    return [[bool(m >> i & 1) for i in range(len(moved))] for m in _reach(program.jaxpr, bits)]


def _reach(program: core.Jaxpr, bits: list[int]) -> list[int]:
    """A set of inputs for every output, as bits; a product with a zero depends on nothing."""
    state = dict(zip(program.invars, bits, strict=True))
    zeros: set = set()

    def read(atom) -> int:
        return 0 if isinstance(atom, core.Literal) else state.get(atom, 0)

    def is_zero(atom) -> bool:
        if isinstance(atom, core.Literal):
            return np.ndim(atom.val) == 0 and is_float(atom.aval) and float(atom.val) == 0
        return atom in zeros

    for eqn in program.eqns:
        ins = list(map(read, eqn.invars))
        name = eqn.primitive.name
        inner = called(eqn)
        if name == "stop_gradient" or (name == "mul" and any(map(is_zero, eqn.invars))):
            outs = [0] * len(eqn.outvars)
        elif inner is not None and len(inner.invars) == len(ins):
            outs = _reach(inner, ins)
        else:
            together = 0
            for m in ins:
                together |= m
            outs = [together] * len(eqn.outvars)
        if name in ("broadcast_in_dim", "mul") and any(map(is_zero, eqn.invars)):
            zeros.update(eqn.outvars)
        state.update(zip(eqn.outvars, outs, strict=True))
    return list(map(read, program.outvars))


CALLS = words(
    """
    jit pjit closed_call core_call remat remat2 checkpoint custom_jvp_call custom_vjp_call
    custom_vjp_call_jaxpr shard_map custom_lin checked
    """
)


def called(eqn: JaxprEqn) -> core.Jaxpr | None:
    """The program of an equation that is a call."""
    if eqn.primitive.name not in CALLS:
        return None
    for name in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        if name in eqn.params:
            return getattr(eqn.params[name], "jaxpr", eqn.params[name])
    return None
