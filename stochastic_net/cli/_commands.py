"""The subcommands."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

import stochastic_net
from stochastic_net import training
from stochastic_net.cli import _exit

_DESCRIPTION = """Random variables inside JAX/Flax networks, with gradients you can trust.

Train and evaluate networks on images of which every pixel is a mean and a variance."""


def train(
    config: tyro.conf.OmitArgPrefixes[training.Config],
    out: Path | None = None,
    resume: tyro.conf.FlagCreatePairsOff[bool] = False,
) -> None:
    """Train a classifier of images whose pixels are pairs of a mean and a variance.

    Writes table, plots, metrics and checkpoints into a run folder. Ctrl-C saves and stops; --resume
    goes on bit for bit as if nothing had happened.

    Args:
        config: The settings.
        out: The run folder, which must not exist. By default the next free one of runs/NAME,
            runs/NAME-2, ...
        resume: Continue the run in --out with the settings it was started with.
    """
    try:
        training.train(config, out, resume=resume)
    except training.Interrupted as interrupted:
        again = f"stochastic-net train --out {interrupted.folder} --resume"
        print(f"{interrupted}. Continue: {again}", file=sys.stderr)
        raise SystemExit(_exit.INTERRUPTED) from None


def evaluate(
    run: tyro.conf.Positional[Path],
    data: Annotated[str | None, tyro.conf.arg(metavar="FILE.npz")] = None,
) -> None:
    """Print the table of a run again, from its checkpoints.

    Args:
        run: A folder that `stochastic-net train` made.
        data: Test on all examples of this file instead: arrays mean, var and label.
    """
    training.evaluate_run(run, data)


def run(arguments: Sequence[str]) -> int:
    """Run one subcommand; bad input becomes one line and exit status 2."""
    if list(arguments) == ["--version"]:
        print(f"stochastic-net {stochastic_net.__version__}")
        return 0
    try:
        tyro.extras.subcommand_cli_from_dict(
            {"train": train, "evaluate": evaluate},
            prog="stochastic-net",
            description=_DESCRIPTION,
            args=arguments,
        )
    except training.InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return _exit.BAD_INPUT
    return 0
