"""A mixture of the laws of one family, with a gradient in its weights too."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from stochastic_net._types import Array, ArrayLike, Key, Shape
from stochastic_net.distributions._arguments import parameters, real_array
from stochastic_net.distributions._convert import own
from stochastic_net.distributions._independent import Independent
from stochastic_net.distributions._mixture_gradient import move
from stochastic_net.distributions._mixture_quantile import draw_quantile
from stochastic_net.distributions._no_pathwise import refuse_gradient
from stochastic_net.distributions._support import RealVector, Support, hull, real
from stochastic_net.random import (
    check_key,
    compute_dtype,
    require,
    require_if_concrete,
    sample_shape,
)
from stochastic_net.random._inverse import Coupling, check_coupling


@jax.tree_util.register_pytree_with_keys_class
@dataclasses.dataclass(frozen=True, eq=False, init=False)
class Mixture:
    """With probability softmax(logits)_k a draw from the k-th component.

    If logits have shape (*batch, K), components of shape (*batch, K) make a mixture of numbers and
    such of shape (*batch, K, D) one of vectors, whose D elements are independent given k. A
    component is drawn, and the draw then moves with all parameters, the weights too, so as to keep
    its quantile: dz/dtheta = -(dF/dtheta) / p(z) with the mixture's cdf F, for vectors one element
    after the other given those before (the distributional transform). The gradient is unbiased,
    unless the supports of the components leave a gap between them (two uniform laws that do not
    touch): a draw jumps over it, and the gradient in the weights misses the jump. It takes the
    derivatives of the components' cdf: where one is not known, differentiating raises. A draw of
    discrete components has none, and raises too.

    Args:
      logits: logarithms of the weights, floating, shape (*batch, K); -inf means never.
      components: a `Gaussian` or a family of numbers, of shape (*batch, K) or (*batch, K, D), or an
        `Independent` of the latter. Nothing is broadcast. A draw of zero variance does not move.

    Raises:
      TypeError, ValueError: no floating array; shapes that do not fit; NaN, or no weight at all.

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> pair = sn.Gaussian(jnp.array([-1.0, 3.0]), jnp.ones(2))
      >>> d = sn.distributions.Mixture(jnp.zeros(2), pair)
      >>> print(d.mean, d.var)
      1.0 5.0
      >>> grad = jax.grad(lambda d: d.sample(jax.random.key(0), (10,)).sum())(d)
      >>> print(bool(abs(grad.logits).min() > 0))
      True

    Source: Graves (2016, arXiv:1607.05690); Figurnov, Mohamed & Mnih (2018, arXiv:1805.08498).
    """

    logits: Array
    components: Any

    def __init__(self, logits: ArrayLike, components: Any) -> None:
        (logits,) = parameters(logits=logits)
        components = own(components)
        if isinstance(components, Independent):
            components = own(components.base)
        _require_shapes(logits, components)
        _require_numbers(components)
        object.__setattr__(self, "logits", logits)
        object.__setattr__(self, "components", components)
        self._require(require)

    @property
    def support(self) -> Support:
        """Where the components have their mass, or between the least and the greatest of bounds
        that differ; all numbers for pairs."""
        support = self._wide()._hull()
        return RealVector() if self.event_shape and support is real else support

    @property
    def batch_shape(self) -> Shape:
        """The shape of `logits` less its last axis."""
        return self.logits.shape[:-1]

    @property
    def event_shape(self) -> Shape:
        """() or, for vectors, (D,)."""
        return self.components.shape[self.logits.ndim :]

    @property
    def shape(self) -> Shape:
        """The shape of `sample(key)`: `batch_shape` and `event_shape`."""
        return self.batch_shape + self.event_shape

    @property
    def dtype(self) -> jnp.dtype:
        """The dtype of the components."""
        return self.components.dtype

    def sample(self, key: Key, shape: Shape = (), *, coupling: Coupling = "fast") -> Array:
        """Draw an array of shape `shape + self.shape`; an unbiased pathwise estimator.

        Args:
          key: one typed key, consumed.
          shape: how many independent draws, as leading axes.
          coupling: "fast" draws a component first, "smooth" inverts the mixture's cdf, so that a
            draw of a fixed key is smooth in weights and components; see `Family.sample`.
        """
        check_key(key)
        self._require(require_if_concrete)
        wide, shape = self._wide(), sample_shape(shape)
        support = wide._hull()
        smooth = check_coupling(coupling)
        if support.integer:
            if smooth:
                raise TypeError('a draw of discrete components: draw it with coupling="fast".')
            draw = wide._draw(key, shape)
            parameters = {"logits": self.logits, "components": self.components}
            return refuse_gradient("Mixture", draw, parameters)
        draw = wide._invert(key, shape, support) if smooth else wide._draw(key, shape)
        moved = move(draw, wide.logits, wide.components)
        return support.admit(moved, self.dtype) if support.event_ndim == 0 else moved

    def log_prob(self, value: ArrayLike) -> Array:
        """The log-density at `value`, whose shape ends with that of this distribution.

        Returns:
          An array of the shape of `value` less the event's axis.
        """
        wide, x = self._meet(value)
        infinite = jnp.isinf(x)  # where a pair's log-density has no derivative
        log_density = wide.components.log_prob(jnp.where(infinite, 0.0, x))
        log_density = jnp.where(infinite, -jnp.inf, log_density)
        log_density = log_density.sum(-1) if self.event_shape else log_density
        log_weights = jnp.broadcast_to(jax.nn.log_softmax(wide.logits), log_density.shape)
        return _log_sum(log_weights + log_density).astype(self.dtype)

    def cdf(self, value: ArrayLike) -> Array:
        """P(z <= value) for a mixture of numbers."""
        if self.event_shape:
            raise NotImplementedError("a mixture of vectors has no cdf; the components do.")
        wide, x = self._meet(value)
        cdf = wide.components.cdf(x)
        weights = jnp.broadcast_to(jax.nn.softmax(wide.logits), cdf.shape)
        return (weights * cdf).sum(-1).astype(self.dtype)

    @property
    def mean(self) -> Array:
        """E z."""
        return self._wide()._moments()[0].astype(self.dtype)

    @property
    def var(self) -> Array:
        """E (z - E z)^2, elementwise."""
        return self._wide()._moments()[1].astype(self.dtype)

    def tree_flatten_with_keys(self):
        """The children with their names, for `jax.tree_util`."""
        names = ("logits", "components")
        return tuple((jax.tree_util.GetAttrKey(n), getattr(self, n)) for n in names), None

    def tree_flatten(self):
        """The children, for `jax.tree_util`."""
        return (self.logits, self.components), None

    @classmethod
    def tree_unflatten(cls, _, children):
        """The mixture of any two children; unchecked, for JAX puts placeholders here."""
        return _unchecked(*children)

    def _require(self, need) -> None:
        message = "logits of Mixture must be numbers below infinity, not all of them -inf."
        need(lambda x: x < jnp.inf, self.logits, message)
        need(lambda x: (x > -jnp.inf).any(-1), self.logits, message)

    def _wide(self) -> "Mixture":
        """The same mixture in the dtype to compute in, every parameter at the components' shape."""
        dtype, shape = compute_dtype(self.dtype), self.components.shape

        def spread(leaf: Array) -> Array:
            leaf = leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf
            return jnp.broadcast_to(leaf, shape)

        return _unchecked(self.logits.astype(dtype), jax.tree.map(spread, self.components))

    def _hull(self) -> Support:
        """The support of the components, whose bounds may be arrays of their shape."""
        axis = -1 - len(self.event_shape)
        return hull(getattr(self.components, "support", real), axis)

    def _draw(self, key: Key, shape: Shape) -> Array:
        """A component for each draw, and a draw from it."""
        choice_key, draw_key = jax.random.split(key)
        logits = lax.stop_gradient(self.logits)
        choice = jax.random.categorical(choice_key, logits, shape=shape + self.batch_shape)
        axis = -1 - len(self.event_shape)

        def pick(leaf: Array) -> Array:
            leaf = jnp.broadcast_to(lax.stop_gradient(leaf), shape + leaf.shape)
            index = jnp.expand_dims(choice, tuple(range(axis, 0)))
            return jnp.take_along_axis(leaf, index, axis).squeeze(axis)

        return jax.tree.map(pick, self.components).sample(draw_key)

    def _invert(self, key: Key, shape: Shape, support: Support) -> Array:
        """A quantile for each draw."""
        logits, components = jax.tree.map(
            lambda leaf: jnp.broadcast_to(leaf, shape + leaf.shape),
            lax.stop_gradient((self.logits, self.components)),
        )
        return draw_quantile(key, logits, components, support)

    def _meet(self, value: ArrayLike) -> tuple["Mixture", Array]:
        """The mixture in the dtype to compute in, and `value` for each of its components."""
        wide = self._wide()
        x = real_array("value", value).astype(wide.dtype)
        lead = x.ndim - len(self.shape)
        if x.shape == self.event_shape:
            x, lead = jnp.broadcast_to(x, self.shape), 0
        if lead < 0 or x.shape[lead:] != self.shape:
            raise ValueError(
                f"expected a value whose shape ends with the Mixture's {self.shape}, got shape "
                f"{x.shape}. Broadcast it first, for example with jnp.broadcast_to."
            )
        x = jnp.expand_dims(x, -1 - len(self.event_shape))
        return wide, jnp.broadcast_to(x, x.shape[:lead] + self.components.shape)

    def _moments(self) -> tuple[Array, Array]:
        axis = -1 - len(self.event_shape)
        weights = jax.nn.softmax(self.logits)
        weights = weights[..., None] if self.event_shape else weights
        mean, var = self.components.mean, self.components.var
        weights = jnp.broadcast_to(weights, mean.shape)
        centre = (weights * mean).sum(axis, keepdims=True)
        return centre.squeeze(axis), (weights * (var + jnp.square(mean - centre))).sum(axis)


