"""Compares two versions on the same labelled images, and tests whether they differ by chance."""

from math import exp, lgamma, log, log1p
from typing import Any

import numpy as np
from numpy.typing import NDArray

Digits = NDArray[np.integer[Any]]

MARGIN = 0.002
"""How much less accurate than another a version may be to count as not worse: a share of images."""
LEVEL = 0.05
"""The probability at most that a version counts as not worse which is worse by the margin."""


def compare(first: Digits, second: Digits, labels: Digits) -> dict[str, Any]:
    """Compares digits (n,) of two versions with labels (n,), n > 0; returns JSON values."""
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
    """Returns the two-sided p-value of McNemar's exact test on two counts of discordant pairs."""
    return min(1.0, 2 * worse(*sorted((only_first, only_second))))


def not_worse(won: int, lost: int, count: int, margin: float) -> float:
    """Returns the one-sided p-value that a version is not worse by ``margin`` on ``count`` images.

    ``won`` and ``lost`` count the images that only it, or only the other version, reads. It is
    McNemar's exact test with the null hypothesis moved by the margin: a version worse by exactly
    ``margin`` loses ``margin * count`` more of the discordant images than it wins (Liu et al. 2002,
    "Tests for equivalence or non-inferiority for paired binary data").
    """
    discordant = won + lost
    if lost - won >= margin * count:
        return 1.0
    loses = 0.5 + margin * count / (2 * discordant) if discordant else 1.0
    if loses >= 1:  # even if all of them were lost, it would not be worse by the margin
        return 0.0
    return at_most(lost, discordant, loses)


def worse(won: int, lost: int) -> float:
    """Returns the one-sided p-value of McNemar's exact test that a version is worse."""
    return at_most(won, won + lost, 0.5)


def at_most(count: int, total: int, share: float) -> float:
    """Returns the probability that a binomial of ``total`` trials is at most ``count``."""
    below = 0.0
    for hits in range(count + 1):
        rest = total - hits
        ways = lgamma(total + 1) - lgamma(hits + 1) - lgamma(rest + 1)
        below += exp(ways + hits * log(share) + rest * log1p(-share))
    return min(1.0, below)
