"""What is said of a model on labelled images: accuracy, loss, calibration, confusion, mistakes.

A figure that would divide by zero is None.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.background.large_work import give_way

DIGITS = 10
BINS = 15
SMALLEST_PROBABILITY = 1e-7
MOST_MISTAKES = 20


@dataclass(frozen=True, slots=True)
class ClassScore:
    """How one digit fares against the rest; ``support`` is how many images show it."""

    digit: int
    precision: float | None
    recall: float | None
    f1: float | None
    support: int


@dataclass(frozen=True, slots=True)
class Mistake:
    """An image that was read as another digit than its label says."""

    index: int
    label: int
    digit: int
    confidence: float


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Images of about the same confidence; the means are None where ``count`` is 0."""

    count: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of a model on ``count`` images.

    ``loss`` is the mean cross-entropy in nats. ``confusion_matrix`` is 10 x 10, its rows the true
    digits. ``mistakes`` are up to 20, most confident first.
    """

    count: int
    accuracy: float | None
    loss: float | None
    calibration_error: float | None
    per_class: tuple[ClassScore, ...]
    confusion_matrix: tuple[tuple[int, ...], ...]
    mistakes: tuple[Mistake, ...]

    def as_dict(self) -> dict[str, Any]:
        """The scores as plain JSON values."""
        return asdict(self)


def score(probabilities: NDArray[np.float32], labels: NDArray[np.integer[Any]]) -> Scores:
    """Scores ``probabilities`` (n, 10), rows summing to 1, against ``labels`` (n,), 0..9.

    Raises ValueError for other shapes or labels.
    """
    if probabilities.shape != (len(labels), DIGITS) or labels.ndim != 1:
        raise ValueError(f"{probabilities.shape} probabilities for {labels.shape} labels")
    if len(labels) and not 0 <= labels.min() <= labels.max() < DIGITS:
        raise ValueError("labels are digits from 0 to 9")
    digits = probabilities.argmax(axis=1)
    give_way()
    # Digit by digit: a reduction of short rows takes five times as long.
    confidence = np.maximum.reduce(probabilities.T.copy())
    correct = digits == labels
    confusion = np.bincount(labels.astype(np.int64) * DIGITS + digits, minlength=DIGITS**2)
    confusion = confusion.reshape(DIGITS, DIGITS)
    give_way()
    loss = _cross_entropy(probabilities, labels)
    give_way()
    calibration_error = _calibration_error(confidence, correct)
    give_way()
    hits, support = confusion.diagonal().tolist(), confusion.sum(axis=1).tolist()
    predicted = confusion.sum(axis=0).tolist()
    return Scores(
        count=len(labels),
        accuracy=float(correct.mean()) if len(labels) else None,
        loss=loss,
        calibration_error=calibration_error,
        per_class=tuple(map(_class_score, range(DIGITS), hits, support, predicted)),
        confusion_matrix=tuple(tuple(row) for row in confusion.tolist()),
        mistakes=_worst_mistakes(probabilities, digits, labels),
    )


def reliability(
    probabilities: NDArray[np.float32], labels: NDArray[np.integer[Any]]
) -> tuple[ReliabilityBin, ...]:
    """Confidence against accuracy of ``probabilities`` (n, 10) with ``labels`` (n,), by 15 bins.

    Bins are of equal width, open below and closed above. Source: Guo et al. 2017, "On Calibration
    of Modern Neural Networks", section 2.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    bins = _bins(confidence)
    counts = np.bincount(bins, minlength=BINS).tolist()
    sums = np.bincount(bins, weights=confidence, minlength=BINS).tolist()
    correct = np.bincount(bins[probabilities.argmax(axis=1) == labels], minlength=BINS).tolist()
    return tuple(
        ReliabilityBin(count, _ratio(total, count), _ratio(hits, count))
        for count, total, hits in zip(counts, sums, correct, strict=True)
    )


def _cross_entropy(
    probabilities: NDArray[np.float32], labels: NDArray[np.integer[Any]]
) -> float | None:
    """The mean of -ln p(label), p clipped from below so that one certain error is not infinite."""
    if len(labels) == 0:
        return None
    likelihood = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.clip(likelihood, SMALLEST_PROBABILITY, 1)).mean())


def _calibration_error(confidence: NDArray[np.float32], correct: NDArray[np.bool_]) -> float | None:
    """The expected calibration error: accuracy against confidence, by 15 bins, weighted by size.

    Bins are open below and closed above. Source: Guo et al. 2017, "On Calibration of Modern
    Neural Networks", equation 3.
    """
    if len(correct) == 0:
        return None
    # The size of a bin cancels: its share of the images times the gap between its two means.
    gaps: NDArray[np.float64] = correct - confidence.astype(np.float64)
    sums = np.bincount(_bins(confidence), weights=gaps, minlength=BINS)
    return float(np.abs(sums).sum() / len(correct))


def _bins(confidence: NDArray[np.floating]) -> NDArray[np.int64]:
    edges = np.linspace(0, 1, BINS + 1)
    bins: NDArray[np.int64] = np.searchsorted(edges, confidence, side="left") - 1
    return np.clip(bins, 0, BINS - 1)


def _class_score(digit: int, hits: int, support: int, predicted: int) -> ClassScore:
    return ClassScore(
        digit=digit,
        precision=_ratio(hits, predicted),
        recall=_ratio(hits, support),
        f1=_ratio(2 * hits, predicted + support),
        support=support,
    )


def _ratio(part: float, whole: int) -> float | None:
    return part / whole if whole else None


def _worst_mistakes(
    probabilities: NDArray[np.float32],
    digits: NDArray[np.int64],
    labels: NDArray[np.integer[Any]],
) -> tuple[Mistake, ...]:
    wrong = np.flatnonzero(digits != labels)
    confidence = probabilities.max(axis=1)[wrong]
    order = np.argsort(-confidence, kind="stable")[:MOST_MISTAKES]
    # Through str: the shortest decimal that reads back to the same float32, not its float64 tail.
    return tuple(
        Mistake(int(i), int(labels[i]), int(digits[i]), float(str(c)))
        for i, c in zip(wrong[order], confidence[order], strict=True)
    )
