"""The pair: a mean and a variance for every element."""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtr, ndtri

from stochastic_net._types import Array, ArrayLike, Key, Shape
from stochastic_net.distributions._arguments import (
    parameters,
    real_array,
    spread,
)
from stochastic_net.random import (
    checked,
    compute_dtype,
    normal,
    require_if_concrete,
    sample_shape,
)
from stochastic_net.random._inverse import Coupling, check_coupling

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
_MEAN_RULE = "mean must be finite."
_VAR_RULE = (
    "var must be finite and not negative: it is the square of a standard deviation (have a "
    "deviation? Gaussian.from_std; a log-variance? Gaussian.from_log_var)."
)


@jax.tree_util.register_pytree_with_keys_class
@dataclasses.dataclass(frozen=True, eq=False, init=False)
class Gaussian:
    """Independent normal elements, given by their mean and their variance.

    z = mean + sqrt(var) * eps with eps ~ N(0, 1), drawn by `jax.random.normal`. The draw has the
    derivatives dz/dmean = 1 and dz/dvar = eps / (2 sqrt(var)), so that E f(z) is differentiated
    without bias (Kingma & Welling 2014, arXiv:1312.6114). Zero variance is legal: there z = mean,
    and by convention dz/dvar = 0, the average over eps of a derivative that has no limit.
    A variance below the dtype's smallest normal number (1.2e-38 in float32) counts as zero, on
    every backend alike.

    A frozen dataclass and a pytree with the leaves `mean` and `var`: it goes through `jax.jit`,
    `jax.grad`, `jax.vmap` and `jax.tree.map`. A pair is checked where it is made of arrays, and
    again by a draw outside `jax.jit`; what `jax.tree.map` or an optimiser makes of it is not:
    call `Gaussian(x.mean, x.var)` to have that checked under `checkify` too. float16 and bfloat16
    pairs are computed in float32 and rounded last.

    Arithmetic: constants shift and scale (`2 * x + 1`); `x + y` and `x - y` take the two as
    independent, so `x + x` is not `2 * x`.

    Args:
      mean: real floating array, any shape; finite.
      var: array of the same shape; finite, not negative. If the dtypes differ both are promoted.

    Raises:
      TypeError: an argument is not a floating array.
      ValueError: the shapes differ (nothing is broadcast), a variance is negative, or an entry is
        NaN or infinite. Traced values are checked where `jax.experimental.checkify` is used.

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> x = sn.Gaussian(jnp.zeros(3), jnp.array([0.0, 1.0, 4.0]))
      >>> z = x.sample(jax.random.key(0))
      >>> print(z.shape, z[0], (2 * x + 1).var)
      (3,) 0.0 [ 0.  4. 16.]
      >>> grad = jax.grad(lambda x: x.sample(jax.random.key(0)).sum())(x)
      >>> print(grad.mean, grad.var[0])
      [1. 1. 1.] 0.0
    """

    mean: Array
    var: Array

    __array_ufunc__ = None  # numpy leaves `array + x` to __radd__

    def __init__(self, mean: ArrayLike, var: ArrayLike) -> None:
        mean, var = parameters(mean=mean, var=var)
        mean = checked(jnp.isfinite, mean, _MEAN_RULE)
        var = checked(_finite_not_negative, var, _VAR_RULE)
        _set(self, mean, var)

    @classmethod
    def from_std(cls, mean: ArrayLike, std: ArrayLike) -> "Gaussian":
        """The pair with var = std ** 2; a negative deviation is an error, not its mirror image.

        Example:
          >>> print(Gaussian.from_std(0.0, 3.0).var)
          9.0
        """
        mean, std = parameters(mean=mean, std=std)
        std = checked(_finite_not_negative, std, "std must be finite and not negative.")
        return cls(mean, std * std)

    @classmethod
    def from_log_var(cls, mean: ArrayLike, log_var: ArrayLike) -> "Gaussian":
        """The pair with var = exp(log_var), positive whatever a network puts out.

        Example:
          >>> print(Gaussian.from_log_var(0.0, 0.0).var)
          1.0
        """
        mean, log_var = parameters(mean=mean, log_var=log_var)
        return cls(mean, jnp.exp(log_var))

    @property
    def std(self) -> Array:
        """sqrt(var), in the pair's dtype; 0 with derivative 0 where the variance is 0."""
        return self._std().astype(self.dtype)

    @property
    def is_point(self) -> Array:
        """Where the variance is zero, which here means below the smallest normal number."""
        var = self._wide(self.var)
        return jnp.abs(var) < jnp.finfo(var.dtype).tiny

    @property
    def shape(self) -> Shape:
        """The shape of `mean` and of `var`."""
        return self.mean.shape

    @property
    def dtype(self) -> jnp.dtype:
        """The dtype of `mean` and of `var`."""
        return self.mean.dtype

    def sample(self, key: Key, shape: Shape = (), *, coupling: Coupling = "fast") -> Array:
        """Draw mean + std * eps, with gradients to `mean` and `var`; an unbiased estimator.

        Args:
          key: one typed key, consumed. For one key per example: `jax.vmap(sn.Gaussian.sample)`.
          shape: how many independent draws, as leading axes.
          coupling: "fast" and "smooth" are the same here.

        Returns:
          An array of shape `shape + self.shape` and of the pair's dtype.

        Raises:
          TypeError, ValueError: `key` is not one typed key, or a variance is negative or NaN.
        """
        check_coupling(coupling)
        require_if_concrete(_finite_not_negative, self.var, _VAR_RULE)
        shape = (*sample_shape(shape), *self.shape)
        eps = normal(key, shape, compute_dtype(self.dtype))
        mean, std = spread(shape, self._wide(self.mean), self._std())
        return (mean + std * eps).astype(self.dtype)

    def log_prob(self, value: ArrayLike) -> Array:
        """log N(value; mean, var), elementwise; at zero variance +inf at the mean, else -inf.

        Args:
          value: a scalar, or an array whose shape ends with the shape of the pair.
        """
        t = self._standardise(value)
        point, log_std = spread(t.shape, self.is_point, self._log_std())
        log_density = -0.5 * (t * t) - log_std - _HALF_LOG_2PI
        return jnp.where(point & (t == 0), jnp.inf, log_density).astype(self.dtype)

    def cdf(self, value: ArrayLike) -> Array:
        """P(z <= value), elementwise; a step at the mean where the variance is zero."""
        t = self._standardise(value)
        (point,) = spread(t.shape, self.is_point)
        return jnp.where(point & (t == 0), 1.0, ndtr(t)).astype(self.dtype)

    def icdf(self, q: ArrayLike) -> Array:
        """The value below which z falls with probability q in [0, 1]; the mean at zero variance."""
        q = self._wide(real_array("q", q))
        q = checked(_is_probability, q, "q must be a probability, from 0 to 1.")
        shape = self._event_shape(q)
        q, mean, std = spread(shape, q, self._wide(self.mean), self._std())
        point = std == 0
        return (mean + std * ndtri(jnp.where(point, 0.5, q))).astype(self.dtype)

    def entropy(self) -> Array:
        """Differential entropy log(2 pi e var) / 2 in nats, elementwise; -inf at zero variance."""
        entropy = self._log_std() + _HALF_LOG_2PI + 0.5
        return jnp.where(self.is_point, -jnp.inf, entropy).astype(self.dtype)

    def __neg__(self) -> "Gaussian":
        return _derived(-self.mean, self.var)

    def __add__(self, other: "Gaussian | ArrayLike") -> "Gaussian":
        if isinstance(other, Gaussian):
            _same_shape(self, other)
            return _derived(self.mean + other.mean, self.var + other.var)
        return _derived(self.mean + self._constant(other), self.var)

    def __sub__(self, other: "Gaussian | ArrayLike") -> "Gaussian":
        if isinstance(other, Gaussian):
            return self + (-other)
        return _derived(self.mean - self._constant(other), self.var)

    def __mul__(self, constant: ArrayLike) -> "Gaussian":
        c = self._constant(constant)
        return _derived(self.mean * c, self.var * c * c)

    def __truediv__(self, constant: ArrayLike) -> "Gaussian":
        c = self._constant(constant)
        return _derived(self.mean / c, self.var / c / c)

    __radd__ = __add__
    __rmul__ = __mul__

    def __rsub__(self, constant: ArrayLike) -> "Gaussian":
        return (-self) + constant

    def tree_flatten_with_keys(self):
        """The leaves with their names, for `jax.tree_util`."""
        return tuple((jax.tree_util.GetAttrKey(n), getattr(self, n)) for n in ("mean", "var")), None

    def tree_flatten(self):
        """The leaves, for `jax.tree_util`."""
        return (self.mean, self.var), None

    @classmethod
    def tree_unflatten(cls, _, leaves):
        """The pair of any two leaves; unchecked, for JAX puts tracers and placeholders here."""
        return _unchecked(*leaves)

    def _wide(self, array: Array) -> Array:
        return array.astype(compute_dtype(self.dtype))

    def _std(self) -> Array:
        """The only square root. Two selects, for the derivative of the unselected one is inf."""
        point = self.is_point
        return jnp.where(point, 0.0, jnp.sqrt(jnp.where(point, 1.0, self._wide(self.var))))

    def _log_std(self) -> Array:
        """log(var) / 2, and 0 where the variance is zero."""
        return 0.5 * jnp.log(jnp.where(self.is_point, 1.0, self._wide(self.var)))

    def _standardise(self, value: ArrayLike) -> Array:
        """(value - mean) / std; at zero variance its limit 0 or +-inf, with derivative 0."""
        value = self._wide(real_array("value", value))
        shape = self._event_shape(value)
        value, mean, std = spread(shape, value, self._wide(self.mean), self._std())
        distance = value - mean
        point = std == 0
        limit = jnp.where(distance == 0, 0.0, jnp.where(distance < 0, -jnp.inf, jnp.inf))
        return jnp.where(point, limit, distance / jnp.where(point, 1.0, std))

    def _event_shape(self, value: Array) -> Shape:
        """The shape of a function of `value`: the value's, or the pair's for a scalar value."""
        if value.ndim == 0:
            return self.shape
        extra = value.ndim - len(self.shape)
        if extra >= 0 and value.shape[extra:] == self.shape:
            return value.shape
        raise ValueError(
            f"expected a scalar or an array whose shape ends with the Gaussian's {self.shape}, "
            f"got shape {value.shape}. Broadcast it first, for example with jnp.broadcast_to."
        )

    def _constant(self, constant: ArrayLike) -> ArrayLike:
        """`constant` at the pair's shape; a Python number stays one, so that it keeps the dtype."""
        if isinstance(constant, Gaussian):
            raise TypeError(
                "a product or quotient of Gaussians is not Gaussian: multiply and divide by "
                "constants, or draw first and multiply the draws."
            )
        shape = real_array("a constant", constant).shape
        if shape == () or shape == self.shape:
            return constant
        if jnp.broadcast_shapes(shape, self.shape) != self.shape:
            raise ValueError(
                f"a constant of shape {shape} would repeat a Gaussian of shape {self.shape} as if "
                "the copies were independent. Broadcast mean and var yourself if they are."
            )
        return jnp.broadcast_to(constant, self.shape)


def _set(pair: Gaussian, mean: Array, var: Array) -> None:
    object.__setattr__(pair, "mean", mean)
    object.__setattr__(pair, "var", var)


def _derived(mean: Array, var: Array) -> Gaussian:
    """A pair made of valid pairs and constants; those were checked when they were made."""
    require_if_concrete(jnp.isfinite, mean, _MEAN_RULE)
    require_if_concrete(_finite_not_negative, var, _VAR_RULE)
    return _unchecked(mean, var.astype(mean.dtype))


def _unchecked(mean: Array, var: Array) -> Gaussian:
    """A pair that JAX takes apart and puts together."""
    pair = object.__new__(Gaussian)
    _set(pair, mean, var)
    return pair


def _finite_not_negative(array: Array) -> Array:
    return jnp.isfinite(array) & (array >= 0)


def _is_probability(q: Array) -> Array:
    return (q >= 0) & (q <= 1)


def _same_shape(x: Gaussian, y: Gaussian) -> None:
    if x.shape != y.shape:
        raise ValueError(
            f"Gaussians of shapes {x.shape} and {y.shape} cannot be added: nothing is broadcast, "
            "for the copies would be taken as independent."
        )
