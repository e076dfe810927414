"""At which operation a value or a derivative stops being finite: the program, run and looked at."""

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend import core
from jax.extend.core import JaxprEqn

from stochastic_net._types import Array
from stochastic_net.diagnostics._measure.objective import Objective
from stochastic_net.diagnostics._program.derivative import bind, is_float
from stochastic_net.diagnostics._program.draws import is_sampler
from stochastic_net.diagnostics._program.flow import Danger, Place
from stochastic_net.diagnostics._program.rerun import evaluate

_INLINE = frozenset(("jit", "pjit", "closed_call", "remat2", "checkpoint"))
_FLAT = {  # where an elementwise operation has a derivative of exactly zero
    "tanh": lambda x: 1 - jnp.square(jnp.tanh(x)) == 0,
    "logistic": lambda x: jax.nn.sigmoid(x) * (1 - jax.nn.sigmoid(x)) == 0,
    "erf": lambda x: jnp.exp(-jnp.square(x)) == 0,
    "exp": lambda x: jnp.exp(x) == 0,
    "relu": lambda x: x <= 0,
}


def bad_operands(
    objective: Objective, point: list[Array], dangers: list[Danger]
) -> dict[Place, int]:
    """Which dangerous operations get an operand that is 0 (1) or below where that matters (2)."""
    by_place = {d.place: d for d in dangers}

    def look(place: Place, eqn: JaxprEqn, ins: list):
        danger = by_place.get(place)
        if danger is None:
            return None
        x = ins[1 if danger.name == "div" else 0]
        if danger.name in ("acos", "asin", "atanh"):
            return jnp.where((jnp.abs(x) >= 1).any(), 1, 0)
        if danger.name in ("sqrt", "rsqrt", "log", "pow"):
            return jnp.where((x < 0).any(), 2, jnp.where((x == 0).any(), 1, 0))
        return jnp.where((x == 0).any(), 1, 0)

    return {p: int(v) for p, v in _watch(objective, point, look, jnp.maximum).items() if int(v)}


def first_not_finite(objective: Objective, point: list[Array]) -> Place | None:
    """The first operation with a value or derivative that is not finite though its operands are."""

    def look(place: Place, eqn: JaxprEqn, ins: list):
        del place
        moving = [i for i, x in enumerate(ins) if is_float(jax.typeof(x))]
        if not moving or not any(is_float(v.aval) for v in eqn.outvars):
            return None

        def of(*values):
            every = dict(zip(moving, values, strict=True))
            outs = bind(eqn, *(every.get(i, x) for i, x in enumerate(ins)))
            return [y for y in outs if is_float(jax.typeof(y))]

        here = [jnp.asarray(ins[i]) for i in moving]
        try:
            outs, slopes = jax.jvp(of, here, [jnp.ones_like(x) for x in here])
        except Exception:  # a rule for reverse mode only
            outs, slopes = of(*here), []
        whole = jnp.stack([jnp.isfinite(x).all() for x in here]).all()
        return whole & ~jnp.stack([jnp.isfinite(y).all() for y in [*outs, *slopes]]).all()

    flags = _watch(objective, point, look, jnp.maximum)
    return next((place for place, bad in flags.items() if int(bad)), None)


def saturation(objective: Objective, point: list[Array], places: set[Place]) -> dict[Place, float]:
    """The share of elements of each clamp, max, min, tanh, ... whose derivative is exactly zero."""

    def look(place: Place, eqn: JaxprEqn, ins: list):
        if place not in places:
            return None
        name = eqn.primitive.name
        if name == "clamp":
            low, x, high = ins
            return ((x < low) | (x > high)).mean()
        if name in ("max", "min"):
            moving = [not isinstance(a, core.Literal) for a in eqn.invars]
            if all(moving) and not any(jnp.ndim(x) == 0 for x in ins):
                return None
            x, bound = (ins[0], ins[1]) if moving[0] and jnp.ndim(ins[0]) else (ins[1], ins[0])
            return ((x < bound) if name == "max" else (x > bound)).mean()
        name = "relu" if name == "custom_jvp_call" else name
        return _FLAT[name](ins[0]).mean()

    found = _watch(objective, point, look, jnp.add)
    count = min(objective.num_samples, 8)
    return {place: float(share) / count for place, share in found.items()}


def _watch(objective: Objective, point: list[Array], look, combine) -> dict[Place, Array]:
    """What `look` says of every operation outside of loops, combined over a few keys."""
    program = objective.program.closed
    order: list[Place] = []

    def of_key(key):
        seen: dict[Place, Array] = {}
        _run(program.jaxpr, program.consts, objective.inputs(point, key), (), look, seen)
        order[:] = list(seen)
        return [jnp.asarray(v, jnp.float32) for v in seen.values()]

    def run(keys):
        shapes = jax.eval_shape(of_key, keys[0])
        zero = [jnp.zeros(s.shape, s.dtype) for s in shapes]

        def step(state, key):
            return [combine(a, b) for a, b in zip(state, of_key(key), strict=True)], None

        return lax.scan(step, zero, keys)[0]

    values = jax.jit(run)(objective.keys[:8])
    return dict(zip(order, values, strict=True))


def _run(program: core.Jaxpr, consts, values, calls: Place, look, seen: dict) -> list:
    def do(eqn: JaxprEqn, ins: list, place: Place) -> list:
        inner = eqn.params.get("jaxpr", eqn.params.get("call_jaxpr"))
        # What is inside a sampler is its own business, and all of it looked at slow to compile.
        if eqn.primitive.name in _INLINE and inner is not None and not is_sampler(eqn):
            body, own = getattr(inner, "jaxpr", inner), getattr(inner, "consts", ())
            return _run(body, own, ins, place, look, seen)
        outs, said = bind(eqn, *ins), look(place, eqn, ins)
        if said is not None:
            seen[place] = said
        return outs

    return evaluate(program, consts, values, calls, do)
