"""The gradient over many keys: finite, zero, and how large beside its noise."""

import copy
import math
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from stochastic_net._types import Array, Key, Shape
from stochastic_net.diagnostics._derivative import is_float
from stochastic_net.diagnostics._trace import Program
from stochastic_net.random import named_key

_WORK = 2e10  # operations to spend on gradients; what they take decides how many keys
_LEAST, _MOST = 8, 1000
_CHUNK, _FEW = 50, 64


class Statistics(NamedTuple):
    """Of the gradients at one point over keys; a list has an entry for every watched leaf."""

    count: int
    mean: list[np.ndarray]
    error: list[np.ndarray]  # standard error of the mean, by element
    finite: list[float]  # share of finite entries
    zero: list[bool]  # whether every entry is exactly zero, for every key

    def signal(self, leaf: int) -> float:
        """Signal-to-noise ratio of one key's gradient: |mean| / deviation, as norms over a leaf.

        The squared norm of a mean of n noisy gradients is too large by the noise's share, 1 / n,
        which is taken off.
        """
        n = self.count
        noise = float(np.sum(np.square(self.error[leaf], dtype=np.float64))) * n
        power = float(np.sum(np.square(self.mean[leaf], dtype=np.float64))) - noise / n
        if noise == 0:
            return math.inf if power > 0 else 0.0
        return math.sqrt(max(power, 0.0) / noise)


class Objective:
    """A program as a scalar function of its watched leaves and a key; compiled once."""

    def __init__(
        self, program: Program, key: Key, num_samples: int, chosen: list[int] | None = None
    ) -> None:
        self.program, self.num_samples = program, num_samples
        self._chosen = chosen if chosen is not None else range(len(program.outputs))
        self._watched = [i for i, leaf in enumerate(program.leaves) if leaf.watched]
        self._key = named_key(key, "check_gradients")
        self.keys = jax.random.split(self._key, num_samples)
        # Small functions take many keys at a time. A large one would be slow inside a vmap or scan:
        # XLA on CPU runs convolutions there on one core.
        # And with few keys, compiling for one is what takes the time.
        small = work(program.closed.jaxpr) < 1e6 and num_samples > _FEW
        several = small and "rbg" not in str(self.keys.dtype)
        self._chunk = min(_CHUNK, num_samples) if several else 1
        over = (lambda f: jax.vmap(f, (None, 0))) if several else (lambda f: f)
        self._gradients = jax.jit(over(jax.grad(self.scalar)))
        self._values = jax.jit(over(self.scalar))

    def again(self, times: int) -> "Objective":
        """The same with `times` as many keys, all of them others."""
        other = copy.copy(self)
        other.num_samples = times * self.num_samples
        other.keys = jax.random.split(named_key(self._key, "again"), other.num_samples)
        return other

    @property
    def names(self) -> list[str]:
        """Of the watched leaves."""
        return [self.program.leaves[i].name for i in self._watched]

    @property
    def point(self) -> list[Array]:
        """The watched leaves as given."""
        avals = self.program.closed.in_avals
        return [jnp.asarray(self.program.leaves[i].value, avals[i].dtype) for i in self._watched]

    def inputs(self, point: list[Array], key: Key) -> list:
        """All inputs of the program; keys among the arguments are folded with the draw's."""
        values, place = [], dict(zip(self._watched, point, strict=True))
        for i, leaf in enumerate(self.program.leaves):
            aval = self.program.closed.in_avals[i]
            if i in place:
                values.append(place[i])
            elif leaf.is_key:
                values.append(self._fresh(leaf.value, jax.random.fold_in(key, i + 1)))
            else:
                values.append(jnp.asarray(leaf.value, aval.dtype))
        if self.program.takes_key:
            values.append(jax.random.fold_in(key, 0))
        return values

    def _fresh(self, old: Array, key: Key) -> Array:
        """A key in place of one in the arguments, of the same generator where that is needed."""
        new = jax.random.split(key, old.shape) if old.shape else key
        if new.dtype == old.dtype:
            return new
        number = jax.random.bits(key, (), jnp.uint32)
        return jax.vmap(lambda k: jax.random.fold_in(k, number))(old.reshape(-1)).reshape(old.shape)

    def scalar(self, point: list[Array], key: Key) -> Array:
        """The output; if it is not one number, its product with fixed random weights."""
        outputs = core.jaxpr_as_fun(self.program.closed)(*self.inputs(point, key))
        floats = [outputs[i] for i in self._chosen if is_float(jax.typeof(outputs[i]))]
        floats = [jnp.abs(y) if jnp.iscomplexobj(y) else y for y in floats]
        if len(floats) == 1 and floats[0].size == 1:
            return floats[0].reshape(()).astype(jnp.float32)
        total = jnp.zeros((), jnp.float32)
        for i, y in enumerate(floats):
            weights = np.random.default_rng(i).normal(size=y.shape).astype(np.float32)
            total = total + (y.astype(jnp.float32) * weights).sum()
        return total

    def trace_gradient(self) -> None:
        """Raise what JAX raises where the program cannot be differentiated."""
        jax.eval_shape(jax.grad(self.scalar), self.point, self.keys[0])

    def gradients(self, point: list[Array]) -> Statistics:
        """Statistics of the gradients over all keys."""
        sums = [_Sums(x.shape) for x in point]
        for grads in self._each_gradient(point):
            for one, g in zip(sums, grads, strict=True):
                one.add(g)
        return Statistics(
            self.num_samples,
            [one.mean for one in sums],
            [np.sqrt(one.second / max(one.count - 1, 1) / one.count) for one in sums],
            [1 - one.bad / (one.count * max(one.mean.size, 1)) for one in sums],
            [one.zero for one in sums],
        )

    def slopes(self, point: list[Array], direction: list[Array]) -> np.ndarray:
        """The derivative along a direction for every key, by leaf: of shape (keys, leaves)."""
        moves = [np.asarray(v, np.float32).ravel() for v in direction]
        found = [
            [g.reshape(len(g), -1) @ v for g, v in zip(grads, moves, strict=True)]
            for grads in self._each_gradient(point)
        ]
        return np.concatenate([np.stack(rows, axis=1) for rows in found]).astype(np.float64)

    def _each_gradient(self, point: list[Array]) -> Iterator[list[np.ndarray]]:
        """By leaf, with the keys of a chunk as rows."""
        for keys in self._chunks():
            grads = [np.asarray(g, np.float32) for g in self._gradients(point, keys)]
            yield grads if keys.ndim else [g[None] for g in grads]

    def values(self, point: list[Array]) -> np.ndarray:
        """The function for every key."""
        found = [self._values(point, keys) for keys in self._chunks()]
        return np.concatenate([np.atleast_1d(np.asarray(y, np.float64)) for y in found])

    def _chunks(self) -> Iterator[Array]:
        """Several keys at a time, or one."""
        if self._chunk == 1:
            return iter(self.keys)
        whole = self.num_samples // self._chunk * self._chunk
        parts = list(self.keys[:whole].reshape(-1, self._chunk))
        return iter([*parts, self.keys[whole:]] if whole < self.num_samples else parts)


