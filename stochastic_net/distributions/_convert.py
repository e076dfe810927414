"""Distributions of other libraries as ours: an open table of conversions."""

from collections.abc import Callable
from typing import Any

Conversion = Callable[[Any], Any]
_CONVERSIONS: dict[tuple[str, str], Conversion] = {}


def own(distribution: Any) -> Any:
    """The distribution of this library that equals `distribution`, or itself if none is known."""
    kind = type(distribution)
    conversion = _CONVERSIONS.get((kind.__module__.partition(".")[0], kind.__name__))
    return distribution if conversion is None else conversion(distribution)


def conversion(library: str, *names: str) -> Callable[[Conversion], Conversion]:
    """Register a function of a foreign distribution, by the names of its library and its class.

    By name, so that the library is not imported.

    Example:
      >>> import stochastic_net as sn
      >>> class Coin:
      ...     bias = 0.25
      >>> @sn.distributions.conversion(Coin.__module__.partition(".")[0], "Coin")
      ... def _(coin): return sn.distributions.Bernoulli.from_probs(coin.bias)
      >>> print(sn.distributions.own(Coin()).mean)
      0.25
    """

    def register(function: Conversion) -> Conversion:
        for name in names:
            _CONVERSIONS[library, name] = function
        return function

    return register
