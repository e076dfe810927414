"""What `check_moments` found: a table, a picture, and where the Gaussian description fails."""

import dataclasses
from typing import TYPE_CHECKING, Self

import numpy as np

from stochastic_net._tables import html_table, text_table
from stochastic_net._types import Array, Shape
from stochastic_net.diagnostics._measure.monte_carlo import Drawn
from stochastic_net.diagnostics._report.look import DOUBTFUL, GOOD, short
from stochastic_net.diagnostics._report.look import figure as new_figure
from stochastic_net.distributions import Gaussian

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MEAN_ERROR = 0.2  # in deviations, median over the elements
_STD_RATIO = 1.25  # or one over it
_SKEWED = 0.5


@dataclasses.dataclass(frozen=True)
class LayerMoments:
    """One layer or output; arrays hold an entry for every element that is random.

    `mean_error` and `plain_error` (of f at the mean) are in units of the drawn deviation.
    """

    name: str
    shape: Shape
    mean_error: np.ndarray
    plain_error: np.ndarray
    std_ratio: np.ndarray
    skewness: np.ndarray
    kurtosis: np.ndarray

    @classmethod
    def compare(cls, name: str, found: Gaussian, drawn: Drawn, at_mean: Array) -> Self:
        """The propagated pair beside draws and the plain value."""
        mean, std, skewness, kurtosis = (np.asarray(x, np.float64).ravel() for x in drawn)
        random = std > 1e-6 * np.abs(mean)  # what rounding alone makes is not
        safe = np.where(random, std, 1)

        def error(x: Array) -> np.ndarray:
            return ((np.asarray(x, np.float64).ravel() - mean) / safe)[random]

        ratio = np.sqrt(np.asarray(found.var, np.float64).ravel()) / safe
        return cls(
            name,
            found.shape,
            error(found.mean),
            error(at_mean),
            ratio[random],
            skewness[random],
            kurtosis[random],
        )

    def summary(self) -> dict[str, float]:
        """Medians, with what nine in ten elements stay within."""
        if not self.std_ratio.size:
            return dict.fromkeys(_COLUMNS, float("nan"))
        low, middle, high = np.quantile(self.std_ratio, [0.05, 0.5, 0.95])
        return dict(
            zip(
                _COLUMNS,
                (
                    float(np.median(np.abs(self.mean_error))),
                    float(np.quantile(np.abs(self.mean_error), 0.9)),
                    float(np.median(np.abs(self.plain_error))),
                    float(middle),
                    float(low),
                    float(high),
                    float(np.nanmedian(self.skewness)),
                    float(np.nanmedian(self.kurtosis)),
                ),
                strict=True,
            )
        )


_COLUMNS = (
    *("mean_error", "mean_error_90", "plain_error", "std_ratio", "std_ratio_5", "std_ratio_95"),
    *("skewness", "kurtosis"),
)


@dataclasses.dataclass(frozen=True)
class MomentReport:
    """Propagated moments beside those of draws; the last `num_outputs` layers are the outputs."""

    layers: list[LayerMoments]
    covariance: str
    num_samples: int
    num_outputs: int

    @property
    def ok(self) -> bool:
        """Whether the outputs have means within 0.2 deviations and deviations within a quarter."""
        return not any(_fault(x.summary()) for x in self.layers[-self.num_outputs :])

    @property
    def findings(self) -> list[str]:
        """Where mean or deviation first fails, why, and what to do; nothing where `ok`."""
        if self.ok:
            return []
        for index, layer in enumerate(self.layers):
            figures = layer.summary()
            if fault := _fault(figures):
                return [f"{layer.name}: {fault} {self._advice(index, figures)}"]
        return []

    def to_dict(self) -> dict:
        """All figures of the table, for JSON."""
        rows = [{"name": x.name, "shape": list(x.shape), **x.summary()} for x in self.layers]
        return {
            "ok": self.ok,
            "covariance": self.covariance,
            "num_samples": self.num_samples,
            "findings": self.findings,
            "layers": rows,
        }

    def __str__(self) -> str:
        title = (
            f"moments ({self.covariance}) against {self.num_samples} draws; errors of the mean in "
            "deviations, medians over elements"
        )
        return "\n".join([title, *text_table(self._rows()), *self.findings])

    def _repr_html_(self) -> str:
        return html_table(self._rows(), self.findings)

    def plot(self) -> "Figure":
        """Errors of the mean and ratios of the deviation by layer, needs matplotlib."""
        figure = new_figure(8, 1.6 + 0.32 * len(self.layers))
        left, right = figure.subplots(1, 2, sharey=True)
        places = np.arange(len(self.layers))[::-1]
        for place, layer in zip(places, self.layers, strict=True):
            figures = layer.summary()
            left.plot([0, figures["mean_error_90"]], [place] * 2, color=GOOD, alpha=0.35, lw=5)
            left.plot(figures["mean_error"], place, "o", color=GOOD)
            left.plot(figures["plain_error"], place, "x", color=DOUBTFUL)
            ends = figures["std_ratio_5"], figures["std_ratio_95"]
            right.plot(ends, [place] * 2, color=GOOD, alpha=0.35, lw=5)
            right.plot(figures["std_ratio"], place, "o", color=GOOD)
        left.plot([], [], "o", color=GOOD, label="propagate: median, 90 % within the bar")
        left.plot([], [], "x", color=DOUBTFUL, label="the plain pass")
        left.set_yticks(places, [short(x.name) for x in self.layers], fontsize=8)
        left.set_xlim(0, None)
        left.set_title("error of the mean, in deviations", fontsize=9)
        right.axvline(1, color="gray", lw=0.8)
        right.set_title("propagated / drawn deviation, 5 to 95 %", fontsize=9)
        figure.legend(loc="outside lower center", frameon=False, ncols=2, fontsize=8)
        return figure

    def _rows(self) -> list[list[str]]:
        head = ["layer", "shape", "mean", "90 %", "plain", "std ratio", "5 to 95 %", "skew", "kurt"]
        rows = [head]
        for layer in self.layers:
            x = layer.summary()
            spread = f"{x['std_ratio_5']:.2f} to {x['std_ratio_95']:.2f}"
            rows.append(
                [
                    short(layer.name),
                    "x".join(map(str, layer.shape)) or "-",
                    *(f"{x[name]:.3f}" for name in _COLUMNS[:4]),
                    spread,
                    *(f"{x[name]:.2f}" for name in _COLUMNS[6:]),
                ]
            )
        return rows

    def _advice(self, index: int, figures: dict[str, float]) -> str:
        if abs(figures["skewness"]) > _SKEWED or abs(figures["kurtosis"]) > 1:
            return (
                f"Its draws are not Gaussian (skewness {figures['skewness']:.2f}, excess kurtosis "
                f"{figures['kurtosis']:.2f}): a smaller variance into it, or draws instead."
            )
        if self.covariance == "diagonal" and index >= len(self.layers) - self.num_outputs:
            return 'Correlation between elements is forgotten: covariance="adjoint" keeps it.'
        return "Elements before it are correlated, which a variance for each does not say."


def _fault(figures: dict[str, float]) -> str:
    if figures["mean_error"] > _MEAN_ERROR:
        return f"the mean is off by {figures['mean_error']:.2f} deviations."
    if abs(np.log(figures["std_ratio"])) > np.log(_STD_RATIO):
        return f"the deviation is {figures['std_ratio']:.2f} of the drawn one."
    return ""
