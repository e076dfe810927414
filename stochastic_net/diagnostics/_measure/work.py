"""About how much a program computes, and how many keys that affords."""

import math

import numpy as np
from jax.extend import core
from jax.extend.core import JaxprEqn

from stochastic_net.diagnostics._program.derivative import shape
from stochastic_net.diagnostics._program.trace import Program

_WORK = 2e10  # operations to spend on gradients; what they take decides how many keys
_LEAST, _MOST = 8, 1000


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


def _per_element(eqn: JaxprEqn) -> float:
    if eqn.primitive.name == "dot_general":
        (contract, _), _ = eqn.params["dimension_numbers"]
        return 2 * math.prod(shape(eqn.invars[0])[i] for i in contract)
    if eqn.primitive.name == "conv_general_dilated":
        kernel = shape(eqn.invars[1])
        out = eqn.params["dimension_numbers"].rhs_spec[0]
        return 2 * math.prod(kernel) / kernel[out]
    return 1.0
