"""Compares two versions on the same labelled images, and tests whether they differ by chance."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

Digits = NDArray[np.integer[Any]]


def compare(first: Digits, second: Digits, labels: Digits) -> dict[str, Any]:
    """Compares the answers of two versions, digits of shape (n,), with labels (n,); n > 0.

    Returns JSON values: accuracies from 0 to 1, counts of images, the p-value of :func:`mcnemar`,
    and as ``changes`` the images on which only one version is right.
    """
    first_right, second_right = first == labels, second == labels
    only_first = int((first_right & ~second_right).sum())
    only_second = int((second_right & ~first_right).sum())
    return {
        "count": len(labels),
        "first_accuracy": float(first_right.mean()),
        "second_accuracy": float(second_right.mean()),
        "both_right": int((first_right & second_right).sum()),
        "only_first_right": only_first,
        "only_second_right": only_second,
        "both_wrong": int((~first_right & ~second_right).sum()),
        "p_value": mcnemar(only_first, only_second),
        "changes": [
            {"index": i, "label": int(labels[i]), "first": int(first[i]), "second": int(second[i])}
            for i in np.flatnonzero(first_right != second_right).tolist()
        ],
    }


def mcnemar(only_first: int, only_second: int) -> float:
    """Returns the two-sided p-value of McNemar's exact test on two counts of discordant pairs.

    If both versions are equally accurate, each is right on a discordant image with probability 1/2,
    so the smaller count is binomial (McNemar 1947; exact form: Agresti, Categorical Data Analysis,
    section 11.1).
    """
    discordant, fewer = only_first + only_second, min(only_first, only_second)
    tail = term = 1
    for count in range(fewer):
        term = term * (discordant - count) // (count + 1)
        tail += term
    return float(min(Fraction(1), Fraction(2 * tail, 2**discordant)))
