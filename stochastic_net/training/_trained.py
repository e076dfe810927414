"""The objectives of a trained run as functions of its parameters, to be looked into."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from flax import nnx

from stochastic_net._types import Array, Key, PyTree
from stochastic_net.training._dataset import Examples
from stochastic_net.training._errors import InputError
from stochastic_net.training._loop import restore
from stochastic_net.training._objective import loss
from stochastic_net.training._run import prepare
from stochastic_net.training._run_folder import RunFolder
from stochastic_net.training._task import Task


class Trained(NamedTuple):
    """One mode of a run: `objective(params, batch, key)` is what its training minimises."""

    mode: str
    objective: Callable[[PyTree, Examples, Key], Array]
    params: PyTree
    batch: Examples


def trained(run: Path, examples: int = 8) -> list[Trained]:
    """The modes of a run at their last checkpoints, each with a few training examples.

    Mode plain is left out: it ignores the variances, and so the part of the network they feed.

    Raises:
      InputError: the folder or a checkpoint cannot be used, or there is only mode plain.
    """
    folder, config = RunFolder.open(run)
    _, tasks = prepare(config)
    found = [_of_task(task, folder, examples) for task in tasks if task.mode != "plain"]
    if not found:
        raise InputError(f"{run} was trained in mode plain only, which ignores the variances.")
    return found


def _of_task(task: Task, folder: RunFolder, examples: int) -> Trained:
    state, _ = restore(task, folder)
    graph, mode, constants = task.graph, task.mode, state.constants

    def objective(params: PyTree, batch: Examples, key: Key) -> Array:
        return loss(nnx.merge(graph, params, constants), batch, key, mode)

    return Trained(mode, objective, state.params, task.dataset.train.take(np.arange(examples)))
