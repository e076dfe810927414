"""Mean and variance through any JAX function, unchanged."""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp

from stochastic_net._types import Array, Key, PyTree
from stochastic_net.distributions import Gaussian
from stochastic_net.moments._covariances.adjoint import adjoint
from stochastic_net.moments._covariances.full import full
from stochastic_net.moments._program.tape import Tape, node, tape
from stochastic_net.moments._program.values import Elementwise, Value, gaussian, is_random
from stochastic_net.moments._program.watch import Layers, Watch, watch
from stochastic_net.moments._rules.interpret import interpret
from stochastic_net.moments._rules.otherwise import chosen, fallback

Covariance: TypeAlias = Literal["diagonal", "full", "adjoint"]
Otherwise: TypeAlias = Literal["linearize", "sample"]


RUNS = {"diagonal": lambda run: run(None), "full": full, "adjoint": adjoint}


def propagate(
    f: Callable[..., PyTree],
    covariance: Covariance = "diagonal",
    *,
    otherwise: Otherwise | None = None,
    key: Key | None = None,
    num_samples: int = 256,
) -> Callable[..., PyTree]:
    r"""The function that maps the mean and variance of f's arguments to those of its values.

    f is traced and run on Gaussians: linear operations are exact, elementwise ones on one value
    compose and are integrated as one function, kinks (relu, max, max-pool) and softmax have closed
    forms that hold in float32, products of independent values are exact. It is f itself that is
    run, unchanged: a JAX function, a Flax module, a loop. Means and variances are differentiable.
    In 16 bits what is not linear is computed in float32 and rounded last.

    What is approximated: every intermediate value is described by its mean and variance alone, as
    if Gaussian and, with "diagonal", as if independent of every other element. `sn.Gaussian` out of
    a deep network is therefore an estimate: compare it with draws before you rely on it.

    Args:
      f: any function of pytrees; where a leaf of an argument is a `Gaussian`, f gets an array. So
        does a module that has `Gaussian`s in the place of weights, as an argument or as f itself.
        A leaf that is a bool, a string or a function is handed on as it is. What a module changes
        in itself (a counter, a running average) is dropped.
      covariance: "diagonal" forgets the correlation between elements, and costs about two passes.
        "adjoint" keeps it for the variances of the outputs: one more derivative pass an output
        element, so take it for few outputs and map it over examples,
        `jax.vmap(propagate(f, "adjoint"))`. "full" keeps all of it on the way, which betters means
        and variances alike: one derivative pass for each random input and each element of what is
        not linear (in a scan, of each step), each as large as what is computed; `covariance(f)` has
        that of the outputs. With both, branches and loops other than a scan have to be linear.
      otherwise: what to do with an operation that has no rule. None raises `NoRule`; "linearize"
        takes its tangent at the means, one derivative pass an element of its operands; "sample"
        draws its operands `num_samples` times by `key`, a random result with an error of its own,
        and goes with "diagonal" only. What is not a float (an index) is taken at the means.
      key: for "sample" only; one typed key, used at every call of the function returned.
      num_samples: for "sample" only; at least 2.

    Returns:
      A function of the same arguments, any of whose arrays may be Gaussians, that returns f's
      pytree with a `Gaussian` where randomness arrived. It works under `jit`, `grad` and `vmap`.

    Raises:
      NoRule: f has an operation whose moments are not known; the message names it and your line.
      TypeError: `key` is missing for "sample", not a typed key, or of no use.
      ValueError: `covariance` or `otherwise` is another word, or they do not go together.

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> x = sn.Gaussian(jnp.zeros(3), jnp.ones(3))
      >>> y = sn.propagate(lambda x: jax.nn.relu(x).sum())(x)
      >>> print(f"{y.mean:.4f} {y.var:.4f}")  # 3 / sqrt(2 pi) and 3 (1/2 - 1 / (2 pi))
      1.1968 1.0225
      >>> same = sn.propagate(lambda x: (x - x) + x * x)(x)  # one function of x
      >>> print(same.mean.round(2), same.var.round(2))
      [1. 1. 1.] [2. 2. 2.]

    Source: moment propagation (Frey & Hinton 1999; Gast & Roth 2018, arXiv:1805.11327) as a program
    transformation; the adjoint form, the fused quadrature and the softmax are our own.
    """
    if covariance not in RUNS:
        raise ValueError(f'covariance must be "diagonal", "full" or "adjoint", got {covariance!r}.')
    instead = chosen(otherwise, key, num_samples)
    if otherwise == "sample" and covariance != "diagonal":
        raise ValueError(
            'otherwise="sample" forgets where the variance of its result came from, which '
            f'covariance="{covariance}" needs; use otherwise="linearize", or covariance="diagonal".'
        )

    @wraps(f)
    def moments_of_f(*args: PyTree, **kwargs: PyTree) -> PyTree:
        program, leaves, shape = trace(*weighted(f, args), kwargs)
        run = partial(run_on, program, leaves)
        with fallback.being(instead() if instead else None):
            outputs = RUNS[covariance](run)
        return jax.tree.unflatten(shape, list(map(_output, outputs)))

    return moments_of_f


