"""The training loop: step, log, save; stops cleanly when asked to."""

import math
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from stochastic_net.training._checkpoints import Checkpoints
from stochastic_net.training._errors import InputError, Interrupted
from stochastic_net.training._progress import progress
from stochastic_net.training._run_folder import RunFolder
from stochastic_net.training._task import Task, TrainState

_LOG_EVERY = 10  # steps; reading the loss waits for the device


def fit(task: Task, folder: RunFolder, console: Console) -> TrainState:
    """Train from the last checkpoint, or from the start, to the last step.

    A function of the settings and the data alone: however often it is interrupted or killed and
    called again, it ends with the same bits.

    Raises:
      Interrupted: after SIGINT or SIGTERM; the state is saved first.
    """
    checkpoints = Checkpoints(folder.checkpoints(task.mode))
    try:
        state, start = _begin(task, checkpoints)
        folder.forget_after(task.mode, start)
        with _stop_requested() as stop, progress(console, task.mode, start, task.steps) as report:
            for step in range(start + 1, task.steps + 1):
                state, loss = task.step(state, task.batch(step - 1))
                logged = None
                if step % _LOG_EVERY == 0 or step == task.steps:
                    logged = _finite(float(loss), task.mode, step)
                    folder.log(task.mode, step, logged)
                report(step, logged)
                if step % task.config.save_every == 0 or step == task.steps or stop:
                    checkpoints.save(step, state)
                if stop and step < task.steps:
                    raise Interrupted(folder.path, task.mode, step)
        return state
    finally:
        checkpoints.close()


def restore(task: Task, folder: RunFolder) -> tuple[TrainState, int]:
    """The last saved state and its step; the initial state and 0 where nothing is saved."""
    checkpoints = Checkpoints(folder.checkpoints(task.mode))
    try:
        return _begin(task, checkpoints)
    finally:
        checkpoints.close()


def _begin(task: Task, checkpoints: Checkpoints) -> tuple[TrainState, int]:
    state, step = task.initial_state(), checkpoints.latest()
    return (state, 0) if step is None else (checkpoints.restore(step, like=state), step)


def _finite(loss: float, mode: str, step: int) -> float:
    if not math.isfinite(loss):
        raise InputError(
            f"mode {mode} diverged: the loss is {loss} at step {step}. Use a smaller learning_rate."
        )
    return loss


@contextmanager
def _stop_requested() -> Iterator[list]:
    """A list that is no longer empty once SIGINT or SIGTERM came; a second one stops at once."""
    stop: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread may handle signals
        return

    def remember(number: int, frame: object) -> None:
        stop.append(number)
        signal.signal(number, before[number])

    numbers: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, remember) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
