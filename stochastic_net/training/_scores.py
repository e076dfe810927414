"""How good predicted probabilities are."""

import dataclasses
import math

import numpy as np

_BINS = 15


@dataclasses.dataclass(frozen=True)
class Scores:
    """Accuracy, negative log-likelihood (nats), Brier score, expected calibration error."""

    examples: int
    accuracy: float
    nll: float
    brier: float
    ece: float

    @property
    def accuracy_error(self) -> float:
        """Standard error of the accuracy."""
        return math.sqrt(self.accuracy * (1 - self.accuracy) / self.examples)


@dataclasses.dataclass(frozen=True)
class Reliability:
    """Predictions binned by their confidence, in equal steps from 0 to 1."""

    share: np.ndarray  # [bins] of all predictions
    confidence: np.ndarray  # [bins] mean probability of the predicted class
    accuracy: np.ndarray  # [bins] how often it was right


def score(p: np.ndarray, label: np.ndarray) -> Scores:
    """Score probabilities of shape (examples, classes) against labels of shape (examples,).

    nll = mean -log p[label]; brier = mean sum_c (p[c] - [c = label])^2, from 0 to 2;
    ece = sum over bins of share * |accuracy - confidence| with 15 bins (Guo et al. 2017,
    arXiv:1706.04599).
    """
    p = np.asarray(p, np.float64)
    right = p[np.arange(len(label)), label]
    bins = reliability(p, label)
    return Scores(
        examples=len(label),
        accuracy=float((p.argmax(1) == label).mean()),
        nll=float(-np.log(np.maximum(right, np.finfo(np.float32).tiny)).mean()),
        brier=float(((p**2).sum(1) - 2 * right + 1).mean()),
        ece=float((bins.share * np.abs(bins.accuracy - bins.confidence)).sum()),
    )


def reliability(p: np.ndarray, label: np.ndarray) -> Reliability:
    """Confidence and accuracy in each bin; 0 in a bin without predictions."""
    confidence, correct = p.max(1), p.argmax(1) == label
    index = np.clip(np.ceil(confidence * _BINS).astype(int) - 1, 0, _BINS - 1)
    count = np.bincount(index, minlength=_BINS)
    filled = np.maximum(count, 1)
    return Reliability(
        share=count / len(label),
        confidence=np.bincount(index, confidence, _BINS) / filled,
        accuracy=np.bincount(index, correct, _BINS) / filled,
    )
