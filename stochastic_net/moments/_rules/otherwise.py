"""What is done with an operation that has no rule, where the user has said so."""

from collections.abc import Callable
from itertools import count
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import JaxprEqn

from stochastic_net._types import Array, Key
from stochastic_net.distributions import Gaussian
from stochastic_net.moments._program.current import Current
from stochastic_net.moments._program.registry import refuse
from stochastic_net.moments._program.values import Elementwise, Value, gaussian, split
from stochastic_net.random import check_key

Fallback: TypeAlias = Callable[[JaxprEqn, list[Value]], list[Value]]

_BATCH = 16  # rows of a Jacobian at a time

fallback: Current[Fallback | None] = Current("fallback", None)  # in the place of missing rules


def chosen(word: str | None, key: Key | None, num_samples: int) -> Callable[[], Fallback] | None:
    """What that word stands for, made anew for every run: a sampler counts its draws."""
    if word not in (None, "linearize", "sample"):
        raise ValueError(f'otherwise must be None, "linearize" or "sample", got {word!r}.')
    if word != "sample":
        if key is not None:
            raise TypeError(f'key is for otherwise="sample" only, got one with {word!r}.')
        return (lambda: linearize) if word else None
    if key is None:
        raise TypeError('otherwise="sample" draws: pass key=jax.random.key(...).')
    check_key(key)
    if num_samples < 2:
        raise ValueError(f"num_samples must be at least 2, for a variance; got {num_samples}.")
    return lambda: sampler(key, num_samples)


def linearize(eqn: JaxprEqn, operands: list[Value]) -> list[Value]:
    """The operation at the means, with the variance of its tangent, sum_i (dy/dx_i)^2 v_i."""
    apply, randoms = _of_randoms(eqn, operands)
    _require_real(eqn)
    means, variances = zip(*(x.moments() for x in randoms), strict=True)

    def floats(*means: Array) -> list[Array]:
        return list(filter(_is_float, apply(*means)))

    spreads = iter(_tangent_variances(floats, means, variances))
    return [gaussian(y, next(spreads)) if _is_float(y) else y for y in apply(*means)]


def sampler(key: Key, num_samples: int) -> Fallback:
    """The sample mean and variance of the operation, on draws of its operands."""
    places = count()

    def sample(eqn: JaxprEqn, operands: list[Value]) -> list[Value]:
        apply, randoms = _of_randoms(eqn, operands)
        _require_real(eqn)
        keys = jax.random.split(jax.random.fold_in(key, next(places)), len(randoms))
        draws = [
            Gaussian(*x.moments()).sample(k, (num_samples,))
            for k, x in zip(keys, randoms, strict=True)
        ]
        at_means = apply(*(x.moments()[0] for x in randoms))
        return [
            gaussian(y.mean(0), y.var(0, ddof=1)) if _is_float(y) else constant
            for y, constant in zip(jax.vmap(apply)(*draws), at_means, strict=True)
        ]

    return sample


def _of_randoms(
    eqn: JaxprEqn, operands: list[Value]
) -> tuple[Callable[..., list[Array]], list[Elementwise]]:
    """The operation as a function of its random operands."""
    randoms, _ = split(operands)

    def apply(*values: Array) -> list[Array]:
        rest = iter(values)
        inputs = [next(rest) if isinstance(x, Elementwise) else x for x in operands]
        outputs = eqn.primitive.bind(*inputs, **eqn.primitive.get_bind_params(eqn.params))
        return outputs if eqn.primitive.multiple_results else [outputs]

    return apply, randoms


def _require_real(eqn: JaxprEqn) -> None:
    results: list[Any] = [x.aval for x in eqn.outvars]
    if any(jnp.issubdtype(x.dtype, jnp.complexfloating) for x in results):
        refuse(eqn, "a complex result has more than a mean and a variance")


def _is_float(x: Array) -> bool:
    """What is not is a constant: its value at the means."""
    return jnp.issubdtype(x.dtype, jnp.floating)


def _tangent_variances(f: Callable, means: tuple, variances: tuple) -> list[Array]:
    """sum_i (df/dx_i)^2 v_i, a batch of directions at a time."""
    totals = [jnp.zeros(y.shape, y.dtype) for y in jax.eval_shape(f, *means)]
    for which, var in enumerate(variances):
        flat = var.reshape(-1)

        def part(place: Array, which=which, flat=flat) -> list[Array]:
            inside = (place < flat.size).astype(flat.dtype)
            unit = jnp.zeros_like(flat).at[place].set(inside, mode="drop")
            tangents = [jnp.zeros_like(m) for m in means]
            tangents[which] = unit.reshape(means[which].shape)
            moved = jax.jvp(f, means, tuple(tangents))[1]
            share = flat.at[place].get(mode="fill", fill_value=0)
            return [jnp.square(y) * share.astype(y.dtype) for y in moved]

        def add(totals: list[Array], places: Array, part=part) -> tuple[list[Array], None]:
            return [t + x.sum(0) for t, x in zip(totals, jax.vmap(part)(places), strict=True)], None

        rows = -(-flat.size // _BATCH)
        totals, _ = lax.scan(add, totals, jnp.arange(rows * _BATCH).reshape(rows, _BATCH))
    return totals
