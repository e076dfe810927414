"""A program as a scalar function of its watched leaves and a key, and its gradients over keys."""

import copy
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from stochastic_net._types import Array, Key
from stochastic_net.diagnostics._measure.statistics import Statistics, Sums, statistics
from stochastic_net.diagnostics._measure.work import work
from stochastic_net.diagnostics._program.derivative import is_float
from stochastic_net.diagnostics._program.rerun import Change, Changes, rerun
from stochastic_net.diagnostics._program.spots import Spot, shift
from stochastic_net.diagnostics._program.trace import Program
from stochastic_net.random import named_key

_CHUNK, _FEW = 50, 64


class Objective:
    """A program as a scalar function; compiled once.

    With the watched leaves it has the derivative in a shift of what is drawn at each of `spots`,
    which is the gradient that arrives at the draw.
    """

    def __init__(
        self,
        program: Program,
        key: Key,
        num_samples: int,
        chosen: list[int] | None = None,
        spots: Sequence[Spot] = (),
    ) -> None:
        self.program, self.num_samples, self.spots = program, num_samples, list(spots)
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
        over = (lambda f: jax.vmap(f, (None, 0, None))) if several else (lambda f: f)
        self._gradients = jax.jit(over(jax.grad(self.scalar, argnums=(0, 2))))
        self._values = jax.jit(over(self.scalar))

    def again(self, times: int) -> "Objective":
        """The same with `times` as many keys, all of them others."""
        other = copy.copy(self)
        other.num_samples = times * self.num_samples
        other.keys = jax.random.split(named_key(self._key, "again"), other.num_samples)
        return other

    def fewer(self, count: int) -> "Objective":
        """The same with about so many of its keys: as many as are taken at a time, if more."""
        other = copy.copy(self)
        other.num_samples = min(self.num_samples, max(count, self._chunk))
        other.keys = self.keys[: other.num_samples]
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

    @property
    def _unshifted(self) -> dict:
        return {spot.place: spot.zeros for spot in self.spots}

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

    def scalar(
        self, point: list[Array], key: Key, changes: Changes, change: Change = shift
    ) -> Array:
        """The output; if it is not one number, its product with fixed random weights."""
        inputs = self.inputs(point, key)
        if changes:
            outputs = rerun(self.program.closed, inputs, changes, change)
        else:
            outputs = core.jaxpr_as_fun(self.program.closed)(*inputs)
        floats = [outputs[i] for i in self._chosen if is_float(jax.typeof(outputs[i]))]
        floats = [jnp.abs(y) if jnp.iscomplexobj(y) else y for y in floats]
        wide = [y.astype(_single(y.dtype)) for y in floats]
        if len(wide) == 1 and wide[0].size == 1:
            return wide[0].reshape(())
        total = jnp.zeros((), max((y.dtype for y in wide), key=lambda d: d.itemsize))
        for i, y in enumerate(wide):
            weights = np.random.default_rng(i).normal(size=y.shape).astype(y.dtype)
            total = total + (y * weights).sum().astype(total.dtype)
        return total

    def trace_gradient(self) -> None:
        """Raise what JAX raises where the program cannot be differentiated.

        If only the shifts of draws cannot be (a primitive that is not to be bound again), there
        will be none.
        """
        try:
            jax.eval_shape(jax.grad(self.scalar), self.point, self.keys[0], self._unshifted)
        except Exception:  # what is changed is bound again, which a primitive may refuse
            self.spots = []
            jax.eval_shape(jax.grad(self.scalar), self.point, self.keys[0], {})

    def measure(self, point: list[Array]) -> tuple[Statistics, Statistics]:
        """Statistics over all keys of the gradients of the leaves, and of those at the draws."""
        sums = [Sums(x.shape) for x in (*point, *self.spots)]
        for grads in self._each_gradient(point):
            for one, g in zip(sums, grads, strict=True):
                one.add(g)
        n, count = len(point), self.num_samples
        return statistics(sums[:n], count), statistics(sums[n:], count)

    def gradients(self, point: list[Array]) -> Statistics:
        """Of the leaves."""
        return self.measure(point)[0]

    def slopes(self, point: list[Array], direction: list[Array]) -> np.ndarray:
        """The derivative along a direction for every key, by leaf: of shape (keys, leaves)."""
        moves = [_wide(v).ravel() for v in direction]
        found = [
            [g.reshape(len(g), -1) @ v for g, v in zip(grads, moves, strict=False)]
            for grads in self._each_gradient(point)
        ]
        return np.concatenate([np.stack(rows, axis=1) for rows in found]).astype(np.float64)

    def _each_gradient(self, point: list[Array]) -> Iterator[list[np.ndarray]]:
        """By leaf and draw, with the keys of a chunk as rows."""
        shifts = self._unshifted
        for keys in self._chunks():
            of_leaves, of_draws = self._gradients(point, keys, shifts)
            grads = [_wide(g) for g in (*of_leaves, *(of_draws[place] for place in shifts))]
            yield grads if keys.ndim else [g[None] for g in grads]

    def values(self, point: list[Array]) -> np.ndarray:
        """The function for every key."""
        found = [self._values(point, keys, {}) for keys in self._chunks()]
        return np.concatenate([np.atleast_1d(np.asarray(y, np.float64)) for y in found])

    def _chunks(self) -> Iterator[Array]:
        """Several keys at a time, or one."""
        if self._chunk == 1:
            return iter(self.keys)
        whole = self.num_samples // self._chunk * self._chunk
        parts = list(self.keys[:whole].reshape(-1, self._chunk))
        return iter([*parts, self.keys[whole:]] if whole < self.num_samples else parts)


def _wide(x: Array) -> np.ndarray:
    """On the host, in float32 or more."""
    return np.asarray(x, _single(x.dtype))


def _single(dtype: jnp.dtype) -> jnp.dtype:
    """float32 in place of types of 16 bits."""
    return jnp.dtype(jnp.float32) if jnp.finfo(dtype).bits < 32 else dtype


def has_output(program: Program, chosen: list[int]) -> bool:
    """Whether any output is a float: a gradient can be asked of nothing else."""
    return any(is_float(program.closed.out_avals[i]) for i in chosen)
