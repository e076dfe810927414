"""The base of the families: parameters as fields, public methods written once."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, NoReturn, Self, dataclass_transform

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from stochastic_net._types import Array, ArrayLike, Key, Shape
from stochastic_net.distributions._arguments import broadcast_parameters, real_array
from stochastic_net.distributions._support import Integers, OneHot, Support
from stochastic_net.random import (
    check_key,
    checked,
    compute_dtype,
    require,
    require_if_concrete,
    sample_shape,
)
from stochastic_net.random._inverse import Coupling, check_coupling


@dataclasses.dataclass(frozen=True)
class _Rule:
    """What a parameter must be: in which set, and with how many axes of the event."""

    support: Support
    event_ndim: int


def parameter(support: Support, default: Any = dataclasses.MISSING, *, event_ndim: int = 0) -> Any:
    """Declare a parameter: the set it lies in, and how many of its last axes are of the event."""
    metadata = {"rule": _Rule(support, event_ndim)}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(parameter,))
class Family:
    """A distribution given by parameters that broadcast against each other.

    A family declares its parameters and writes formulas for one precision and one shape:

        class Laplace(Family):
            loc: Array = parameter(real, 0.0)
            scale: Array = parameter(positive, 1.0)

            @property
            def support(self): return real
            def _sample(self, key, shape): return self.loc + self.scale * laplace(...)
            def _log_prob(self, x): return -abs(x - self.loc) / self.scale - jnp.log(2 * self.scale)

    In the formulas `self` holds float32 or float64 arrays that are already broadcast (to the shape
    of the draw in `_sample`, of the value elsewhere), and `x` is a value inside the support. The
    rest is here: keys, shapes, 16-bit floats (computed in float32, rounded last), the outside of
    the support, and draws that never lie on an open end of it.

    Every family is a frozen dataclass and a pytree whose leaves are its parameters, in the shapes
    they were given, so that gradients have those shapes. Python numbers take the dtype of the other
    parameters. Values are checked where a family is made of arrays: at once, or under
    `jax.experimental.checkify` if traced.
    """

    _fields: ClassVar[dict[str, _Rule]] = {}

    def __init_subclass__(cls, **kwargs) -> None:
        super().__init_subclass__(**kwargs)
        dataclasses.dataclass(frozen=True, eq=False)(cls)
        fields: Any = dataclasses.fields(cls)  # pyrefly: ignore
        cls._fields = {field.name: field.metadata["rule"] for field in fields}
        cls.__init__ = _checked(cls.__init__)
        names = tuple(cls._fields)
        jax.tree_util.register_pytree_with_keys(
            cls,
            lambda d: (tuple((jax.tree_util.GetAttrKey(n), getattr(d, n)) for n in names), None),
            lambda _, leaves: _unchecked(cls, zip(names, leaves, strict=True)),
            lambda d: (tuple(getattr(d, n) for n in names), None),
        )

    @property
    def support(self) -> Support:
        """The set of the values: where the density is not zero."""
        raise NotImplementedError

    @property
    def batch_shape(self) -> Shape:
        """The shape of the independent draws: that of the parameters broadcast together."""
        shapes = (_batch(getattr(self, n), rule) for n, rule in self._fields.items())
        return jnp.broadcast_shapes(*shapes)

    @property
    def event_shape(self) -> Shape:
        """The shape of one draw: () unless its elements depend on each other."""
        return ()

    @property
    def shape(self) -> Shape:
        """The shape of `sample(key)`: `batch_shape` and `event_shape`."""
        return self.batch_shape + self.event_shape

    @property
    def dtype(self) -> jnp.dtype:
        """The dtype of the parameters, of densities, and of draws that are not integers."""
        floats = (getattr(self, n) for n, r in self._fields.items() if not r.support.integer)
        return next(floats).dtype

    def sample(self, key: Key, shape: Shape = (), *, coupling: Coupling = "fast") -> Array:
        """Draw an array of shape `shape + self.shape`.

        Args:
          key: one typed key, consumed. For one key per example map over both:
            `jax.vmap(Laplace.sample)(d, keys)`.
          shape: how many independent draws, as leading axes.
          coupling: how draws of one key at different parameters belong together. "fast" may draw by
            rejection: a draw then jumps where a proposal is refused, and its gradient is right on
            average. "smooth" draws by inversion, at many times the cost: a draw of a fixed key is a
            smooth function of the parameters, and its gradient, and the gradient of that, are its
            own derivatives. The law is the same.

        Raises:
          TypeError, ValueError: `key` is not one typed key, `shape` is no shape, a parameter has a
            value that it may not have, or the draw is discrete and was to be smooth.
        """
        check_key(key)
        for name, valid, message in self._rules():
            require_if_concrete(valid, getattr(self, name), message)
        self._check(require_if_concrete)
        shape = (*sample_shape(shape), *self.batch_shape)
        wide = self._spread(shape)
        if not check_coupling(coupling):
            return wide.support.admit(wide._sample(key, shape), self.dtype)
        if isinstance(wide.support, Integers | OneHot):
            raise TypeError(
                f"a draw of {type(self).__name__} is discrete: it cannot move smoothly with its "
                'parameters. Draw it with coupling="fast".'
            )
        return wide.support.admit(wide._smooth_sample(key, shape), self.dtype)

    def log_prob(self, value: ArrayLike) -> Array:
        """The logarithm of the density (of the probability, if discrete) at `value`.

        -inf outside the support, with derivative 0 there; NaN at NaN.

        Args:
          value: one draw, or an array whose shape ends with the shape of this distribution.

        Returns:
          An array of the shape of `value` less the event's axes.
        """
        value = real_array("value", value)
        x, wide = self._meet("value", value)
        outside = wide.support.excludes_rounded(x, self._coarser(value.dtype))
        log_prob = wide._log_prob(_inside(wide.support, outside, x))
        unknown = jnp.isnan(x).any(tuple(range(-len(self.event_shape), 0)))
        log_prob = jnp.where(outside, -jnp.inf, jnp.where(unknown, jnp.nan, log_prob))
        return log_prob.astype(self.dtype)

    def cdf(self, value: ArrayLike) -> Array:
        """P(z <= value), elementwise: 0 below the support, 1 above it; NaN at NaN."""
        x, wide = self._meet("value", value)
        support: Any = wide.support
        x = jnp.floor(x) if support.integer else x
        below = (x < support.low) if support.integer else (x <= support.low)
        above = x >= support.high
        cdf = wide._cdf(_inside(support, below | above | jnp.isinf(x), x))
        cdf = jnp.where(below, 0.0, jnp.where(above, 1.0, cdf))
        return jnp.where(jnp.isnan(x), jnp.nan, cdf).astype(self.dtype)

    def icdf(self, q: ArrayLike) -> Array:
        """The value below which z falls with probability `q` in [0, 1], elementwise; NaN at NaN."""
        q, wide = self._meet("q", q)
        q = checked(_is_probability, q, "q must be a probability, from 0 to 1.")
        support: Any = wide.support
        low, high, unknown = q <= 0, q >= 1, jnp.isnan(q)
        icdf = support.admit(wide._icdf(jnp.where(low | high | unknown, 0.5, q)), self.dtype)
        end = jnp.where(low, support.low, support.high).astype(self.dtype)
        return jnp.where(unknown, jnp.nan, jnp.where(low | high, end, icdf))

    @property
    def mean(self) -> Array:
        """E z; NaN where it does not exist."""
        return self._moment("_mean")

    @property
    def var(self) -> Array:
        """E (z - E z)^2; infinite where the integral diverges, NaN where there is no mean."""
        return self._moment("_var")

    def entropy(self) -> Array:
        """-E log p(z) in nats, of each event."""
        entropy = self._spread(self.batch_shape)._entropy()
        return jnp.broadcast_to(entropy, self.batch_shape).astype(self.dtype)

    def enumerate_support(self) -> Array:
        """Every value, along a new leading axis: shape (number of values, *self.shape)."""
        values = self._enumerate()
        ones = (1,) * len(self.batch_shape)
        values = values.reshape(values.shape[:1] + ones + values.shape[1:])
        return jnp.broadcast_to(values, (values.shape[0], *self.shape))

    def _sample(self, key: Key, shape: Shape) -> Array:
        raise NotImplementedError

    def _smooth_sample(self, key: Key, shape: Shape) -> Array:
        """The draw for coupling="smooth", of a family whose `_sample` does not invert."""
        return self._sample(key, shape)

    def _log_prob(self, x: Array) -> Array:
        raise NotImplementedError

    def _cdf(self, x: Array) -> Array:
        self._lacks("cdf", "Estimate it by the share of draws below: (d.sample(key, (n,)) <= x)")

    def _icdf(self, q: Array) -> Array:
        self._lacks("icdf", "Estimate it by jnp.quantile of draws")

    def _mean(self) -> Array:
        self._lacks("mean", "Estimate it: d.sample(key, (n,)).mean(0)")

    def _var(self) -> Array:
        self._lacks("var", "Estimate it: d.sample(key, (n,)).var(0)")

    def _entropy(self) -> Array:
        self._lacks("entropy", "Estimate it: -d.log_prob(d.sample(key, (n,))).mean(0)")

    def _enumerate(self) -> Array:
        self._lacks("enumerate_support", "Only a finite support can be enumerated: draw instead")

    def _check(self, need: Callable[..., None]) -> None:
        """`need(valid, value, message)` for what concerns several parameters at once."""

    def _lacks(self, method: str, remedy: str) -> NoReturn:
        raise NotImplementedError(
            f"{type(self).__name__} has no closed form of {method}. {remedy}."
        )

    def _rules(self) -> Iterator[tuple[str, Callable[[Array], Array], str]]:
        """Of every parameter its name, what its values must be, and how that is said."""
        for name, rule in self._fields.items():
            message = f"{name} of {type(self).__name__} must be {rule.support}."
            yield name, rule.support.contains, message

    def _moment(self, method: str) -> Array:
        moment = getattr(self._spread(self.batch_shape), method)()
        return jnp.broadcast_to(moment, self.shape).astype(self.dtype)

    def _spread(self, batch: Shape) -> Self:
        """The same distribution in the dtype to compute in, its parameters broadcast to `batch`."""
        dtype = compute_dtype(self.dtype)

        def spread(name: str, rule: _Rule) -> Array:
            array = getattr(self, name)
            array = array if rule.support.integer else array.astype(dtype)
            return jnp.broadcast_to(array, batch + array.shape[array.ndim - rule.event_ndim :])

        return _unchecked(type(self), ((n, spread(n, rule)) for n, rule in self._fields.items()))

    def _astype(self, dtype: DTypeLike) -> Self:
        """The same parameters in another floating dtype."""
        arrays = ((n, r.support.integer, getattr(self, n)) for n, r in self._fields.items())
        return _unchecked(type(self), ((n, a if i else a.astype(dtype)) for n, i, a in arrays))

    def _coarser(self, dtype: jnp.dtype) -> jnp.dtype:
        """`dtype`, that of a value, if it is one of floats that are coarser than this law's."""
        floating = jnp.issubdtype(dtype, jnp.floating)
        own = self.dtype
        return dtype if floating and jnp.finfo(dtype).eps > jnp.finfo(own).eps else own

    def _meet(self, name: str, value: ArrayLike) -> tuple[Array, Self]:
        """`value` and the distribution, in the dtype to compute in and of one shape."""
        x = real_array(name, value).astype(compute_dtype(self.dtype))
        if x.shape == self.event_shape:
            batch = self.batch_shape
        elif x.ndim >= len(self.shape) and x.shape[x.ndim - len(self.shape) :] == self.shape:
            batch = x.shape[: x.ndim - len(self.event_shape)]
        else:
            one = "a scalar" if self.event_shape == () else f"a value of shape {self.event_shape}"
            raise ValueError(
                f"expected {one} or an array whose shape ends with the {type(self).__name__}'s "
                f"{self.shape}, got {name} of shape {x.shape}. Broadcast it first, for example "
                "with jnp.broadcast_to."
            )
        return jnp.broadcast_to(x, batch + self.event_shape), self._spread(batch)


