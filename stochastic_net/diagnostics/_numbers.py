"""The gradient over many keys: finite, zero, and how large beside its noise."""

import dataclasses
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend import core

from stochastic_net._types import Array, Key
from stochastic_net.diagnostics._derivative import is_float
from stochastic_net.diagnostics._trace import Program
from stochastic_net.random import named_key

_WORK = 2e10  # operations to spend on gradients; what they take decides how many keys
_LEAST, _MOST = 8, 1000


class Statistics(NamedTuple):
    """Of the gradients at one point over keys; a list has an entry for every watched leaf."""

    mean: list[np.ndarray]
    error: list[np.ndarray]  # standard error of the mean, by element
    finite: list[float]  # share of finite entries
    zero: list[bool]  # whether every entry is exactly zero, for every key
    along: np.ndarray  # (keys, leaves): the derivative along the direction, by leaf

    def signal(self, leaf: int) -> float:
        """Signal-to-noise ratio of one key's gradient: |mean| / deviation, as norms over a leaf.

        The squared norm of a mean of n noisy gradients is too large by the noise's share, 1 / n,
        which is taken off.
        """
        n = len(self.along)
        noise = float(np.sum(np.square(self.error[leaf], dtype=np.float64))) * n
        power = float(np.sum(np.square(self.mean[leaf], dtype=np.float64))) - noise / n
        if noise == 0:
            return math.inf if power > 0 else 0.0
        return math.sqrt(max(power, 0.0) / noise)


@dataclasses.dataclass(frozen=True)
class Objective:
    """A program as a scalar function of its watched leaves and a key, compiled once."""

    program: Program
    key: Key
    num_samples: int

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "_watched", [i for i, x in enumerate(self.program.leaves) if x.watched])
        set_(self, "_gradients", jax.jit(self._all_gradients))
        set_(self, "_values", jax.jit(self._all_values))

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
    def keys(self) -> Array:
        """One key an evaluation, all from the user's."""
        return jax.random.split(named_key(self.key, "check_gradients"), self.num_samples)

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
        floats = [y for y in outputs if jnp.issubdtype(y.dtype, jnp.floating)]
        if len(floats) == 1 and floats[0].size == 1:
            return floats[0].reshape(()).astype(jnp.float32)
        total = jnp.zeros((), jnp.float32)
        for i, y in enumerate(floats):
            weights = np.random.default_rng(i).normal(size=y.shape).astype(np.float32)
            total = total + (y.astype(jnp.float32) * weights).sum()
        return total

    def trace_gradient(self) -> None:
        """Raise what JAX raises where the program cannot be differentiated."""
        jax.eval_shape(jax.grad(self.scalar), self.point, self.key)

    def gradients(self, point: list[Array], direction: list[Array] | None = None) -> Statistics:
        """Statistics of the gradients over all keys."""
        direction = [jnp.ones_like(x) for x in point] if direction is None else direction
        along, mean, second, finite, zero = self._gradients(point, direction, self.keys)
        n = self.num_samples
        mean = [np.asarray(m, np.float64) for m in mean]
        var = [np.maximum(np.asarray(s, np.float64), 0) / max(n - 1, 1) for s in second]
        return Statistics(
            mean,
            [np.sqrt(v / n) for v in var],
            [float(x) for x in finite],
            [bool(x) for x in zero],
            np.asarray(along, np.float64),
        )

    def _all_gradients(self, point, direction, keys):
        """Welford's sums, a chunk of keys at a time."""

        def of(key):
            return jax.grad(self.scalar)(point, key)

        def step(state, chunk):
            count, mean, second, finite, zero = state
            grads = jax.vmap(of)(chunk) if len(chunk) > 1 else [g[None] for g in of(chunk[0])]
            wide = [g.astype(jnp.float32) for g in grads]
            along = jnp.stack(
                [
                    jax.vmap(jnp.vdot, (0, None))(g, v.astype(jnp.float32))
                    for g, v in zip(wide, direction, strict=True)
                ],
                axis=1,
            )
            m = chunk.shape[0]
            total = count + m
            here = [g.mean(0) for g in wide]
            spread = [jnp.square(g - h[None]).sum(0) for g, h in zip(wide, here, strict=True)]
            away = [h - x for h, x in zip(here, mean, strict=True)]
            second = [
                s + t + jnp.square(d) * (count * m / total)
                for s, t, d in zip(second, spread, away, strict=True)
            ]
            mean = [x + d * (m / total) for x, d in zip(mean, away, strict=True)]
            finite = [f + (~jnp.isfinite(g)).mean() * m for f, g in zip(finite, wide, strict=True)]
            zero = [z & (g == 0).all() for z, g in zip(zero, wide, strict=True)]
            return (total, mean, second, finite, zero), along

        zeros = [jnp.zeros(x.shape, jnp.float32) for x in point]
        none = [jnp.zeros((), jnp.float32) for _ in point]
        start = (jnp.zeros((), jnp.float32), zeros, zeros, none, [jnp.array(True)] * len(point))
        (count, mean, second, finite, zero), along = lax.scan(step, start, self._chunks(keys))
        return along.reshape(-1, len(point)), mean, second, [1 - f / count for f in finite], zero

    def values(self, point: list[Array]) -> np.ndarray:
        """The function for every key."""
        return np.asarray(self._values(point, self.keys), np.float64)

    def _all_values(self, point, keys):
        def step(_, chunk):
            if len(chunk) == 1:
                return None, self.scalar(point, chunk[0])[None]
            return None, jax.vmap(lambda key: self.scalar(point, key))(chunk)

        return lax.scan(step, None, self._chunks(keys))[1].reshape(-1)

    def _chunks(self, keys: Array) -> Array:
        """Several keys at a time where the function is small and keys batch independently."""
        small = work(self.program.closed.jaxpr) < 1e6 and "rbg" not in str(keys.dtype)
        size = next(c for c in (50, 40, 25, 20, 10, 8, 1) if self.num_samples % c == 0)
        return keys.reshape(-1, size if small else 1)


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


def has_output(program: Program) -> bool:
    """Whether any output is a float: a gradient can be asked of nothing else."""
    return any(is_float(aval) for aval in program.closed.out_avals)


def student(t: float, n: int) -> float:
    """The probability of |T| > |t| with n - 1 degrees of freedom."""
    free = n - 1
    if not math.isfinite(t):
        return 0.0
    x = free / (free + t * t)
    return float(jax.scipy.special.betainc(free / 2, 0.5, jnp.float32(x)))
