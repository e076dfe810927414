"""The result of a run as pictures."""

import io
from collections.abc import Iterable
from pathlib import Path

import jax
import numpy as np
from matplotlib.figure import Figure

from stochastic_net.training._dataset import Dataset
from stochastic_net.training._evaluation import Evaluation
from stochastic_net.training._files import write_whole

_COLOURS = {"plain": "#c1652f", "sample": "#1f6f8b", "moments": "#5b8c3e"}
_SHOWN_BIN = 5
_LEVEL_AXIS = "noise level of the test set (training: 1)"


def save_figure(figure: Figure, path: Path) -> None:
    """Write a PNG, whole or not at all."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    write_whole(path, buffer.getvalue())


def loss_curves(logged: list[dict]) -> Figure:
    """Training loss over steps, a line for each mode: single steps faint, their average strong."""
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    for mode, rows in _by(logged, lambda row: row["mode"]):
        steps, loss = (np.array([row[name] for row in rows]) for name in ("step", "loss"))
        width = max(1, len(loss) // 30)
        smooth = np.convolve(loss, np.ones(width) / width, "valid")
        axes.plot(steps, loss, color=_COLOURS[mode], alpha=0.25, linewidth=0.8)
        axes.plot(steps[width - 1 :], smooth, color=_COLOURS[mode], label=mode)
    axes.set(title="Training loss", xlabel="step", ylabel="cross-entropy (nats)", yscale="log")
    axes.legend(frameon=False)
    return _tidy(figure)


def pairs_and_draws(dataset: Dataset, key: jax.Array, rows: int = 4, draws: int = 3) -> Figure:
    """Test examples: the image where it is known, mean, standard deviation, a few draws."""
    clean = dataset.test_at(0.0) if 0.0 in dataset.levels else None
    measured = dataset.test_at(1.0)
    rows = min(rows, len(measured.label))
    pair = measured.take(np.arange(rows)).pair
    columns = [("image", clean.pair.mean[:rows])] if clean is not None else []
    columns += [("mean", pair.mean), ("std", pair.std)]
    columns += [(f"draw {i + 1}", z) for i, z in enumerate(pair.sample(key, (draws,)))]
    low, high = np.quantile(measured.pair.mean, (0.01, 0.99))
    figure = Figure(figsize=(1.35 * len(columns), 1.35 * rows + 0.4), layout="constrained")
    grid = figure.subplots(rows, len(columns), squeeze=False)
    for column, (title, images) in enumerate(columns):
        for row in range(rows):
            limits = (0, None) if title == "std" else (low, high)
            colours = "magma" if title == "std" else "gray"
            image = np.asarray(images[row]).mean(-1)
            grid[row, column].imshow(image, cmap=colours, vmin=limits[0], vmax=limits[1])
            grid[row, column].set_axis_off()
        grid[0, column].set_title(title, fontsize=10)
    return figure


def reliability_diagram(evaluations: list[Evaluation]) -> Figure:
    """Accuracy against confidence, a panel for each named test set; the diagonal is calibrated.

    Bins of fewer than five predictions are left out; the bars are one standard error.
    """
    sets = list(_by([e for e in evaluations if e.test_set], lambda e: (e.level, e.test_set)))
    figure = Figure(figsize=(3.2 * len(sets), 3.5), layout="constrained")
    for axes, ((level, name), members) in zip(
        figure.subplots(1, len(sets), squeeze=False)[0], sets, strict=True
    ):
        axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
        for e in members:
            r, count = e.reliability, e.reliability.share * e.scores.examples
            shown = count >= _SHOWN_BIN
            error = np.sqrt(r.accuracy * (1 - r.accuracy) / np.maximum(count, 1))
            axes.errorbar(
                r.confidence[shown],
                r.accuracy[shown],
                error[shown],
                fmt="o-",
                markersize=4,
                elinewidth=0.8,
                color=_COLOURS[e.mode],
                label=f"{e.mode}  ECE {e.scores.ece:.3f}",
            )
        axes.set(title=f"{name} (x {level:g})", xlabel="confidence", xlim=(0, 1), ylim=(0, 1.02))
        axes.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.17))
    figure.axes[0].set_ylabel("accuracy")
    return _tidy(figure)


def noise_sweep(evaluations: list[Evaluation]) -> Figure:
    """Each metric against the noise level of the test set."""
    metrics = {"accuracy": "accuracy", "nll": "NLL (nats)", "brier": "Brier score", "ece": "ECE"}
    figure = Figure(figsize=(8.4, 5.6), layout="constrained")
    for axes, (metric, title) in zip(figure.subplots(2, 2).flat, metrics.items(), strict=True):
        for mode, members in _by(evaluations, lambda e: e.mode):
            levels = [e.level for e in members]
            values = [getattr(e.scores, metric) for e in members]
            axes.plot(levels, values, "o-", color=_COLOURS[mode], label=mode, markersize=4)
        axes.set(title=title, xlabel=_LEVEL_AXIS)
        axes.set_xscale("symlog", linthresh=0.5, base=2)
        axes.set_xticks(sorted({e.level for e in evaluations}))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.minorticks_off()
    figure.axes[0].legend(frameon=False)
    return _tidy(figure)


def _by(items: Iterable, key) -> Iterable[tuple]:
    """Groups in order of first appearance."""
    groups: dict = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups.items()


def _tidy(figure: Figure) -> Figure:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    return figure
