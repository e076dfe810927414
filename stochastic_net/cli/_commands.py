"""The subcommands."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

import stochastic_net
from stochastic_net import training
from stochastic_net.cli import _check, _exit

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


def check(
    function: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="FILE.py:FUNCTION")]] = "",
    args: str = "example_inputs",
    run: Path | None = None,
    seed: int = 0,
) -> None:
    """Say whether the gradient reaches the arguments of a function, and where it ends if not.

    Runs the code in FILE.py. Prints the report; the exit status is 1 if the gradient is broken.

    Args:
        function: The function to check. Its parameter `key`, if it has one, gets a key.
        args: What FILE.py calls the arguments to check at: a tuple, or a function that makes one.
        run: Check a folder that `stochastic-net train` made instead.
        seed: Of the keys.
    """
    if bool(function) == (run is not None):
        raise training.InputError("check needs FILE.py:FUNCTION or --run RUN, one of them.")
    reports = (
        _check.check_function(function, args, seed) if run is None else _check.check_run(run, seed)
    )
    if not all(report.ok for report in reports):
        raise SystemExit(_exit.BROKEN)


def run(arguments: Sequence[str]) -> int:
    """Run one subcommand; bad input becomes one line and exit status 2."""
    if list(arguments) == ["--version"]:
        print(f"stochastic-net {stochastic_net.__version__}")
        return 0
    try:
        tyro.extras.subcommand_cli_from_dict(
            {"train": train, "evaluate": evaluate, "check": check},
            prog="stochastic-net",
            description=_DESCRIPTION,
            args=arguments,
        )
    except training.InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return _exit.BAD_INPUT
    return 0
