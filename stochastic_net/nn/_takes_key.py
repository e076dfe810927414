"""Which layers draw: those whose call has a parameter named `key`."""

import inspect
from collections.abc import Callable
from typing import Any


def takes_key(layer: Callable[..., Any]) -> bool:
    """Whether calling `layer` takes a `key`; functions and modules alike."""
    try:
        return "key" in inspect.signature(layer).parameters
    except (TypeError, ValueError):  # no signature: a builtin, which draws nothing
        return False
