"""Estimators made of estimators."""

from collections.abc import Callable
from typing import Any, cast

from stochastic_net._types import Array, Estimator
from stochastic_net.estimators._estimator import Configurable


def wrapper(apply: Callable[..., Array], wrapped: Estimator, name: str) -> Configurable:
    """`apply(f, dist, key, **options)` as an estimator with the bias of what it wraps.

    Called with options alone it configures what it wraps.
    """

    def call(*args: Any, **options: Any) -> Any:
        if args or "f" in options:
            return apply(*args, **options)
        return wrapper(lambda *args, **more: apply(*args, **{**options, **more}), wrapped, name)

    call.__name__ = name
    call.__doc__ = apply.__doc__
    call.bias = getattr(wrapped, "bias", None)  # pyrefly: ignore
    call.independent = getattr(wrapped, "independent", False)  # pyrefly: ignore
    return cast("Configurable", call)


def require_no_independence(wrapped: Estimator, wrapper: str) -> None:
    """Refuse an estimator whose samples must be independent where they will not be."""
    if getattr(wrapped, "independent", False):
        name = getattr(wrapped, "__name__", str(wrapped))
        raise ValueError(
            f"{name} compares samples that must be independent, and those of {wrapper} are not: "
            "the gradient would be biased. Wrap pathwise or score_function."
        )