def _checked(init: Callable[..., None]) -> Callable[..., None]:
    """The dataclass's `__init__`, which then makes arrays of the arguments and checks them.

    Not `__post_init__`: what JAX takes apart and puts together does not come this way.
    """

    @functools.wraps(init)
    def __init__(self: Family, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        integers = {n for n, rule in self._fields.items() if rule.support.integer}
        given = {n: getattr(self, n) for n in self._fields}
        for name, array in broadcast_parameters(integers, given).items():
            object.__setattr__(self, name, array)
        _require_axes(self)
        for name, valid, message in self._rules():
            object.__setattr__(self, name, checked(valid, getattr(self, name), message))
        self._check(require)

    return __init__


def _is_probability(q: Array) -> Array:
    return (q >= 0) & (q <= 1)


def _require_axes(family: Family) -> None:
    """Parameters have the axes of their event, and the other axes broadcast."""
    for name, rule in family._fields.items():
        if getattr(family, name).ndim < rule.event_ndim:
            raise ValueError(
                f"{name} of {type(family).__name__} needs {rule.event_ndim} or more axes, got "
                f"shape {getattr(family, name).shape}."
            )
    try:
        family.batch_shape  # noqa: B018
    except ValueError:
        shapes = ", ".join(f"{n} {getattr(family, n).shape}" for n in family._fields)
        raise ValueError(
            f"the parameters of {type(family).__name__} must broadcast together, got {shapes}."
        ) from None


def _unchecked(cls: type, fields: Any) -> Any:
    family = object.__new__(cls)
    for name, leaf in fields:
        object.__setattr__(family, name, leaf)
    return family


def _batch(array: Array, rule: _Rule) -> Shape:
    return array.shape[: array.ndim - rule.event_ndim]


def _inside(support: Support, outside: Array, x: Array) -> Array:
    """`x`, and inside the support where it is outside: what is not chosen stays differentiable."""
    outside = outside.reshape(outside.shape + (1,) * support.event_ndim)
    return jnp.where(outside, support.interior(x), x)
