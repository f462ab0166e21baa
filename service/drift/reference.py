"""What a version's answers on held-out digits were: what its answers in use are compared with.

The card has it as ``reference``. Answers are counted, never kept: each falls below the version's
threshold of doubt, or into a bin of its digit by how unsure the version is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.types import Images, Labels, Probabilities

BINS = 16
"""Of each digit, with equally many held-out answers in each."""
STRATA = np.array([-4, -2, -1, -0.3])
"""The upper ends of all but the last stratum of :func:`unsure`, the same for every version."""
DOUBTFUL, SURE, STRATUM = 10 * BINS, 10 * BINS + 1, 10 * BINS + 2
SEEN, FAINT, SLOTS = STRATUM + 5, STRATUM + 6, STRATUM + 7
Counts = NDArray[np.float64]
"""(SLOTS,): answers without doubt by digit and bin, doubtful ones (together: all answers), those
that :attr:`Reference.unsure_as_wrong` takes for right, from STRATUM on all by stratum, the images
that were looked at, and those whose largest pixel is below ``FULL_INK``."""
FULL_INK = 192
_LEAST = np.float32(1e-30)
_APART = 100.0
"""Lays the edges of the digits one after the other, so that one search finds all bins."""
_COUNTS: dict[str, tuple[int, ...]] = {
    "confusion": (10, 10),
    "doubtful": (10,),
    "bins": (10, BINS),
    "strata": (5, 2),
    "faint": (),
}
_SHAPES = {**_COUNTS, "edges": (10, BINS - 1)}


def unsure(probabilities: Probabilities) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Returns the digit of each row (n, 10), and log10 of the probability that it leaves to others.

    float32 rounds most confidences to 1; the sum of the other nine tells such answers apart.
    """
    digits = probabilities.argmax(axis=1)
    others = probabilities.copy()
    others[np.arange(len(digits)), digits] = 0
    return digits, np.log10(np.maximum(others.sum(axis=1), _LEAST))


@dataclass(slots=True)
class Reference:
    """The answers to held-out digits; ``doubtful`` ones are unsure by more than ``most_unsure``."""

    most_unsure: float
    unsure_as_wrong: float
    """As many of all answers were unsure by more than this as were wrong."""
    confusion: NDArray[np.float64]
    """(10, 10): answers without doubt by true digit (rows) and digit."""
    doubtful: NDArray[np.float64]
    """(10,): doubtful answers by true digit."""
    edges: NDArray[np.float64]
    """(10, BINS - 1): the upper ends of all but each digit's last bin, in log10."""
    bins: NDArray[np.float64]
    """(10, BINS): answers without doubt by digit and bin."""
    strata: NDArray[np.float64]
    """(5, 2): right and wrong answers by stratum."""
    faint: NDArray[np.float64]
    """(): the images whose largest pixel is below ``FULL_INK``."""
    _all_edges: NDArray[np.float64] | None = None

    @property
    def count(self) -> int:
        """The number of held-out digits."""
        return int(self.confusion.sum() + self.doubtful.sum())

    @classmethod
    def of(
        cls, images: Images, probabilities: Probabilities, labels: Labels, threshold: float
    ) -> Reference | None:
        """Counts the answers (n, 10) to images (n, 28, 28) that no fit has seen, of digits (n,).

        ``threshold`` is the least confidence without doubt. Returns None without digits.
        """
        if not len(labels):
            return None
        digits, how = unsure(probabilities)
        most_unsure = float(np.log10(max(1 - threshold, 1e-30)))
        sure, inner = how <= most_unsure, np.arange(1, BINS) / BINS
        confusion = np.zeros((10, 10))
        np.add.at(confusion, (labels[sure], digits[sure]), 1)
        strata = np.zeros((len(STRATA) + 1, 2))
        np.add.at(strata, (STRATA.searchsorted(how), (digits != labels).astype(int)), 1)
        of_digit = [how[sure & (digits == digit)] for digit in range(10)]
        edges = [np.quantile(each, inner) if len(each) else inner for each in of_digit]
        reference = cls(
            most_unsure,
            float(np.quantile(how, np.mean(digits == labels))),
            confusion,
            np.bincount(labels[~sure], minlength=10).astype(float),
            np.array(edges).round(3),
            np.zeros((10, BINS)),
            strata,
            np.array(float(np.count_nonzero(images.max(axis=(1, 2)) < FULL_INK))),
        )
        reference.bins = reference.counted(digits, how)[:DOUBTFUL].reshape(10, BINS)
        return reference

    def counted(
        self, digits: NDArray[np.intp], how: NDArray[np.float32], images: Images | None = None
    ) -> Counts:
        """Counts answers, (n,) digits and (n,) :func:`unsure`, and looks at some ``images``."""
        if self._all_edges is None:
            self._all_edges = (self.edges + _APART * np.arange(10)[:, np.newaxis]).ravel()
        slots = self._all_edges.searchsorted(how + _APART * digits) + digits
        slots[how > self.most_unsure] = DOUBTFUL
        counts = np.bincount(slots, minlength=SLOTS).astype(float)
        counts[SURE] = np.count_nonzero(how <= self.unsure_as_wrong)
        counts[STRATUM:SEEN] = np.bincount(STRATA.searchsorted(how), minlength=len(STRATA) + 1)
        if images is not None:
            largest = np.maximum.reduce(images.reshape(len(images), -1), axis=1)
            counts[SEEN:] = len(images), np.count_nonzero(largest < FULL_INK)
        return counts

    def as_dict(self) -> dict[str, Any]:
        """Returns the form in the card, about 2 KB of JSON."""
        limits = {"most_unsure": self.most_unsure, "unsure_as_wrong": self.unsure_as_wrong}
        lists = {name: getattr(self, name).tolist() for name in _SHAPES}
        return {"count": self.count, **limits, **lists}

    @classmethod
    def from_card(cls, card: dict[str, Any]) -> Reference | None:
        """Returns the reference in a version's card; None if it has none that can be used."""
        try:
            part = card["reference"]
            arrays: dict[str, Any] = {name: np.array(part[name], float) for name in _SHAPES}
            limits = float(part["most_unsure"]), float(part["unsure_as_wrong"])
        except (KeyError, TypeError, ValueError):
            return None
        shaped = all(arrays[name].shape == shape for name, shape in _SHAPES.items())
        finite = all(np.isfinite(each).all() for each in arrays.values())
        counts = shaped and finite and all(arrays[name].min() >= 0 for name in _COUNTS)
        return cls(*limits, **arrays) if counts and arrays["bins"].sum() > 0 else None
