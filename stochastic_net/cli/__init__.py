"""The command `stochastic-net`."""

from stochastic_net.cli._main import main as main

__all__ = ["main"]
