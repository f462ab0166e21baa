"""Where doubt begins: the confidence below which an answer is "not a digit".

An operating point lets most digits pass. How sure one can be of that depends on how many digits it
was chosen on: a fixed share of a small set would be passed or missed by chance. So it lies at the
highest confidence at which the digits held out make it sure that the promised share passes.
"""

from __future__ import annotations

from math import exp, lgamma, log, log1p
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.answer.quality import LEAST_CONFIDENCE

DIGITS_BELOW = 0.01
"""At most this share of all digits shall be called no digit ..."""
RISK = 0.05
"""... but for the chance that those held out were easy."""
LOWEST, HIGHEST = 0.5, 0.99
"""What is more likely wrong than right is in doubt; what is as good as sure is not."""


def choose(confidences: NDArray[np.floating]) -> tuple[float, dict[str, Any] | None]:
    """The threshold from the largest probabilities (n,) of digits that were held out.

    Returns:
        The threshold, and how many digits it was chosen on with the share of them below it. Where
        they are too few to promise anything, the service's own threshold and None.
    """
    most = most_below(len(confidences))
    if most is None:
        return LEAST_CONFIDENCE, None
    quantile = float(np.sort(confidences)[most])
    threshold = min(max(int(quantile * 1e4) / 1e4, LOWEST), HIGHEST)
    return threshold, {
        "images": len(confidences),
        "share_below": float(np.mean(confidences < threshold)),
    }


def most_below(count: int) -> int | None:
    """How many of ``count`` digits may be below; None where even none would promise too much.

    The most that would be seen with a chance of :data:`RISK` at most, were :data:`DIGITS_BELOW`
    of all digits below: the one-sided bound of Clopper and Pearson (1934). 36 of 4,800.
    """
    total, most = 0.0, None
    for below in range(count):
        ways = lgamma(count + 1) - lgamma(below + 1) - lgamma(count - below + 1)
        rest = count - below
        total += exp(ways + below * log(DIGITS_BELOW) + rest * log1p(-DIGITS_BELOW))
        if total > RISK:
            break
        most = below
    return most


def auroc(digits: NDArray[np.floating], others: NDArray[np.floating]) -> float:
    """The chance that a digit's confidence is above another's, ties counting half.

    That is the area under the receiver operating characteristic (Hanley and McNeil 1982).
    """
    ordered = np.sort(others)
    below = np.searchsorted(ordered, digits, side="left")
    up_to = np.searchsorted(ordered, digits, side="right")
    return float(np.mean(below + up_to) / 2 / len(others))
