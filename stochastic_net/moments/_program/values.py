"""What flows through a program under propagation: constants, and functions of a Gaussian.

A constant is an array. Everything else is an `Elementwise`: a function, element by element, of one
`Root`, a Gaussian for every element, of which nothing has asked the moments yet. `x * sigmoid(x)`
so stays one function of x, where taking its factors for independent would be wrong by a fifth.
"""

import dataclasses
import functools
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, TypeAlias, TypeGuard
from weakref import WeakValueDictionary

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import JaxprEqn
from jax.typing import ArrayLike

from stochastic_net._types import Array, Shape
from stochastic_net.moments._integrals.precision import Form, Moments, rounded, wide
from stochastic_net.moments._integrals.quadrature import Function, expectation
from stochastic_net.moments._integrals.rest import Rest
from stochastic_net.moments._program.no_rule import NoRule
from stochastic_net.moments._program.tape import asking, node, variance


class Root:
    """A Gaussian for every element; its identity is that of its noise.

    `origin` is one of `_rules.origins`: what a rule further on may want to know. One that has
    arrays has a `then`, that moves them. `kin` are those of the same noise that are in use, by how
    they were repeated and in which dtype.
    """

    def __init__(
        self, mean: Array, var: Array | Callable[[], Array], origin: object = None
    ) -> None:
        self.origin, self._mean, self._var = origin, mean, var
        self.how: tuple[Hashable, ...] = ()
        self.kin = WeakValueDictionary[tuple, Root]()

    @property
    def mean(self) -> Array:
        """E."""
        return self._mean

    @property
    def var(self) -> Array:
        """Computed once, when it is asked for."""
        if callable(self._var):
            self._var = self._var()
        return self._var

    @property
    def like(self) -> jax.ShapeDtypeStruct | Array:
        """What has the shape and dtype of the mean."""
        return self._mean

    def repeat(self, how: Hashable, apply: Callable[[Array], Array]) -> "Root":
        """The same in another shape, where elements may be repeated; always the same one."""

        def make() -> Root:
            mean = apply(self.mean)
            return Root(mean, variance(mean, apply(self.var)), self._moved(apply))

        return self._kin(make, (*self.how, how), self.like.dtype)

    def cast(self, dtype: np.dtype) -> "Root":
        """The same in another dtype; cast back it is itself."""

        def apply(x: Array) -> Array:
            return x.astype(dtype)

        def make() -> Root:
            like = jax.ShapeDtypeStruct(self.like.shape, dtype)
            return Later(lambda: (apply(self.mean), apply(self.var)), like, self._moved(apply))

        return self._kin(make, self.how, dtype)

    def _kin(self, make: Callable[[], "Root"], how: tuple, dtype: np.dtype) -> "Root":
        self.kin.setdefault((self.how, self.like.dtype), self)
        found = self.kin.get((how, dtype))
        if found is None:
            self.kin[how, dtype] = found = make()
            found.how, found.kin = how, self.kin
        return found

    def _moved(self, apply: Callable[[Array], Array]) -> object:
        then = getattr(self.origin, "then", None)
        return then(apply) if then else self.origin


class Later(Root):
    """One whose moments are worked out when something asks for them; they are those of `like`."""

    def __init__(
        self, moments: Callable[[], Moments], like: jax.ShapeDtypeStruct, origin: object = None
    ) -> None:
        self.origin, self._of, self._like, self._asking = origin, moments, like, asking.get()
        self.how, self.kin = (), WeakValueDictionary()

    @functools.cached_property
    def _moments(self) -> Moments:
        with asking.being(self._asking):
            mean, var = self._of()
            own = variance(mean, var)
            return mean, own() if callable(own) else own

    @property
    def mean(self) -> Array:
        """Computed once, as is the variance."""
        return self._moments[0]

    @property
    def var(self) -> Array:
        """Computed once, as is the mean."""
        return self._moments[1]

    @property
    def like(self) -> jax.ShapeDtypeStruct | Array:
        """What has the shape and dtype of the mean."""
        return self._like


