"""What makes a function an entry of the catalogue: options first or a call, and a declared bias."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, overload

from stochastic_net._types import Array, Key, PyTree

Function = Callable[..., Array]  # f: from a pytree of draws to an array
Options = dict[str, Any]


class Bias(NamedTuple):
    """The expected gradient is off by O(`of` ** `order`)."""

    of: str
    order: int

    def __str__(self) -> str:
        return f"O({self.of})" if self.order == 1 else f"O({self.of}^{self.order})"


class Configurable(Protocol):
    """An estimator, which called with options alone is the estimator with these options.

    `bias` is None or what the error of the expected gradient is of; `independent` says that its
    draws must be independent of each other, so that no wrapper may couple them.
    """

    __name__: str
    bias: Bias | None
    independent: bool

    @overload
    def __call__(
        self, f: Function, dist: PyTree, key: Key, *, num_samples: int = ..., **options: Any
    ) -> Array: ...

    @overload
    def __call__(self, **options: Any) -> "Configurable": ...


def estimator(
    bias: Bias | Callable[[Options], Bias | None] | None = None,
    independent: bool | Callable[[Options], bool] = False,
) -> Callable[[Callable[..., Array]], Configurable]:
    """Make a function `(f, dist, key, *, num_samples, ...)` an estimator that takes options first.

    Args:
      bias: of the expected gradient, or a function of the options that says it.
      independent: whether the estimate needs independent draws, or a function of the options.

    Example:
      >>> import stochastic_net as sn
      >>> baseline = sn.estimators.score_function(control_variate="batch_mean")
      >>> print(baseline.__name__, baseline.bias)
      score_function(control_variate='batch_mean') O(1/num_samples)
    """
    return lambda function: _configured(function, {}, bias, independent)


def _configured(function: Callable[..., Array], options: Options, bias, independent) -> Any:
    """`function` with `options` bound, as a function that takes more of them."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: Any, **more: Any) -> Any:
        if args or "f" in more:
            return function(*args, **{**options, **more})
        signature.bind_partial(**more)  # raises for an option that there is not
        return _configured(function, {**options, **more}, bias, independent)

    shown = ", ".join(f"{name}={_short(value)}" for name, value in options.items())
    call.__name__ = f"{function.__name__}({shown})" if options else function.__name__
    call.bias = bias(options) if callable(bias) else bias  # pyrefly: ignore
    call.independent = independent(options) if callable(independent) else independent  # pyrefly: ignore
    return call


def _short(value: object) -> str:
    plain = isinstance(value, str | int | float | bool | None)
    return repr(value) if plain else getattr(value, "__name__", type(value).__name__)
