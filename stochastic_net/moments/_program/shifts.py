"""Which constants of a program do no more than keep exponentials finite."""

from jax.extend import core
from jax.extend.core import primitives as p

from stochastic_net.moments._program.current import Current

running: Current[core.Jaxpr | None] = Current("running", None)  # the program that is being run

_MOVING = (p.broadcast_in_dim_p, p.reshape_p, p.squeeze_p, p.transpose_p, p.convert_element_type_p)


def only_shifts(constant: core.Var) -> bool:
    """Whether exp(x - c) is what c is for; a log-sum-exp may add it, a log-softmax use x - c."""
    program = running.get()
    return program is not None and _shifts(program, constant) == {True}


def _shifts(program: core.Jaxpr, constant: core.Var) -> set[bool]:
    """What the uses of c say: {True} if some take it from exponents and the others add it."""
    found: set[bool] = {False} if constant in program.outvars else set()
    for eqn in _uses(program, constant):
        if eqn.primitive in _MOVING:
            found |= _shifts(program, eqn.outvars[0])
        elif eqn.primitive is p.sub_p and eqn.invars[0] is not constant:
            out = eqn.outvars[0]
            into = {use.primitive for use in _uses(program, out)}
            found.add(p.exp_p in into <= {p.exp_p, p.sub_p} and out not in program.outvars)
        elif eqn.primitive is not p.add_p:
            found.add(False)
    return found


def _uses(program: core.Jaxpr, var: core.Var) -> list[core.JaxprEqn]:
    return [eqn for eqn in program.eqns if any(atom is var for atom in eqn.invars)]
