"""Chooses the threshold of doubt: the confidence below which an answer is "not a digit".

The threshold is the highest confidence at which the held-out digits show, with a known risk, that
at most 0.6 % of all digits lie below it. That accounts for the size of the held-out set: a fixed
quantile of a small set would be a matter of chance.
"""

from math import exp, lgamma, log, log1p
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.answer.quality import LEAST_CONFIDENCE

DIGITS_BELOW = 0.006
"""The largest share of all digits that may lie below the threshold."""
RISK = 0.05
"""The probability that more lie below it, because the held-out digits were easy."""
LOWEST, HIGHEST = 0.5, 0.99
"""The threshold's range: an answer below 0.5 is always in doubt, one above 0.99 never."""


def choose(confidences: NDArray[np.floating]) -> tuple[float, dict[str, Any] | None]:
    """Returns the threshold for the largest probabilities (n,) of held-out digits.

    Also returns their number and the share of them below the threshold. With too few digits it
    returns the service's own threshold and None.
    """
    most = most_below(len(confidences))
    if most is None:
        return LEAST_CONFIDENCE, None
    quantile = float(np.sort(confidences)[most])
    threshold = min(max(int(quantile * 1e4) / 1e4, LOWEST), HIGHEST)
    share = float(np.mean(confidences < threshold))
    return threshold, {"images": len(confidences), "share_below": share}


def most_below(count: int) -> int | None:
    """Returns how many of ``count`` digits may lie below the threshold, 19 of 4,800.

    If a share of :data:`DIGITS_BELOW` of all digits lay below it, so few would with a probability
    of at most :data:`RISK`: the one-sided bound of Clopper and Pearson (1934). None if even 0 is
    more probable than that.
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
    """Returns the probability that a digit's confidence exceeds a non-digit's; ties count half.

    That is the area under the receiver operating characteristic (Hanley and McNeil 1982).
    """
    ordered = np.sort(others)
    below = np.searchsorted(ordered, digits, side="left")
    up_to = np.searchsorted(ordered, digits, side="right")
    return float(np.mean(below + up_to) / 2 / len(others))
