"""What a version's answers on held-out digits were, and what they tell of its accuracy in use.

Answers are counted, never kept: each is doubtful, or falls into a bin of its digit by how unsure
the version is.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from time import time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from service.types import Images, Labels, Probabilities

if TYPE_CHECKING:
    from sqlalchemy import Connection

BINS = 16  # of each digit, with equally many held-out answers in each
STRATA = np.array([-4, -2, -1, -0.3])
"""The upper ends of all but the last stratum of :func:`unsure`, the same for every version."""
DOUBTFUL, SURE, STRATUM = 10 * BINS, 10 * BINS + 1, 10 * BINS + 2
SEEN, FAINT, SLOTS = STRATUM + 5, STRATUM + 6, STRATUM + 7
Counts = NDArray[np.float64]
"""(SLOTS,): answers without doubt by digit and bin, doubtful ones, those that ``unsure_as_wrong``
takes for right, all by stratum, the images looked at, and those of them without ``FULL_INK``."""
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
_SHAPES = _COUNTS | {"edges": (10, BINS - 1), "most_unsure": (), "unsure_as_wrong": ()}
_DAYS_S = 7 * 86_400.0
_TRUST = np.array([1000, 100, 10, 2, 0])
"""As how many labels the reference counts in each stratum at most: unsure answers in use are partly
to what was never held out."""
_TAIL, _DRAWS = 0.01, 4000


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
    unsure_as_wrong: float  # as many of all answers were unsure by more than this as were wrong
    confusion: Counts  # (10, 10): answers without doubt by true digit (rows) and digit
    doubtful: Counts  # (10,): doubtful answers by true digit
    edges: Counts  # (10, BINS - 1): the upper ends of all but each digit's last bin, in log10
    bins: Counts  # (10, BINS): answers without doubt by digit and bin
    strata: Counts  # (5, 2): right and wrong answers by stratum
    faint: float  # the images whose largest pixel is below FULL_INK

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
        doubtful = np.bincount(labels[~sure], minlength=10).astype(float)
        as_wrong = float(np.quantile(how, np.mean(digits == labels)))
        faint = float(np.count_nonzero(images.max(axis=(1, 2)) < FULL_INK))
        ends, bins = np.array(edges).round(3), np.zeros((10, BINS))
        reference = cls(most_unsure, as_wrong, confusion, doubtful, ends, bins, strata, faint)
        reference.bins = reference.counted(digits, how)[:DOUBTFUL].reshape(10, BINS)
        return reference

    def counted(
        self, digits: NDArray[np.intp], how: NDArray[np.float32], images: Images | None = None
    ) -> Counts:
        """Counts answers, (n,) digits and (n,) :func:`unsure`, and looks at some ``images``."""
        edges = (self.edges + _APART * np.arange(10)[:, np.newaxis]).ravel()
        slots = edges.searchsorted(how + _APART * digits) + digits
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
        lists = {name: np.asarray(getattr(self, name)).tolist() for name in _SHAPES}
        return {"count": self.count, **lists}

    @classmethod
    def from_card(cls, card: dict[str, Any]) -> Reference | None:
        """Returns the reference in a version's card; None if it has none that can be used."""
        try:
            arrays = {name: np.array(card["reference"][name], float) for name in _SHAPES}
        except (KeyError, TypeError, ValueError):
            return None
        parts: dict[str, Any] = {n: a if a.ndim else a.item() for n, a in arrays.items()}
        shaped = {name: each.shape for name, each in arrays.items()} == _SHAPES
        finite = all(np.isfinite(each).all() for each in arrays.values())
        counts = all((arrays[name] >= 0).all() for name in _COUNTS)
        return cls(**parts) if shaped and finite and counts and arrays["bins"].any() else None

    def accuracy(self, window: Counts, labelled: NDArray[np.float64]) -> dict[str, Any]:
        """Estimates the share of right answers in a window; an answer to no digit is wrong.

        ``labelled`` (5, 2) are right and wrong ones by stratum. Without any it is the average
        thresholded confidence (Garg et al. 2022), else post-stratified, with beta posteriors.
        ``low`` and ``high`` leave out 1 % each, since these use the reference, too.
        """
        count, answers = int(labelled.sum()), window[:SURE].sum()
        if not count or not answers:
            estimate = float(window[SURE] / answers) if answers else None
            return {"estimate": estimate, "low": None, "high": None, "labelled": count}
        random, held_out = np.random.default_rng(0), self.strata
        known = np.maximum(held_out.sum(axis=1), 1)
        prior = 0.5 + held_out * np.minimum(1, _TRUST / known)[:, np.newaxis]
        shares = random.dirichlet(window[STRATUM:SEEN] + 0.25, _DRAWS)
        right, wrong = (labelled + prior).T
        drawn = (random.beta(right, wrong, (_DRAWS, len(right))) * shares).sum(axis=1)
        low, high = np.quantile(drawn, (_TAIL, 1 - _TAIL)).tolist()
        return {"estimate": float(drawn.mean()), "low": low, "high": high, "labelled": count}


def reviewed(connection: Connection, version: str) -> NDArray[np.float64]:
    """Counts the last week's right and wrong answers of a version by stratum, (5, 2).

    Only reviewers' labels count, which agree: others are mostly sent about mistakes.
    """
    from sqlalchemy import select

    from service.store.tables import ANSWERS, LABELS

    columns = (ANSWERS.c.image, ANSWERS.c.digit, ANSWERS.c.confidence, LABELS.c.digit)
    query = select(*columns).join(LABELS, LABELS.c.image == ANSWERS.c.image)
    recent = ANSWERS.c.answered_at > time() - _DAYS_S
    query = query.where(recent, ANSWERS.c.version == version, LABELS.c.source == "review")
    said: dict[str, set[tuple[bool, float]]] = defaultdict(set)
    for image, digit, confidence, label in connection.execute(query):
        said[image].add((digit != label, confidence))
    counts = np.zeros((len(STRATA) + 1, 2))
    for (wrong, confidence), *others in said.values():
        if not others:
            counts[STRATA.searchsorted(np.log10(max(1 - confidence, 1e-30))), int(wrong)] += 1
    return counts
