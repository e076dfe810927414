"""What `compare` found: a table and a picture."""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from stochastic_net._tables import html_table, text_table
from stochastic_net._types import Estimator
from stochastic_net.estimators._estimator import Bias

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class Measured:
    """One estimator; arrays have an entry for each parameter."""

    estimator: Estimator
    name: str
    bias: Bias | None  # declared
    value: float
    mean: np.ndarray
    standard_error: np.ndarray
    variance: np.ndarray
    seconds: float
    bias_z: float  # the largest of a parameter; NaN where the truth is not known

    @property
    def total_variance(self) -> float:
        """The trace of the gradient's covariance."""
        return float(self.variance.sum())

    @property
    def work(self) -> float:
        """Variance x time: what a given accuracy costs."""
        return self.total_variance * self.seconds


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Estimators beside each other, each measured over `num_keys` gradients."""

    rows: list[Measured]
    num_keys: int
    skipped: dict[str, str] = dataclasses.field(default_factory=dict)  # estimator: the reason

    @property
    def best(self) -> Estimator:
        """Of those without bias the one with the least variance x time.

        Raises:
          ValueError: none without bias was measured.
        """
        unbiased = [row for row in self.rows if row.bias is None and np.isfinite(row.work)]
        if not unbiased:
            raise ValueError("no estimator without bias was measured: there is no best one.")
        return min(unbiased, key=lambda row: row.work).estimator

    def to_dict(self) -> dict:
        """All figures of the table, for JSON."""
        return {"num_keys": self.num_keys, "rows": [_figures(row) for row in self.rows]}

    def __str__(self) -> str:
        title = f"gradients over {self.num_keys} keys; variance summed over the parameters"
        return "\n".join([title, *text_table(self._rows())])

    def _repr_html_(self) -> str:
        return html_table(self._rows())

    def plot(self) -> "Figure":
        """Variance against time: on a diagonal the same accuracy costs the same."""
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise ImportError(
                "a plot needs matplotlib: pip install 'stochastic-net[notebooks]'"
            ) from error
        figure = Figure(figsize=(7, 4.2), layout="constrained")
        axes = figure.subplots()
        for row in self.rows:
            colour = "#1f6f8b" if row.bias is None else "#c1652f"
            place = 1e6 * row.seconds, max(row.total_variance, 1e-12)
            axes.loglog(*place, "o", color=colour)
            axes.annotate(row.name, place, xytext=(5, 3), textcoords="offset points", fontsize=8)
        axes.plot([], [], "o", color="#1f6f8b", label="unbiased")
        axes.plot([], [], "o", color="#c1652f", label="biased")
        axes.set_xlabel("microseconds a call")
        axes.set_ylabel("variance of the gradient")
        axes.margins(x=0.25)
        axes.legend(frameon=False)
        return figure

    def _rows(self) -> list[list[str]]:
        head = [
            "estimator",
            "bias",
            "value",
            "|mean|",
            "std err",
            "variance",
            "us",
            "var x us",
            "z",
        ]
        return [head, *([_shown(row) for row in sorted(self.rows, key=lambda row: row.work)])]


def _figures(row: Measured) -> dict:
    return {
        "name": row.name,
        "bias": None if row.bias is None else str(row.bias),
        "value": row.value,
        "mean": row.mean.tolist(),
        "standard_error": row.standard_error.tolist(),
        "variance": row.total_variance,
        "seconds": row.seconds,
        "work": row.work,
        "bias_z": row.bias_z,
    }


def _shown(row: Measured) -> list[str]:
    z = "-" if np.isnan(row.bias_z) else f"{row.bias_z:.1f}"
    return [
        row.name,
        "-" if row.bias is None else str(row.bias),
        f"{row.value:.4g}",
        f"{np.linalg.norm(row.mean):.4g}",
        f"{np.linalg.norm(row.standard_error):.2g}",
        f"{row.total_variance:.3g}",
        f"{1e6 * row.seconds:.0f}",
        f"{1e6 * row.work:.3g}",
        z,
    ]