def later(moments: Callable[[], Moments], eqn: JaxprEqn, origin: object = None) -> "Elementwise":
    """The result of an equation, worked out when something asks for it."""
    aval: Any = eqn.outvars[0].aval
    return Elementwise(Line(Later(moments, jax.ShapeDtypeStruct(aval.shape, aval.dtype), origin)))


@dataclasses.dataclass(frozen=True, eq=False)
class Line:
    """u = scale * root + shift, the Gaussian that an elementwise function is applied to."""

    root: Root
    scale: Array | float = 1.0
    shift: Array | float = 0.0

    @property
    def is_root(self) -> bool:
        """Whether u is the root itself."""
        return _is_number(self.scale, 1.0) and _is_number(self.shift, 0.0)

    def moments(self) -> Moments:
        """E u and Var u."""
        mean, var = self.root.mean, self.root.var
        if not _is_number(self.scale, 1.0):
            scale = jnp.asarray(self.scale, mean.dtype)
            large, spread = wide((scale, var))  # for the square may be out of range in 16 bits
            var = (large * large * spread).astype(mean.dtype)
        return self.at(mean), var

    def at(self, x: Array) -> Array:
        """u where the root is x."""
        if not _is_number(self.scale, 1.0):
            x = jnp.asarray(self.scale, x.dtype) * x
        return x if _is_number(self.shift, 0.0) else x + jnp.asarray(self.shift, x.dtype)

    def then(self, scale: Array | float, shift: Array | float) -> "Line":
        """scale * u + shift."""
        start = shift if _is_number(self.shift, 0.0) else scale * self.shift + shift
        return Line(self.root, scale * self.scale, start)


def _is_number(x: Array | float, number: float) -> bool:
    return isinstance(x, float) and x == number


class Question(NamedTuple):
    """compare(u, place), true above the place or below it."""

    compare: Callable[[Array, Array], Array]
    above: bool
    place: Array


class Mask(NamedTuple):
    """That a value is `of` where `chosen`, which is a constant, and else the constant `other`."""

    chosen: Array
    of: "Elementwise"
    other: Any


class Exponential(NamedTuple):
    """That a value is e^of; and what it was before it was made 0 where it is not `chosen`."""

    of: "Elementwise"
    before: "Elementwise | None" = None
    chosen: Array | None = None


