"""Scores a model on labelled images. A figure that would divide by zero is None."""

from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from service.background.large_work import give_way
from service.types import Probabilities

Digit = Annotated[int, Field(ge=0, le=9)]
Share = Annotated[float, Field(ge=0, le=1)]
DIGITS = 10
BINS = 15
SMALLEST_PROBABILITY = 1e-7
MOST_MISTAKES = 20


@dataclass(frozen=True, slots=True)
class ClassScore:
    """Scores of one digit against all others, None for 0/0; ``support`` counts its images."""

    digit: Digit
    precision: float | None
    recall: float | None
    f1: float | None
    support: int


@dataclass(frozen=True, slots=True)
class Mistake:
    """An image for which the model's digit differs from the label."""

    index: int
    label: Digit
    digit: Digit
    confidence: Share


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Images of about the same confidence; the means are None if ``count`` is 0."""

    count: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores on ``count`` images; ``loss`` in nats, ``confusion_matrix`` by true digits."""

    count: int
    accuracy: float | None
    loss: float | None
    calibration_error: float | None
    per_class: tuple[ClassScore, ...]
    confusion_matrix: tuple[tuple[int, ...], ...]
    mistakes: tuple[Mistake, ...]

    def as_dict(self) -> dict[str, Any]:
        """Returns the scores as plain JSON values."""
        return asdict(self)


def score(
    probabilities: Probabilities,
    labels: NDArray[np.integer[Any]],
    most_mistakes: int = MOST_MISTAKES,
) -> Scores:
    """Scores ``probabilities`` (n, 10) against ``labels`` (n,), 0..9; ValueError for others."""
    count = len(labels)
    if probabilities.shape != (count, DIGITS) or labels.ndim != 1:
        raise ValueError(f"{probabilities.shape} probabilities for {labels.shape} labels")
    if count and not 0 <= labels.min() <= labels.max() < DIGITS:
        raise ValueError("labels are digits from 0 to 9")
    digits = probabilities.argmax(axis=1)
    give_way()
    # Reduced over digits: numpy reduces many short rows five times as slowly.
    confidence = np.maximum.reduce(probabilities.T.copy())
    correct = digits == labels
    pairs = labels.astype(np.int64) * DIGITS + digits
    confusion = np.bincount(pairs, minlength=DIGITS**2).reshape(DIGITS, DIGITS)
    give_way()
    # Clipped, so that no certain mistake costs infinity.
    likelihood = probabilities[np.arange(count), labels].astype(np.float64)
    losses = -np.log(np.clip(likelihood, SMALLEST_PROBABILITY, 1))
    give_way()
    calibration_error = _calibration_error(confidence, correct) if count else None
    give_way()
    hits, support = confusion.diagonal().tolist(), confusion.sum(axis=1).tolist()
    predicted = confusion.sum(axis=0).tolist()
    wrong = np.flatnonzero(~correct)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")[:most_mistakes]].tolist()
    return Scores(
        count=count,
        accuracy=float(correct.mean()) if count else None,
        loss=float(losses.mean()) if count else None,
        calibration_error=calibration_error,
        per_class=tuple(
            ClassScore(d, _ratio(h, p), _ratio(h, s), _ratio(2 * h, p + s), s)
            for d, h, p, s in zip(range(DIGITS), hits, predicted, support, strict=True)
        ),
        confusion_matrix=tuple(map(tuple, confusion.tolist())),
        # str() returns the shortest decimal that reads back to the same float32.
        mistakes=tuple(
            Mistake(i, int(labels[i]), int(digits[i]), float(str(confidence[i]))) for i in worst
        ),
    )


def least_sure(
    probabilities: Probabilities, labels: NDArray[np.integer[Any]], most: int
) -> list[Mistake]:
    """The images that were read right, in the form of mistakes, least confident first."""
    right = np.flatnonzero(probabilities.argmax(axis=1) == labels)
    confidence = probabilities[right, labels[right]]
    first = confidence.argsort(kind="stable")[:most]
    rows = zip(right[first].tolist(), labels[right[first]].tolist(), confidence[first], strict=True)
    return [Mistake(index, digit, digit, float(str(sure))) for index, digit, sure in rows]


def reliability(
    probabilities: Probabilities, labels: NDArray[np.integer[Any]]
) -> tuple[ReliabilityBin, ...]:
    """Compares confidence and accuracy in 15 bins of equal width, open below and closed above."""
    # Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 2.
    confidence = probabilities.max(axis=1).astype(np.float64)
    bins = _bins(confidence)
    counts = np.bincount(bins, minlength=BINS).tolist()
    sums = np.bincount(bins, weights=confidence, minlength=BINS).tolist()
    correct = np.bincount(bins[probabilities.argmax(axis=1) == labels], minlength=BINS).tolist()
    return tuple(
        ReliabilityBin(count, _ratio(total, count), _ratio(hits, count))
        for count, total, hits in zip(counts, sums, correct, strict=True)
    )


def _calibration_error(confidence: NDArray[np.float32], correct: NDArray[np.bool_]) -> float:
    """Returns |accuracy - confidence| of 15 bins, weighted by size: Guo et al. 2017, equation 3."""
    # A bin's size cancels: its share of the images times the difference of its two means.
    gaps: NDArray[np.float64] = correct - confidence.astype(np.float64)
    sums = np.bincount(_bins(confidence), weights=gaps, minlength=BINS)
    return float(np.abs(sums).sum() / len(correct))


def _bins(confidence: NDArray[np.floating]) -> NDArray[np.int64]:
    edges = np.linspace(0, 1, BINS + 1)
    bins: NDArray[np.int64] = np.searchsorted(edges, confidence, side="left") - 1
    return np.clip(bins, 0, BINS - 1)


def _ratio(part: float, whole: int) -> float | None:
    return part / whole if whole else None
