"""Scores a model on labelled images. A figure that would divide by zero is None."""

from dataclasses import dataclass
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
class Scores:
    """The scores on ``count`` images; ``loss`` in nats, ``confusion_matrix`` by true digits."""

    count: int
    accuracy: float | None
    loss: float | None
    calibration_error: float | None
    per_class: tuple[ClassScore, ...]
    confusion_matrix: tuple[tuple[int, ...], ...]
    mistakes: tuple[Mistake, ...]


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
    # |accuracy - confidence| of each of 15 bins, open below and closed above (Guo et al. 2017,
    # "On Calibration of Modern Neural Networks"); its size cancels against its weight.
    bins = np.searchsorted(np.linspace(0, 1, BINS + 1), confidence, side="left") - 1
    gaps = np.bincount(bins.clip(0), weights=correct - confidence.astype(np.float64))
    give_way()
    hits, support = confusion.diagonal().tolist(), confusion.sum(axis=1).tolist()
    predicted = confusion.sum(axis=0).tolist()
    wrong = np.flatnonzero(~correct)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")[:most_mistakes]]
    return Scores(
        count=count,
        accuracy=_ratio(sum(hits), count),
        loss=_ratio(float(losses.sum()), count),
        calibration_error=_ratio(float(np.abs(gaps).sum()), count),
        per_class=tuple(
            ClassScore(d, _ratio(h, p), _ratio(h, s), _ratio(2 * h, p + s), s)
            for d, h, p, s in zip(range(DIGITS), hits, predicted, support, strict=True)
        ),
        confusion_matrix=tuple(map(tuple, confusion.tolist())),
        mistakes=tuple(_mistakes(worst, labels, digits, confidence)),
    )


def least_sure(
    probabilities: Probabilities, labels: NDArray[np.integer[Any]], most: int
) -> list[Mistake]:
    """The images that were read right, in the form of mistakes, least confident first."""
    digits, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    right = np.flatnonzero(digits == labels)
    first = right[confidence[right].argsort(kind="stable")[:most]]
    return _mistakes(first, labels, digits, confidence)


def _mistakes(images: Any, labels: Any, digits: Any, confidence: Any) -> list[Mistake]:
    # str() returns the shortest decimal that reads back to the same float32.
    rows = zip(images, labels[images], digits[images], confidence[images], strict=True)
    return [Mistake(int(i), int(n), int(d), float(str(c))) for i, n, d, c in rows]


def _ratio(part: float, whole: int) -> float | None:
    return part / whole if whole else None
