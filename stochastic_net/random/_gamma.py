"""The gamma distribution and what is one gamma variate: its logarithm, its inverse, its powers."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike, DTypeLike

from stochastic_net._types import Array, Key, Shape
from stochastic_net.random._arguments import arguments, positive
from stochastic_net.random._elementary import exp, log1p
from stochastic_net.random._gamma_gradient import log_gamma_derivative
from stochastic_net.random._implicit import finite, moving
from stochastic_net.random._inverse import Coupling, check_coupling
from stochastic_net.random._keys import check_key
from stochastic_net.random._normal_quantile import normal_quantile
from stochastic_net.random._rejection import first_accepted
from stochastic_net.random._smooth import log_gamma_quantile
from stochastic_net.random._stream import (
    Stream,
    log_uniform,
    random_sign,
    stream,
    uniforms,
)

_BOOST = 2**32 - 1  # the place in the stream of the uniform that takes Gamma(a + 1) to Gamma(a)


def gamma(
    key: Key,
    a: ArrayLike,
    shape: Shape | None = None,
    dtype: DTypeLike | None = None,
    *,
    coupling: Coupling = "fast",
) -> Array:
    r"""Draw z ~ Gamma(a, 1), density z^(a-1) e^-z / Gamma(a); the pathwise gradient is unbiased.

    dz/da = -(dF/da) / p(z), which keeps the quantile of z in place (implicit reparameterisation):
    within 1e-5 of the exact value in float32 for a from 1e-3 to 1e8, within 1e-10 in float64.
    A rate divides: `gamma(key, a) / rate`. Draws that would underflow are the smallest normal
    number; `loggamma` has them in full.

    Args:
      key: one typed key; it is consumed.
      a: the shape parameter, above 0.
      shape: shape of the draw, that of `a` when None.
      dtype: float16, bfloat16 (both drawn in float32), float32 or float64; JAX's default when None.
      coupling: "fast" draws by rejection, so that a draw of a fixed key jumps as `a` moves;
        "smooth" inverts the distribution function, at many times the cost: finite differences with
        a fixed key then agree with the gradient. Law and gradient are the same.

    Returns:
      An array of that shape and dtype, above 0. NaN where a traced `a` is NaN or not positive.

    Raises:
      TypeError: `key` is not a typed key, `a` is not real, or `dtype` is not a float.
      ValueError: an entry of `a` is not positive, the shapes do not broadcast, or `coupling` is
        another word.

    Example:
      >>> import jax, stochastic_net as sn
      >>> grad = jax.grad(lambda a: sn.random.gamma(jax.random.key(0), a))(1e6)
      >>> bool(0.99 < grad < 1.01)
      True

    Source: drawn by Marsaglia & Tsang (2000), whole arrays at a time; differentiated as Figurnov,
    Mohamed & Mnih (2018, arXiv:1805.08498), by an integral of our own.
    """
    check_key(key)
    positive(a=a)
    draw, a = arguments(shape, dtype, a=a)
    return draw.finish(_gamma(key, a, check_coupling(coupling)), low=0)


def loggamma(
    key: Key,
    a: ArrayLike,
    shape: Shape | None = None,
    dtype: DTypeLike | None = None,
    *,
    coupling: Coupling = "fast",
) -> Array:
    """Draw log z for z ~ Gamma(a, 1), also where z would underflow; the gradient is unbiased.

    dlog z/da = -(dF/da) / (z p(z)); see `gamma`, also for the arguments and errors. At a = 1e-3 the
    draw is about -1000.

    Example:
      >>> import jax, stochastic_net as sn
      >>> value, grad = jax.value_and_grad(lambda a: sn.random.loggamma(jax.random.key(0), a))(1e-3)
      >>> bool(-1e5 < value < 10), bool(grad > 0)
      (True, True)
    """
    check_key(key)
    positive(a=a)
    draw, a = arguments(shape, dtype, a=a)
    return draw.finish(_loggamma(key, a, check_coupling(coupling)))


def chisquare(
    key: Key,
    df: ArrayLike,
    shape: Shape | None = None,
    dtype: DTypeLike | None = None,
    *,
    coupling: Coupling = "fast",
) -> Array:
    """Draw from the chi-square distribution, 2 Gamma(df / 2, 1); the gradient is unbiased.

    Arguments and errors are those of `gamma`, with the degrees of freedom `df` above 0.

    Example:
      >>> import jax, stochastic_net as sn
      >>> bool(jax.grad(lambda df: sn.random.chisquare(jax.random.key(0), df))(3.0) > 0)
      True
    """
    check_key(key)
    positive(df=df)
    draw, df = arguments(shape, dtype, df=df)
    return draw.finish(2 * _gamma(key, 0.5 * df, check_coupling(coupling)), low=0)


def inverse_gamma(
    key: Key,
    a: ArrayLike,
    shape: Shape | None = None,
    dtype: DTypeLike | None = None,
    *,
    coupling: Coupling = "fast",
) -> Array:
    """Draw 1 / z for z ~ Gamma(a, 1); the pathwise gradient is unbiased.

    A scale multiplies. Draws that would overflow are the largest number of the dtype. Arguments and
    errors are those of `gamma`.

    Example:
      >>> import jax, stochastic_net as sn
      >>> bool(jax.grad(lambda a: sn.random.inverse_gamma(jax.random.key(0), a))(3.0) < 0)
      True
    """
    check_key(key)
    positive(a=a)
    draw, a = arguments(shape, dtype, a=a)
    return draw.finish(_inverse_gamma(key, a, check_coupling(coupling)), low=0)


def generalized_normal(
    key: Key,
    p: ArrayLike,
    shape: Shape | None = None,
    dtype: DTypeLike | None = None,
    *,
    coupling: Coupling = "fast",
) -> Array:
    """Draw from the density proportional to exp(-|z|^p); the pathwise gradient is unbiased.

    z = +-G^(1/p) with G ~ Gamma(1/p, 1), and dz/dp is that of the quantile of z. Arguments and
    errors are those of `gamma`, with the power `p` above 0: 1 is Laplace, 2 is N(0, 1/2).

    Example:
      >>> import jax, stochastic_net as sn
      >>> sn.random.generalized_normal(jax.random.key(0), 2.0, (3,)).shape
      (3,)
    """
    check_key(key)
    positive(p=p)
    draw, p = arguments(shape, dtype, p=p)
    return draw.finish(_generalized_normal(key, p, check_coupling(coupling)))


class Parts(NamedTuple):
    """A gamma variate as body * exp(log_boost), a product that may underflow."""

    body: Array
    log_boost: Array


def scaled(body: Array, log_scale: Array) -> Array:
    """body * e^log_scale, in two halves: e^log_scale alone may be no normal number."""
    half = jnp.exp(log_scale / 2)
    return body * half * half


def gamma_parts(key: Key, a: Array, smooth: bool) -> Parts:
    """Draw Gamma(a, 1), without derivatives: as a quantile where it is to be smooth in a."""
    if smooth:
        return Parts(jnp.ones_like(a), log_gamma_quantile(key, a))
    return _rejection(key, a)


def _rejection(key: Key, a: Array) -> Parts:
    """Draw Gamma(a, 1).

    The rejection of Marsaglia & Tsang (2000, "A simple method for generating gamma variables"),
    which accepts 98 % at a = 2 and more above. A shape below 2 is drawn as Gamma(a + 1) U^(1/a).
    """
    words = stream(key, a.shape)
    boosted = a < 2
    d = jnp.where(boosted, a + 1, a) - np.asarray(1 / 3, a.dtype)
    body = d * first_accepted(lambda n: _cube(words, n, d))
    return Parts(body, jnp.where(boosted, log_uniform(words, _BOOST, a.dtype) / a, 0.0))


def _cube(words: Stream, n: Array, d: Array) -> Array:
    """Round n proposes (1 + w)^3 with w = normal / sqrt(9 d); infinite where it is rejected."""
    first, second = uniforms(words, n, d.dtype)
    w = normal_quantile(first) * lax.rsqrt(9 * d)
    # normal^2 / 2 + d (1 - v + log v) for v = (1 + w)^3, its large terms cancelled by hand
    log_ratio = d * (3 * (log1p(w) - w + 0.5 * w * w) - w * w * w)
    rejected = (w <= -1) | (second > exp(log_ratio))
    return jnp.where(rejected, jnp.inf, (1 + w) * (1 + w) * (1 + w))


@partial(jax.jit, static_argnums=2)
def _gamma(key: Key, a: Array, smooth: bool) -> Array:
    body, log_boost = gamma_parts(key, lax.stop_gradient(a), smooth)
    return _move(jnp.maximum(scaled(body, log_boost), jnp.finfo(a.dtype).tiny), a)


@partial(jax.jit, static_argnums=2)
def _loggamma(key: Key, a: Array, smooth: bool) -> Array:
    body, log_boost = gamma_parts(key, lax.stop_gradient(a), smooth)
    return _move_log(jnp.log(body) + log_boost, a)


@partial(jax.jit, static_argnums=2)
def _inverse_gamma(key: Key, a: Array, smooth: bool) -> Array:
    body, log_boost = gamma_parts(key, lax.stop_gradient(a), smooth)
    info = jnp.finfo(a.dtype)
    return _move_inverse(jnp.clip(scaled(1 / body, -log_boost), info.tiny, info.max), a)


@partial(jax.jit, static_argnums=2)
def _generalized_normal(key: Key, p: Array, smooth: bool) -> Array:
    size_key, sign_key = jax.random.split(key)
    body, log_boost = gamma_parts(size_key, 1 / lax.stop_gradient(p), smooth)
    size = jnp.exp((jnp.log(body) + log_boost) / lax.stop_gradient(p))
    info = jnp.finfo(p.dtype)
    return _move_power(random_sign(sign_key, p) * jnp.clip(size, info.tiny, info.max), p)


@moving
def _move(z: Array, a: Array) -> tuple[Array]:
    return (z * log_gamma_derivative(a, z, jnp.log(z)),)


@moving
def _move_log(log_z: Array, a: Array) -> tuple[Array]:
    return (log_gamma_derivative(a, jnp.exp(log_z), log_z),)


@moving
def _move_inverse(z: Array, a: Array) -> tuple[Array]:
    return (finite(-z * log_gamma_derivative(a, 1 / z, -jnp.log(z))),)


@moving
def _move_power(z: Array, p: Array) -> tuple[Array]:
    log_size = jnp.log(jnp.abs(z))
    log_g, a = p * log_size, 1 / p
    dlog_g = log_gamma_derivative(a, jnp.exp(log_g), log_g)
    return (finite(-z * a * (log_size + a * a * dlog_g)),)
