"""From the words of the command line to a call, and from its end to an exit status."""

import importlib.util
import sys
from collections.abc import Sequence

from stochastic_net.cli import _exit

_NEEDS = ("tyro", "rich", "optax", "orbax.checkpoint", "sklearn", "matplotlib")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 when done, 1 where `check` finds a broken gradient, 2 and 130.

    2 is for input that cannot be used, 130 for an interruption.
    """
    missing = [name for name in _NEEDS if importlib.util.find_spec(name.split(".")[0]) is None]
    if missing:
        print(
            f"error: {', '.join(missing)} missing; pip install 'stochastic-net[train]' brings all",
            file=sys.stderr,
        )
        return _exit.BAD_INPUT
    from stochastic_net.cli._commands import run

    try:
        return run(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return _exit.INTERRUPTED
