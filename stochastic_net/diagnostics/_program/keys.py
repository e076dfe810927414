"""Which key a key is: the same name for the same bits, through splits, folds and slices."""

from collections.abc import Iterable
from typing import Any

import jax
from jax.extend import core
from jax.extend.core import JaxprEqn

from stochastic_net.diagnostics._program.derivative import shape
from stochastic_net.diagnostics._program.words import words

_PASS = words(
    """
    random_wrap random_unwrap reshape squeeze broadcast_in_dim expand_dims copy transpose
    pvary convert_element_type optimization_barrier
    """
)


def is_key(aval) -> bool:
    """Whether a value is a typed key."""
    dtype = getattr(aval, "dtype", None)
    return dtype is not None and jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key)


_CARRIERS = _PASS | words("slice dynamic_slice gather unstack scan while cond jit pjit shard_map")


def wrapped_again(eqn: JaxprEqn, program: core.Jaxpr | None) -> bool:
    """Whether raw key data is only passed on as a key, as `jax.random.PRNGKey` makes it."""
    eqns = program.eqns if program is not None else []
    users = [e for e in eqns if any(a is v for a in e.invars for v in eqn.outvars)]
    passed = [e for e in users if e.primitive.name in _PASS and e.primitive.name != "random_wrap"]
    return all(e.primitive.name in _CARRIERS for e in users) and all(
        wrapped_again(e, program) for e in passed
    )


def next_key(eqn: JaxprEqn, index: int, key: Any, others: list, place: tuple) -> Any:
    """The name of the key that an operation on a key gives.

    `split(k)[i]` and `fold_in(k, i)` are the same bits in JAX, and so have the same name.
    """
    name = eqn.primitive.name
    if key is None:
        return ("new", place) if is_key(eqn.outvars[index].aval) else None
    if name in _PASS:
        return key
    if name == "random_split":
        return ("split", key)
    if name == "random_fold_in":
        return ("child", key, others[0])
    if name == "unstack" and key[0] == "split":
        return ("child", key[1], index)
    if name == "slice":
        start, stop = eqn.params["start_indices"], eqn.params["limit_indices"]
        whole = stop[1:] == shape(eqn.invars[0])[1:] and not any(start[1:])
        if key[0] == "split" and whole and stop[0] == start[0] + 1:
            return ("child", key[1], start[0])
        return ("slice", key, start, stop)
    if name in ("dynamic_slice", "gather", "slice"):
        return (name, key, *others)
    return (name, index, place)


def taken_from(draws: Iterable, splits: Iterable) -> list[list[tuple]]:
    """Groups of takers of one key, of more than one member."""
    takers: dict[Any, dict] = {}
    for draw in draws:
        if draw.key is not None:
            takers.setdefault(draw.key, {}).setdefault(draw.group, (draw.source, draw.branches))
    for key, source, group, branches in splits:
        takers.setdefault(key, {}).setdefault(group, (source, branches))
    found = []
    for one in takers.values():
        members = list(one.values())
        together = [m for m in members if any(_both(m[1], n[1]) for n in members if n is not m)]
        if together:
            found.append(together)
    return found


def _both(one: tuple, two: tuple) -> bool:
    """Whether two places are not in different branches of one `cond`."""
    other = dict(two)
    return all(other.get(place, branch) == branch for place, branch in one)


def described(key: Any, names: dict[Any, str]) -> str:
    """A key as the user would write it, `names` being those of keys among the arguments."""
    if key in names:
        return names[key]
    match key:
        case ("key",):
            return "key"
        case ("child", parent, int(number)):
            return f"{described(parent, names)}[{number}]"
        case ("child", parent, _):
            return f"{described(parent, names)}[...]"
        case ("split", parent):
            return f"split({described(parent, names)})"
        case ("x" | "carry", *_):
            return "one a step"
        case ("constant" | "new", *_):
            return "in the code"
        case (str(), tuple() as parent, *_):
            return f"{described(parent, names)}[...]"
    return "?"
