"""Which layers draw: those whose call has a parameter named `key`."""

import inspect


def takes_key(layer: object) -> bool:
    """Whether calling `layer` takes a `key`; functions and modules alike."""
    try:
        return "key" in inspect.signature(layer).parameters
    except (TypeError, ValueError):  # no signature: a builtin, which draws nothing
        return False