class Elementwise:
    """function(u) of a line u, or the line itself where there is no function.

    `closed` maps E u and Var u to E and Var of function(u), where that is known; `breaks` are the
    places u where the function is known to have a kink or a jump, and `clipped` says that between
    them it is u itself or constant. `question` is what the function asks of u, if it asks no more;
    `rest` is the function less a limit of it. `mask` and `exponential` say that it is one, `was`
    what it was in another dtype.
    """

    def __init__(
        self,
        line: Line,
        function: Function | None = None,
        closed: Form | None = None,
        breaks: tuple[ArrayLike, ...] = (),
        clipped: bool = False,
        question: Question | None = None,
        rest: Rest | None = None,
        mask: Mask | None = None,
        exponential: Exponential | None = None,
        was: "Elementwise | None" = None,
    ) -> None:
        self.line, self.function, self.closed = line, function, closed
        self.breaks, self.clipped, self.question = breaks, clipped or function is None, question
        self.rest, self.mask, self.exponential, self.was = rest, mask, exponential, was
        self._moments: Moments | None = None
        self._gaussian: Elementwise | None = None

    @property
    def shape(self) -> Shape:
        """Of the value."""
        return self.line.root.like.shape

    @property
    def dtype(self):
        """Of its mean and variance."""
        return self.line.root.like.dtype

    def at(self, x: Array) -> Array:
        """The value where the root is x."""
        u = self.line.at(x)
        return u if self.function is None else self.function(u)

    def moments(self) -> Moments:
        """E and Var, computed once."""
        if self._moments is None:
            if self.function is None:
                self._moments = self.line.moments()
            elif self.was is None:
                self._moments = self._bent(self.function, *self.line.moments())
            else:
                mean, var = self.was.moments()
                self._moments = mean.astype(self.dtype), var.astype(self.dtype)
        return self._moments

    def as_line(self) -> Line:
        """Itself if it is a line, else the Gaussian of its moments, always the same one."""
        if self.function is None:
            return self.line
        if self.was is not None:
            line = self.was.as_line()
            return dataclasses.replace(line, root=line.root.cast(self.dtype))
        self._gaussian = self._gaussian or gaussian(*self.moments())
        return self._gaussian.line

    def gain(self) -> Array:
        """dE / dE u: by Stein's lemma, the slope of the best line in u."""
        (mean, var), function = wide(self.line.moments()), self.function
        if function is None:
            return jnp.ones_like(mean)
        moved = jax.jvp(lambda m: self._of(function, m, var)[0], (mean,), (jnp.ones_like(mean),))
        return moved[1].astype(self.dtype)

    def at_moments(self, mean: Array, var: Array) -> Moments:
        """E and Var for a Gaussian u of these."""
        return (mean, var) if self.function is None else self._of(self.function, mean, var)

    def _of(self, function: Function, mean: Array, var: Array) -> Moments:
        if self.closed:
            return self.closed(mean, var)

        narrow, wide = self.dtype, mean.dtype
        if narrow == wide:
            return expectation(function, mean, var, self.breaks, self.rest)

        def widely(u: Array) -> Array:
            return function(u.astype(narrow)).astype(wide)

        return expectation(widely, mean, var, self.breaks)

    def _bent(self, function: Function, mean: Array, var: Array) -> Moments:
        like = mean
        if not like.size:
            return like, like
        mean, var = wide((mean, var))
        kind = like.dtype if self.closed else jax.eval_shape(function, like).dtype
        if not jnp.issubdtype(kind, jnp.floating):
            raise NoRule(
                f"a random value was made {kind}, by rounding or comparing, and then used as such: "
                "that has no mean and variance. Use it within elementwise operations, as jnp.where "
                "does, or keep random values out of it."
            )

        def rest() -> Array:
            gain = jax.jvp(lambda m: self._of(function, m, var)[0], (mean,), (ones,))[1]
            return (out[1] - gain * gain * var).astype(like.dtype)

        def shared(matrix: Callable) -> Array:
            bend = jax.jvp(lambda v: self._of(function, mean, v)[0], (var,), (ones,))[1].reshape(-1)
            return 2 * bend[:, None] * bend[None] * jnp.square(matrix(mean, mean))

        out, ones = self._of(function, mean, var), jnp.ones_like(mean)
        return node(*rounded(out, like), rest, shared)


Value: TypeAlias = Array | Elementwise


def gaussian(mean: Array, var: Array, origin: object = None) -> Elementwise:
    """A new Gaussian; of variance `var` if the elements that it is made of are independent."""
    return Elementwise(Line(Root(mean, variance(mean, var), origin)))


def origin(value: Value) -> object:
    """The origin of a value that is a root; None of any other."""
    if not isinstance(value, Elementwise) or value.function or not value.line.is_root:
        return None
    return value.line.root.origin


def is_random(value: Value) -> TypeGuard[Elementwise]:
    """Whether it is not a constant."""
    return isinstance(value, Elementwise)


def split(values: list[Value]) -> tuple[list[Elementwise], list[Array]]:
    """The random values and the constants."""
    randoms = [x for x in values if isinstance(x, Elementwise)]
    return randoms, [x for x in values if not isinstance(x, Elementwise)]


def moments(value: Value) -> Moments:
    """E and Var of a value; a constant has variance 0."""
    return value.moments() if isinstance(value, Elementwise) else (value, jnp.zeros_like(value))
