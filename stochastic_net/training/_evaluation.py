"""Test a trained network at every noise level."""

import dataclasses
from collections.abc import Callable

import numpy as np

from stochastic_net.training._config import Mode
from stochastic_net.training._dataset import Examples
from stochastic_net.training._scores import Reliability, Scores, reliability, score
from stochastic_net.training._task import Task, TrainState

CLEAN, NORMAL, DEGRADED = 0.0, 1.0, 4.0
_NAMES = {CLEAN: "clean", NORMAL: "normal", DEGRADED: "degraded"}


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """How one mode did at one noise level."""

    mode: Mode
    level: float
    scores: Scores
    reliability: Reliability

    @property
    def test_set(self) -> str | None:
        """clean, normal or degraded; None for a level that only the plot shows."""
        return _NAMES.get(self.level)


def evaluate(
    task: Task,
    state: TrainState,
    test_at: Callable[[float], Examples],
    levels: tuple[float, ...],
) -> list[Evaluation]:
    """One evaluation a level."""
    evaluations = []
    for level in levels:
        examples = test_at(level)
        p, label = task.predict(state, examples), np.asarray(examples.label)
        evaluations.append(Evaluation(task.mode, level, score(p, label), reliability(p, label)))
    return evaluations
