"""The function under question as a program, with names for what goes in."""

import dataclasses
import inspect
from collections.abc import Callable, Sequence

import jax
import numpy as np
from jax.extend import core

from stochastic_net._types import Key, PyTree
from stochastic_net.diagnostics._program.derivative import is_float
from stochastic_net.diagnostics._program.leaves import Leaf, aval, is_array, is_state, variables

_KEY_NAMES = ("key", "rng", "rng_key", "prng_key", "seed", "rngs")


@dataclasses.dataclass(frozen=True)
class Program:
    """f as a program of flat arrays; the last input is the key, where f takes one."""

    name: str
    closed: core.ClosedJaxpr
    leaves: list[Leaf]
    takes_key: bool
    outputs: list[str]
    has_loss: bool  # whether f returns a number and more beside it, as jax.grad(has_aux=True) takes

    def differentiated(self, arrive: list[bool]) -> list[int]:
        """Which outputs count: of a loss with metrics the loss, else all that depend on something.

        If none does, all: that is what is to be reported.
        """
        if self.has_loss:
            return [0]
        return [i for i, flag in enumerate(arrive) if flag] or list(range(len(arrive)))

    @property
    def watched(self) -> int:
        """The leaves that are differentiated, as bits."""
        return sum(1 << i for i, leaf in enumerate(self.leaves) if leaf.watched)


def trace(f: Callable, args: Sequence, key: Key, argnums: int | Sequence[int] | None) -> Program:
    """Trace `f(*args, key=key)` once.

    Raises:
      TypeError: nothing in the arguments can be differentiated.
    """
    function, args, names, place = _with_modules(f, list(args))
    chosen = _chosen(argnums, len(args), place)
    leaves, structures, arrays = [], [], []
    for i, (name, arg) in enumerate(zip(names, args, strict=True)):
        found, structure = jax.tree_util.tree_flatten_with_path(arg)
        structures.append(structure)
        states = variables(arg)
        for path, value in found:
            arrays.append(is_array(value))
            if arrays[-1]:
                known = is_state(path, states, found)
                watched = i in chosen and not known and is_float(aval(value)) and np.size(value) > 0
                shown = name + jax.tree_util.keystr(path).removesuffix(".value")
                leaves.append(Leaf(shown, value, name, watched))
    if not any(leaf.watched for leaf in leaves):
        raise TypeError(
            f"nothing to differentiate: {_name(f)} got no floating arrays in "
            f"{', '.join(names[i] for i in sorted(chosen)) or 'its arguments'}. Pass the arguments "
            "whose gradient you want, as floats."
        )
    every = [value for arg in args for value in jax.tree.leaves(arg)]
    how = _key_place(f, len(args) - (place is not None))

    def flat(*values):
        inputs = iter(values)
        full = [next(inputs) if a else v for v, a in zip(every, arrays, strict=True)]
        rest = iter(full)
        rebuilt = [s.unflatten([next(rest) for _ in range(s.num_leaves)]) for s in structures]
        if how is None:
            return function(*rebuilt)
        if how == "":
            return function(*rebuilt, next(inputs))
        return function(*rebuilt, **{how: next(inputs)})

    values = [leaf.value for leaf in leaves] + ([key] if how is not None else [])
    try:
        closed, shape = jax.make_jaxpr(flat, return_shape=True)(*values)
    except jax.errors.ConcretizationTypeError as error:
        raise TypeError(
            f"{_name(f)} cannot be traced: it asks for the value of an array, in an `if`, float(x) "
            "or numpy.asarray(x). There its gradient would end, too: use jnp.where or lax.cond, or "
            "keep what is not differentiated out of the arguments (functools.partial)."
        ) from error
    outputs = [
        "output" + jax.tree_util.keystr(path)
        for path, _ in jax.tree_util.tree_leaves_with_path(shape)
    ]
    return Program(_name(f), closed, leaves, how is not None, outputs, _has_loss(shape))


def _has_loss(shape: PyTree) -> bool:
    """(loss, metrics)."""
    if not (isinstance(shape, tuple) and len(shape) == 2):
        return False
    first = shape[0]
    scalar = isinstance(first, jax.ShapeDtypeStruct) and first.shape == () and is_float(first)
    return scalar and not (
        isinstance(shape[1], jax.ShapeDtypeStruct) and shape[1].shape == () and is_float(shape[1])
    )


def _name(f: Callable) -> str:
    return getattr(f, "__name__", type(f).__name__)


def _with_modules(f: Callable, args: list) -> tuple[Callable, list, list[str], int | None]:
    """A module that is called is an argument like any other: it holds parameters."""
    names = _parameters(f, len(args))
    if not any(map(is_array, jax.tree.leaves(f))):
        return f, args, names, None
    return (lambda g, *rest, **options: g(*rest, **options)), [f, *args], ["net", *names], 0


def _parameters(f: Callable, count: int) -> list[str]:
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        return [f"args[{i}]" for i in range(count)]
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    found = [p.name for p in parameters if p.kind in kinds]
    return [found[i] if i < len(found) else f"args[{i}]" for i in range(count)]


def _key_place(f: Callable, given: int) -> str | None:
    """The name of the parameter that takes the key, "" where it is the next position, or None."""
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        return None
    positional = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    free = [p for i, p in enumerate(positional) if i >= given or p.kind is p.KEYWORD_ONLY]
    for name in _KEY_NAMES:
        for parameter in free:
            if parameter.name == name:  # by position if it can: a wrapper may take no keywords
                next_ = positional.index(parameter) == given
                return "" if next_ and parameter.kind is not parameter.KEYWORD_ONLY else name
    needed = [p for p in free if p.default is p.empty]
    if len(needed) == 1:
        return "" if needed[0].kind is not needed[0].KEYWORD_ONLY else needed[0].name
    return None


def _chosen(argnums: int | Sequence[int] | None, count: int, module: int | None) -> set[int]:
    """The arguments to differentiate; a module that is called always is."""
    shift = 0 if module is None else 1
    if argnums is None:
        return set(range(count))
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for number in numbers:
        if not -(count - shift) <= number < count - shift:
            raise ValueError(f"argnums {number} of a call with {count - shift} arguments.")
    return {n % (count - shift) + shift for n in numbers} | ({0} if shift else set())