def layers(f: Callable[..., PyTree], *args: PyTree) -> Layers:
    """The moments of what goes through the layers of f, and how to have its values at a point.

    A layer is a matrix product, a convolution, a pooling, a maximum, a branch or a loop. What comes
    out of each is there, and what goes in where an elementwise function made it; they are the
    moments that `propagate(f)` meets on its way, "diagonal".

    Args:
      f: as for `propagate`.
      *args: its arguments; where a leaf is a `Gaussian`, f gets an array.

    Returns:
      Layers(labels, moments, at): a name with your line for each value, its `Gaussian`, and a
      function of arguments without Gaussians that gives the same values there.

    Raises:
      NoRule: as `propagate` does.

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> x = sn.Gaussian(jnp.zeros(2), jnp.ones(2))
      >>> found = sn.moments.layers(lambda x: jax.nn.relu(x @ jnp.eye(2)) @ jnp.ones((2, 1)), x)
      >>> [label.strip() for label in found.labels]
      ['out of matrix product', 'into matrix product', 'out of matrix product']
      >>> print(f"{found.moments[1].mean[0]:.2f}", found.at(jnp.array([1.0, -1.0]))[1])
      0.40 [1. 0.]
    """
    program, leaves, _ = trace(*weighted(f, args), {})
    seen = Watch()
    with watch.being(seen):
        run_on(program, leaves, None)
    moments = seen.random()

    def at(*args: PyTree) -> list[Array]:
        plain = Watch()
        leaves = jax.tree.leaves(weighted(f, args)[1])
        with watch.being(plain):
            interpret(program, [jnp.asarray(x) for x in leaves if not _is_static(x)])
        return [jnp.asarray(plain.values[place]) for place in moments]

    return Layers([seen.labels[place] for place in moments], list(moments.values()), at)


def weighted(f: Callable[..., PyTree], args: tuple) -> tuple[Callable[..., PyTree], tuple]:
    """f and its arguments; a module is an argument of its own call, its weights leaves of it."""
    leaves = jax.tree.leaves(f, is_leaf=is_gaussian)
    return (_call, (f, *args)) if leaves and leaves[0] is not f else (f, args)


def _call(f: Callable[..., PyTree], *args: PyTree, **kwargs: PyTree) -> PyTree:
    return f(*args, **kwargs)


def trace(f: Callable[..., PyTree], args: PyTree, kwargs: PyTree) -> tuple[Any, list, Any]:
    """f as a program of its leaves, those leaves, and the structure of its value."""
    given, tree = jax.tree.flatten((args, kwargs), is_leaf=is_gaussian)
    leaves = [x for x in given if not _is_static(x)]
    arrays = [x.mean if is_gaussian(x) else jnp.asarray(x) for x in leaves]

    def of_arrays(*arrays: Array) -> PyTree:
        rest = iter(arrays)
        every = [x if _is_static(x) else next(rest) for x in given]
        args, kwargs = jax.tree.unflatten(tree, every)
        return f(*args, **kwargs)

    program, shape = jax.make_jaxpr(of_arrays, return_shape=True)(*arrays)
    return program, leaves, jax.tree.structure(shape)


def run_on(program, leaves: list, to: Tape | None) -> list[Value]:
    """The program's outputs, with nodes for its random inputs and for what is not linear in it."""
    with tape.being(to):
        inputs = [
            gaussian(*node(x.mean, x.var, lambda x=x: x.var)) if is_gaussian(x) else jnp.asarray(x)
            for x in leaves
        ]
        outputs = interpret(program, inputs)
        return [gaussian(*x.moments()) if is_random(x) else x for x in outputs]


def is_gaussian(x: Any) -> bool:
    """Whether a leaf is random."""
    return isinstance(x, Gaussian)


def _is_static(x: Any) -> bool:
    """Whether f is to have it as it is."""
    return isinstance(x, bool | str) or callable(x)


def _output(value: Value) -> Array | Gaussian:
    return Gaussian(*value.moments()) if isinstance(value, Elementwise) else value