class _Sums:
    """Welford's sums, and what is not finite or always zero."""

    def __init__(self, shape: Shape) -> None:
        dtype = np.float64 if math.prod(shape) < 1e5 else np.float32
        self.count, self.bad, self.zero = 0, 0, True
        self.mean, self.second = np.zeros(shape, dtype), np.zeros(shape, dtype)

    def add(self, g: np.ndarray) -> None:
        """Rows of gradients."""
        m, n = len(g), self.count
        self.count += m
        with np.errstate(invalid="ignore", over="ignore"):
            if not np.isfinite(g.sum()):
                self.bad += int(g.size - np.isfinite(g).sum())
            self.zero = self.zero and not g.any()
            here = g[0] if m == 1 else g.mean(0, dtype=self.mean.dtype)
            away = np.asarray(here - self.mean)  # of no axes numpy makes a number
            if m > 1:
                self.second += np.square(g - here).sum(0)
            self.mean += away * (m / self.count)
            np.square(away, out=away)
            away *= n * m / self.count
            self.second += away


def affordable(program: Program) -> int:
    """How many keys are checked if nothing is said: by what one gradient takes, 8 to 1000."""
    return int(np.clip(_WORK / (3 * work(program.closed.jaxpr)), _LEAST, _MOST))


def work(program: core.Jaxpr) -> float:
    """About how many operations a program takes."""
    total = 1.0
    for eqn in program.eqns:
        times = eqn.params.get("length", 1) if eqn.primitive.name == "scan" else 1
        inner = [eqn.params[n] for n in ("jaxpr", "call_jaxpr", "body_jaxpr") if n in eqn.params]
        inner += list(eqn.params.get("branches", ()))
        if inner:
            total += times * sum(work(getattr(p, "jaxpr", p)) for p in inner)
            continue
        size = sum(math.prod(x.aval.shape) for x in eqn.outvars if hasattr(x.aval, "shape"))
        total += size * _per_element(eqn)
    return total


def _per_element(eqn) -> float:
    if eqn.primitive.name == "dot_general":
        (contract, _), _ = eqn.params["dimension_numbers"]
        return 2 * math.prod(eqn.invars[0].aval.shape[i] for i in contract)
    if eqn.primitive.name == "conv_general_dilated":
        kernel = eqn.invars[1].aval.shape
        out = eqn.params["dimension_numbers"].rhs_spec[0]
        return 2 * math.prod(kernel) / kernel[out]
    return 1.0


def has_output(program: Program, chosen: list[int]) -> bool:
    """Whether any output is a float: a gradient can be asked of nothing else."""
    return any(is_float(program.closed.out_avals[i]) for i in chosen)


def student(t: float, n: int) -> float:
    """The probability of |T| > |t| with n - 1 degrees of freedom."""
    free = n - 1
    if not math.isfinite(t):
        return 0.0
    x = free / (free + t * t)
    return float(jax.scipy.special.betainc(free / 2, 0.5, jnp.float32(x)))
