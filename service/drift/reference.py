"""What a version's answers on held-out digits were: what its answers in use are compared with.

The card has it as ``reference``. Answers are counted, never kept: each falls below the version's
threshold of doubt, or into a bin of its digit by how unsure the version is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.types import Labels, Probabilities

BINS = 16
"""Of each digit, with equally many held-out answers in each."""
Counts = NDArray[np.float64]
_LEAST = np.float32(1e-30)


def unsure(probabilities: Probabilities) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Returns the digit of each row (n, 10), and log10 of the probability that it leaves to others.

    float32 rounds most confidences to 1; the sum of the other nine tells such answers apart.
    """
    rows, digits = np.arange(len(probabilities)), probabilities.argmax(axis=1)
    others = probabilities.copy()
    others[rows, digits] = 0
    return digits, np.log10(np.maximum(others.sum(axis=1), _LEAST))


@dataclass(frozen=True, slots=True)
class Reference:
    """The answers to held-out digits; ``doubtful`` ones are unsure by more than ``most_unsure``."""

    most_unsure: float
    confusion: Counts
    """(10, 10): answers without doubt by true digit (rows) and digit."""
    doubtful: Counts
    """(10,): doubtful answers by true digit."""
    edges: NDArray[np.float32]
    """(10, BINS - 1): the upper ends of all but each digit's last bin, in log10."""
    bins: Counts
    """(10, BINS): answers without doubt by digit and bin."""
    right: int
    """How many of all answers were right."""
    unsure_as_wrong: float
    """As many of all answers were unsure by more than this as were wrong."""

    @property
    def count(self) -> int:
        """The number of held-out digits."""
        return int(self.confusion.sum() + self.doubtful.sum())

    @classmethod
    def of(cls, probabilities: Probabilities, labels: Labels, threshold: float) -> Reference | None:
        """Counts the answers (n, 10) to digits that no fit has seen, with these labels (n,).

        ``threshold`` is the least confidence without doubt. Returns None without digits.
        """
        if not len(labels):
            return None
        digits, how = unsure(probabilities)
        most_unsure = float(np.log10(max(1 - threshold, 1e-30)))
        sure = how <= most_unsure
        confusion = np.zeros((10, 10))
        np.add.at(confusion, (labels[sure], digits[sure]), 1)
        inner = np.arange(1, BINS) / BINS
        of_digit = [how[sure & (digits == digit)] for digit in range(10)]
        edges = [np.quantile(each, inner) if len(each) else inner * 0 for each in of_digit]
        rounded = np.array(edges).round(3).astype(np.float32)
        right = int(np.sum(digits == labels))
        reference = cls(
            most_unsure,
            confusion,
            np.bincount(labels[~sure], minlength=10).astype(float),
            rounded,
            np.zeros((10, BINS)),
            right,
            float(np.quantile(how, right / len(labels))),
        )
        reference.bins[:] = reference.binned(digits[sure], how[sure])
        return reference

    def binned(self, digits: NDArray[np.intp], how: NDArray[np.float32]) -> Counts:
        """Counts answers without doubt, (n,) and (n,), by digit and bin: (10, BINS)."""
        bins = (self.edges[digits] < how[:, np.newaxis]).sum(axis=1)
        counts = np.bincount(digits * BINS + bins, minlength=10 * BINS)
        return counts.reshape(10, BINS).astype(float)

    def as_dict(self) -> dict[str, Any]:
        """Returns the form in the card, a few KB of JSON."""
        return {
            "count": self.count,
            "right": self.right,
            "most_unsure": self.most_unsure,
            "unsure_as_wrong": self.unsure_as_wrong,
            "confusion": self.confusion.astype(int).tolist(),
            "doubtful": self.doubtful.astype(int).tolist(),
            "edges": [[round(edge, 3) for edge in row] for row in self.edges.tolist()],
            "bins": self.bins.astype(int).tolist(),
        }

    @classmethod
    def from_card(cls, card: dict[str, Any]) -> Reference | None:
        """Returns the reference in a version's card; None if it has none that can be used."""
        try:
            part = card["reference"]
            reference = cls(
                most_unsure=float(part["most_unsure"]),
                confusion=np.array(part["confusion"], float).reshape(10, 10),
                doubtful=np.array(part["doubtful"], float).reshape(10),
                edges=np.array(part["edges"], np.float32).reshape(10, BINS - 1),
                bins=np.array(part["bins"], float).reshape(10, BINS),
                right=int(part["right"]),
                unsure_as_wrong=float(part["unsure_as_wrong"]),
            )
        except (KeyError, TypeError, ValueError):
            return None
        return reference if reference.confusion.sum() > 0 else None
