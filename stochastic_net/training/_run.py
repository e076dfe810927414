"""The two things a user does: train a network into a folder, evaluate a folder."""

from pathlib import Path

import jax
from rich.console import Console

from stochastic_net.random import named_key
from stochastic_net.training import _plots, _report
from stochastic_net.training._config import Config
from stochastic_net.training._dataset import Dataset, load_dataset, load_file_as_test
from stochastic_net.training._errors import InputError
from stochastic_net.training._evaluation import Evaluation, evaluate
from stochastic_net.training._files import write_whole
from stochastic_net.training._loop import fit, restore
from stochastic_net.training._run_folder import RunFolder
from stochastic_net.training._task import Task


def train(
    config: Config, out: Path | None = None, *, resume: bool = False, console: Console | None = None
) -> Path:
    """Train as `config` says, evaluate, and write table, plots and checkpoints into a run folder.

    Args:
      config: the settings.
      out: the folder; it must not exist. Without it the next free one of runs/NAME, runs/NAME-2.
      resume: continue the run in `out`, bit for bit as if it had never stopped.
      console: where to report; standard output when None.

    Returns:
      The folder.

    Raises:
      InputError: a setting, a file or the folder cannot be used.
      Interrupted: after SIGINT or SIGTERM; `resume` goes on from there.
    """
    console = console or Console()
    config = config.check()
    if resume:
        folder, config = RunFolder.resume(out, config)
        dataset, tasks = prepare(config)
    else:
        dataset, tasks = prepare(config)  # before the folder: bad input leaves none behind
        folder = RunFolder.create(out, config)
    _introduce(console, folder, dataset, tasks)
    evaluations: list[Evaluation] = []
    for task in tasks:
        state = fit(task, folder, console)
        evaluations += evaluate(task, state, dataset.test_at, dataset.levels)
    title = f"{dataset.name}: {evaluations[0].scores.examples} test examples"
    _write(folder, config, dataset, evaluations, title)
    console.print(_report.table(evaluations, title))
    files = sorted(path.name for path in folder.path.iterdir())
    console.print(f"Everything is in {folder.path}: {', '.join(files)}", highlight=False)
    return folder.path


def evaluate_run(
    run: Path, data: str | None = None, *, console: Console | None = None
) -> list[Evaluation]:
    """Evaluate the last checkpoint of each mode of a run and print the table.

    Args:
      run: a folder that `train` made.
      data: FILE.npz, all of whose examples are the test; None for the test set of the run.
      console: where to report; standard output when None.

    Raises:
      InputError: the folder, a checkpoint or the file cannot be used.
    """
    console = console or Console()
    folder, config = RunFolder.open(run)
    dataset, tasks = prepare(config)
    test_at, levels, name = dataset.test_at, dataset.levels, dataset.name
    if data is not None and config.data not in (data, str(Path(data).absolute())):
        test_at = load_file_as_test(data, dataset.classes)
        levels, name = tuple(level for level in levels if level >= 1), Path(data).name
        found = test_at(1.0).pair.shape[1:]
        if found != dataset.image_shape:
            raise InputError(
                f"{data} holds images of shape {found}, the network was trained on images of shape "
                f"{dataset.image_shape}."
            )
    evaluations: list[Evaluation] = []
    for task in tasks:
        state, step = restore(task, folder)
        if step < task.steps:
            console.print(f"{task.mode}: trained for {step} of {task.steps} steps only")
        evaluations += evaluate(task, state, test_at, levels)
    title = f"{name}: {evaluations[0].scores.examples} test examples"
    console.print(_report.table(evaluations, title))
    return evaluations


def prepare(config: Config) -> tuple[Dataset, list[Task]]:
    """The data of a run and its modes."""
    dataset = load_dataset(config)
    return dataset, [Task(config, dataset, mode) for mode in config.modes()]


def _introduce(console: Console, folder: RunFolder, dataset: Dataset, tasks: list[Task]) -> None:
    height, width, channels = dataset.image_shape
    console.print(
        f"{dataset.name}: {len(dataset.train.label)} training pairs {height}x{width}x{channels}, "
        f"{len(dataset.classes)} classes; {tasks[0].steps} steps in each of "
        f"{', '.join(task.mode for task in tasks)}, on {jax.device_count()} "
        f"{jax.default_backend()} device(s); run folder {folder.path}",
        highlight=False,
    )


def _write(
    folder: RunFolder, config: Config, dataset: Dataset, evaluations: list[Evaluation], title: str
) -> None:
    write_whole(folder.path / "report.json", _report.as_json(evaluations))
    write_whole(folder.path / "report.md", _report.markdown(evaluations, title))
    key = named_key(jax.random.key(config.seed, impl=config.key_impl), "plot")
    for name, figure in {
        "loss.png": _plots.loss_curves(folder.logged()),
        "pairs.png": _plots.pairs_and_draws(dataset, key),
        "reliability.png": _plots.reliability_diagram(evaluations),
        "noise.png": _plots.noise_sweep(evaluations),
    }.items():
        _plots.save_figure(figure, folder.path / name)