def _log_sum(x: Array) -> Array:
    """logsumexp over the last axis, with derivative 0 where no term is positive."""
    nowhere = (x == -jnp.inf).all(-1)
    total = jax.nn.logsumexp(jnp.where(nowhere[..., None], 0.0, x), -1)
    return jnp.where(nowhere, -jnp.inf, total)


def _require_numbers(components: Any) -> None:
    """Laws of numbers given by arrays of one shape each, of which one can be picked."""
    rules = getattr(components, "_fields", {}).values()
    if isinstance(components, Mixture) or any(rule.event_ndim for rule in rules):
        raise TypeError(
            f"the components of a Mixture cannot be of the type {type(components).__name__}. They "
            "are a Gaussian or a family of numbers; flatten a mixture of mixtures to one, its "
            "logits the sums of the log-softmax of both levels."
        )


def _require_shapes(logits: Array, components: Any) -> None:
    shape = getattr(components, "shape", None)
    event = getattr(components, "event_shape", ())
    fits = shape is not None and event == () and logits.ndim >= 1 and logits.shape[-1] >= 1
    if not fits or shape[: logits.ndim] != logits.shape or len(shape) > logits.ndim + 1:
        raise ValueError(
            "Mixture needs logits of shape (*batch, K) and components of numbers of shape "
            f"(*batch, K) or (*batch, K, D), got {logits.shape} and a {type(components).__name__} "
            f"of shape {shape}."
        )


def _unchecked(logits: Any, components: Any) -> Mixture:
    mixture = object.__new__(Mixture)
    object.__setattr__(mixture, "logits", logits)
    object.__setattr__(mixture, "components", components)
    return mixture
