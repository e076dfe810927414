"""Any sampler with a differentiable distribution function becomes differentiable."""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.extend.core
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jax.scipy.linalg import solve_triangular

from stochastic_net._types import Array, Key

Sampler = Callable[..., Array]
Cdf = Callable[..., Array]


def reparameterize(sampler: Sampler, cdf: Cdf, *, event_ndim: int = 0) -> Sampler:
    r"""`sampler`, whose draws now move with their parameters; the gradient is unbiased.

    The draw z that keeps its place F(z; theta) in the distribution moves by

      dz/dtheta = -(dF/dtheta) / (dF/dz)

    (implicit reparameterisation). In one dimension `cdf(z, *params)` is the distribution function,
    elementwise. For vectors pass `event_ndim=1` and the distributional transform
    u_i = F(z_i | z_1 .. z_{i-1}; theta), of the shape of z: its Jacobian in z is lower triangular,
    and the system it makes is solved instead of divided by.

    Args:
      sampler: `sampler(key, *params, **options)` returns the draw. It need not be differentiable,
        and a derivative that it has is not used. The parameters are arrays or pytrees of arrays;
        whatever `cdf` needs besides constants has to be one of them.
      cdf: differentiable in the draw and in every parameter that is differentiated. Integer
        parameters are passed on and have no derivative. It must use z (a constant has no slope).
        Outside the support its derivative does not matter.
      event_ndim: 0 for a univariate draw, 1 for one whose last axis is a vector.

    Returns:
      A function of the sampler's signature and documentation. It works under `grad`, `jvp`, `vmap`,
      `jit` and in second derivatives.

    Raises:
      ValueError: `event_ndim` is neither 0 nor 1; when drawn, `cdf` returns another shape than that
        of the draw; when differentiated, `cdf` has no derivative in the draw.
      TypeError: when drawn, the draw is not an array of floats; when differentiated, `cdf` has no
        derivative in a parameter (`jax.scipy.special.betainc` in a and b).

    Example:
      >>> import jax, stochastic_net as sn
      >>> def sampler(key, rate, shape=()):
      ...     return jax.random.exponential(key, shape) / rate
      >>> def cdf(z, rate):
      ...     return -jax.numpy.expm1(-rate * z)
      >>> exponential = sn.random.reparameterize(sampler, cdf)
      >>> z, slope = jax.value_and_grad(lambda r: exponential(jax.random.key(0), r))(2.0)
      >>> bool(abs(slope + z / 2.0) < 1e-6)
      True

    Source: Figurnov, Mohamed & Mnih 2018, "Implicit reparameterization gradients",
    arXiv:1805.08498; the distributional transform is Rosenblatt's (1952).
    """
    if event_ndim not in (0, 1):
        raise ValueError(f"event_ndim must be 0 or 1, got {event_ndim!r}.")

    @functools.wraps(sampler)
    def reparameterized(key: Key, *params, **options):
        leaves, structure = jax.tree.flatten(params)
        fixed = [jax.lax.stop_gradient(leaf) if _is_float(leaf) else leaf for leaf in leaves]
        z = sampler(key, *structure.unflatten(fixed), **options)
        if not _is_float(z):
            raise TypeError(f"the sampler must return one array of floats, got {z!r}.")
        traced = [i for i, leaf in enumerate(leaves) if isinstance(leaf, jax.Array)]
        traced += [i for i, leaf in enumerate(leaves) if isinstance(leaf, float)]

        def transform(z: Array, *moved: Array) -> Array:
            merged = dict(enumerate(leaves)) | dict(zip(traced, moved, strict=True))
            return cdf(z, *structure.unflatten([merged[i] for i in range(len(leaves))]))

        params_given = [jnp.asarray(leaves[i]) for i in traced]
        _check_shape(transform, z, params_given)
        return _move(transform, event_ndim, jax.lax.stop_gradient(z), params_given)

    return reparameterized


def _move(transform: Cdf, event_ndim: int, z: Array, params: list[Array]) -> Array:
    """`z` with the implicit derivative in `params`, by which it is also differentiated again."""

    @jax.custom_jvp
    def attached(z, *params):
        del params
        return z

    def jvp(primals, tangents):
        z, params = attached(*primals), primals[1:]
        moved = jnp.zeros_like(z)
        for i, tangent in enumerate(tangents[1:]):
            if not isinstance(tangent, SymbolicZero):
                moved += _tangent(transform, z, params, i, tangent)
        slope = _slope(transform, z, params, event_ndim)
        if event_ndim:
            return z, -solve_triangular(slope, moved[..., None], lower=True)[..., 0]
        return z, -moved / slope

    attached.defjvp(jvp, symbolic_zeros=True)
    return attached(z, *params)


def _tangent(transform: Cdf, z: Array, params: Sequence[Array], i: int, tangent: Array) -> Array:
    """How the distribution function moves at a fixed z as parameter i does."""

    def of_one(param: Array) -> Array:
        return transform(z, *params[:i], param, *params[i + 1 :])

    hint = (
        f"cdf has no derivative in its parameter {i} (array number {i} after z, of shape "
        f"{params[i].shape}). Pass a cdf that depends on it differentiably, or keep the parameter "
        "out of the differentiation with jax.lax.stop_gradient."
    )
    try:
        if not _responds(of_one, params[i]):
            raise TypeError(hint)
        return jax.jvp(of_one, (params[i],), (tangent,))[1]
    except (ValueError, NotImplementedError) as error:
        raise TypeError(hint) from error


def _slope(transform: Cdf, z: Array, params: Sequence[Array], event_ndim: int) -> Array:
    """The density; for vectors the Jacobian of the transform, one column for each element of z."""

    def of_draw(z: Array) -> Array:
        return transform(z, *params)

    if not _responds(of_draw, z):
        raise ValueError("cdf has no derivative in the draw, its first argument.")
    if not event_ndim:
        return jax.jvp(of_draw, (z,), (jnp.ones_like(z),))[1]
    basis = jnp.eye(z.shape[-1], dtype=z.dtype)

    def column(unit: Array) -> Array:
        return jax.jvp(of_draw, (z,), (jnp.broadcast_to(unit, z.shape),))[1]

    return jax.vmap(column, out_axes=-1)(basis)


def _responds(f: Callable[[Array], Array], x: Array) -> bool:
    """Whether the tangent of f depends on that of x: found in the program, not in the numbers."""
    jaxpr = jax.make_jaxpr(lambda tangent: jax.jvp(f, (x,), (tangent,))[1])(jnp.ones_like(x)).jaxpr
    reached = set(jaxpr.invars)
    for equation in jaxpr.eqns:
        if any(_is_in(v, reached) for v in equation.invars):
            reached.update(equation.outvars)
    return any(_is_in(v, reached) for v in jaxpr.outvars)


def _is_in(atom: object, variables: set) -> bool:
    return not isinstance(atom, jax.extend.core.Literal) and atom in variables


def _check_shape(transform: Cdf, z: Array, params: list[Array]) -> None:
    u = jax.eval_shape(transform, z, *params)
    shape = getattr(u, "shape", type(u).__name__)
    if shape != z.shape:
        raise ValueError(
            f"cdf(z, *params) must have the shape of the draw, {z.shape}, got {shape}. Give the "
            "sampler the full shape, so that all parameters broadcast to the draw."
        )


def _is_float(leaf: object) -> bool:
    if isinstance(leaf, float):
        return True
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jnp.floating)
