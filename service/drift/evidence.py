"""How strongly the answers of a window speak against the reference: four two-sample tests.

A score is -log10 of a bound on the probability of a window as unlike the reference as this one,
where both are samples of the same traffic.
"""

from __future__ import annotations

from math import erfc, log, log10, sqrt

import numpy as np
from numpy.typing import NDArray

from service.drift.reference import BINS, DOUBTFUL, FAINT, SEEN, Counts, Reference
from service.observe.metric_table import DRIFTS

BLOCK, WINDOW = 100, 1000  # after each BLOCK answers the tests look at up to the last WINDOW
LEVEL = 4e-5
"""False alarms in ``WINDOW`` answers of steady traffic, of all kinds and looks together: less than
one in 10,000, since references that are unlike the traffic by chance alarm in many windows."""
THRESHOLD = -log10(LEVEL / (len(DRIFTS) + 1) / (WINDOW // BLOCK))
"""The score that each look of each test needs, so that all together keep to ``LEVEL``."""
_MOST = 300.0


class Evidence:
    """The tests against one reference."""

    def __init__(self, reference: Reference) -> None:
        self.reference, bins = reference, reference.bins
        self._below = bins.cumsum(axis=1) - bins / 2  # the surer ones, and half of those in the bin
        self._of_digit = bins.sum(axis=1)
        self._digits, self._sure = self._of_digit.tolist(), float(bins.sum())

    def scores(self, window: Counts) -> tuple[float, ...]:
        """Returns the scores of a window, in the order of :data:`DRIFTS`; 0 and more.

        Doubtful answers count for ``no digits`` alone: the others tell whether digits have changed.
        """
        bins = window[:DOUBTFUL].reshape(10, BINS)
        digits, doubtful = bins.sum(axis=1), float(window[DOUBTFUL])
        sure = float(digits.sum())
        pairs = zip(digits.tolist(), self._digits, strict=True)
        labels = max(unlike(here, sure, there, self._sure) for here, there in pairs)
        held_out, of_all = self.reference.count, sure + doubtful
        more = doubtful / of_all > 1 - self._sure / held_out
        no_digits = unlike(doubtful, of_all, held_out - self._sure, held_out) if more else 0.0
        appearance = -log10(max(erfc(abs(self.less_sure(bins)) / sqrt(2)), 10**-_MOST))
        pale, seen = float(window[FAINT]), float(window[SEEN])
        faint = unlike(pale, seen, self.reference.faint, held_out)
        # Any of ten digits may be the one, more or less often than held out.
        found = labels - log10(20), max(appearance, faint), no_digits
        return tuple(max(0.0, min(_MOST, score)) for score in found)

    def less_sure(self, bins: NDArray[np.float64]) -> float:
        """Returns by how many standard deviations the answers, (10, BINS), are less sure.

        The rank test of Wilcoxon, stratified by the digit (van Elteren 1960); ties count half.
        """
        here, there = bins.sum(axis=1), self._of_digit
        weight = 1 / (here + there + 1)
        excess = ((bins * self._below).sum(axis=1) - here * there / 2) * weight
        variance = float((here * there * weight).sum()) / 12
        return float(excess.sum()) / sqrt(variance) if variance else 0.0

    def shares(self, window: Counts) -> NDArray[np.float64]:
        """Solves for the shares (10,) of the true digits that give these answers (Lipton 2018)."""
        reference = self.reference
        of_true = reference.confusion.sum(axis=1) + reference.doubtful
        confusion = reference.confusion / np.maximum(of_true, 1)[:, np.newaxis]
        digits = window[:DOUBTFUL].reshape(10, BINS).sum(axis=1)
        found = np.linalg.lstsq(confusion.T, digits, rcond=None)[0].clip(0)
        return np.asarray(found / max(found.sum(), 1e-9))

    def telling(
        self, kind: str, window: Counts, digits: NDArray[np.intp], how: NDArray[np.float32]
    ) -> NDArray[np.intp]:
        """Returns the order of answers, (n,) and (n,), that shows a kind of alarm best first."""
        bins, more = window[:DOUBTFUL].reshape(10, BINS), how
        if kind == "labels":
            here = bins.sum(axis=1)
            more = digits == np.argmax(here / here.sum() - self._of_digit / self._sure)
        elif kind == "appearance":
            surer = how if self.less_sure(bins) >= 0 else -how
            more = np.where(how > self.reference.most_unsure, -np.inf, surer)
        return np.argsort(-more.astype(float), kind="stable")


def unlike(hits: float, count: float, hits_there: float, count_there: float) -> float:
    """Returns -log10 of a bound on one tail, that ``hits`` of ``count`` are so far from the others.

    It is the relative entropy's, of the hypergeometric tail (Hoeffding 1963, section 6).
    """
    if not count:
        return 0.0
    share, joint = hits / count, (hits + hits_there) / (count + count_there)
    entropy = share * log(share / joint) if share else 0.0
    if share < 1:
        entropy += (1 - share) * log((1 - share) / (1 - joint))
    return count * entropy / log(10)
