"""Compares two versions on the same labelled images, and says whether chance would do as well."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

Digits = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class Change:
    """An image that one version reads right and the other does not."""

    index: int
    label: int
    first: int
    second: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two versions make of ``count`` images; accuracies are fractions."""

    count: int
    first_accuracy: float
    second_accuracy: float
    both_right: int
    only_first_right: int
    only_second_right: int
    both_wrong: int
    p_value: float
    """How often chance alone would part the versions at least as far, were they equally good."""
    changes: tuple[Change, ...]
    """The images that changed sides, by index."""

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)


def compare(first: Digits, second: Digits, labels: Digits) -> Comparison:
    """Compares the digits that two versions read, (n,) each, with the labels (n,); n above 0."""
    first_right, second_right = first == labels, second == labels
    only_first = int((first_right & ~second_right).sum())
    only_second = int((second_right & ~first_right).sum())
    changed = np.flatnonzero(first_right != second_right)
    return Comparison(
        count=len(labels),
        first_accuracy=float(first_right.mean()),
        second_accuracy=float(second_right.mean()),
        both_right=int((first_right & second_right).sum()),
        only_first_right=only_first,
        only_second_right=only_second,
        both_wrong=int((~first_right & ~second_right).sum()),
        p_value=mcnemar(only_first, only_second),
        changes=tuple(
            Change(int(i), int(labels[i]), int(first[i]), int(second[i])) for i in changed
        ),
    )


def mcnemar(only_first: int, only_second: int) -> float:
    """The two-sided p-value of McNemar's exact test on two counts of discordant pairs.

    Under equal accuracy each discordant image falls to either version like a fair coin, so the
    smaller count is binomial with p = 1/2 (McNemar 1947; the exact form: Agresti, Categorical Data
    Analysis, section 11.1).
    """
    discordant, fewer = only_first + only_second, min(only_first, only_second)
    tail = term = 1
    for count in range(fewer):
        term = term * (discordant - count) // (count + 1)
        tail += term
    return float(min(Fraction(1), Fraction(2 * tail, 2**discordant)))
