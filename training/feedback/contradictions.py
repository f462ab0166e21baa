"""Finds labels that the rest of the data contradict: confident learning, by image and by labeller.

Northcutt, Jiang and Chuang 2021, https://arxiv.org/abs/1911.00068. The champion alone would
contradict every label that could teach it something, so ridge regression on random features (Rahimi
and Recht 2007) of the *other* labelled images corrects it: labels that agree are believed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.types import SIDE, Images, Probabilities
from training.measure.compare import at_most

Floats = NDArray[np.float64]
Ints = NDArray[np.integer[Any]]
Flags = NDArray[np.bool_]

NO_DIGIT = 10  # the column of what is no digit
FEATURES, SHARPNESS, RIDGE = 512, 4.0, 2.0
LEAST_CONFIDENT = 0.5
FEWEST_JUDGED = 3
TOLERATED, TOLERATED_BY_OTHERS = 0.1, 0.5
"""The shares of contradicted labels up to which the rest of a labeller's labels are believed.

The second is by the champion and other people alone, for one who is wrong consistently; a champion
may read a new hand badly that one person alone labels.
"""
LEVEL = 0.01  # the probability that a labeller is refused whose true share is the tolerated one


def contradicted(
    images: Images, labels: Ints, labellers: Ints, probabilities: Probabilities
) -> tuple[Flags, Ints, list[int]]:
    """Finds the labels to set aside: returns which (n,), and the digits expected instead (n,).

    Also returns the labellers of whom nothing is believed. ``labels`` (n,) and the expected digits
    are -1 for no digit. ``labellers`` (n,) are -1 where several people agree, which is always
    believed. ``probabilities`` (n, 10) are the champion's.
    """
    given = np.where(labels < 0, NO_DIGIT, labels)
    known = _with_no_digit(probabilities)
    rest = _Rest(_features(images), known, np.eye(NO_DIGIT + 1)[given] - known)
    refused: list[int] = []
    while True:
        believed = ~np.isin(labellers, refused)
        doubtful, expected = _issues(rest.expects_each(believed), given)
        names, counts = np.unique(labellers[believed & (labellers >= 0)], return_counts=True)
        scores: dict[int, float] = {}
        for labeller in names[counts >= FEWEST_JUDGED].tolist():
            own = labellers == labeller
            against, _ = _issues(rest.expects(believed & ~own, own), given[own])
            shares = (doubtful[own], TOLERATED), (against, TOLERATED_BY_OTHERS)
            scores[labeller] = min(
                at_most(int((~flags).sum()), len(flags), 1 - share) for flags, share in shares
            )
        # The worst first: his labels count against honest ones.
        worst = min(scores, key=scores.__getitem__, default=None)
        if worst is None or scores[worst] > LEVEL:
            break
        refused.append(worst)
    doubtful = (doubtful & (labellers >= 0)) | ~believed
    return doubtful, np.where(expected == NO_DIGIT, -1, expected), refused


@dataclass(frozen=True, slots=True)
class _Rest:
    """What the champion and the other labels expect: its answers, corrected by ridge regression."""

    features: Floats
    known: Floats
    wanted: Floats  # what the given labels add to the champion's probabilities, (n, 11)

    def expects(self, seen: Flags, of: Flags) -> Floats:
        """Returns the rows of the images ``of`` after a fit to the labels ``seen``."""
        fitted = self._inverse(seen) @ (self.features[seen].T @ self.wanted[seen])
        expected: Floats = self.known[of] + self.features[of] @ fitted
        return expected

    def expects_each(self, seen: Flags) -> Floats:
        """Returns all rows, each after a fit to the labels ``seen`` but its own."""
        spread = self.features @ self._inverse(seen)
        fitted = spread @ (self.features[seen].T @ self.wanted[seen])
        # Leave-one-out without another fit: takes away what an image's own label adds.
        own = (np.sum(spread * self.features, axis=1) * seen)[:, np.newaxis]
        expected: Floats = self.known + (fitted - own * self.wanted) / (1 - own)
        return expected

    def _inverse(self, seen: Flags) -> Floats:
        rows = self.features[seen]
        return np.linalg.inv(rows.T @ rows + RIDGE * np.eye(FEATURES)).astype(np.float64)


def _with_no_digit(probabilities: Probabilities) -> Floats:
    """Returns rows of eleven: the flatter the ten, the more probably there is no digit."""
    ten = probabilities.astype(np.float64)
    none = (1 - ten.max(axis=1, keepdims=True)) / 0.9
    return np.hstack([ten * (1 - none), none])


def _features(images: Images) -> Floats:
    """Returns random Fourier features (n, FEATURES): their products are 1 for like images."""
    half = images.reshape(-1, SIDE // 2, 2, SIDE // 2, 2).mean(axis=(2, 4)).reshape(len(images), -1)
    half = half / np.maximum(np.linalg.norm(half, axis=1, keepdims=True), 1)
    random = np.random.default_rng(0)
    ways = random.normal(0, np.sqrt(2 * SHARPNESS), (half.shape[1], FEATURES))
    turned = np.cos(half @ ways + random.uniform(0, 2 * np.pi, FEATURES))
    features: Floats = turned * np.sqrt(2 / FEATURES)
    return features


def _issues(probabilities: Floats, given: Ints) -> tuple[Flags, Ints]:
    """Returns where a class other than the ``given`` one is confidently expected, and which is.

    A class is confident at an image if its probability is at least the mean one of the images with
    its label.
    """
    rows = probabilities.clip(0, 1)
    rows /= rows.sum(axis=1, keepdims=True)
    own = rows[np.arange(len(rows)), given]
    least = np.full(rows.shape[1], own.mean())
    for label in np.unique(given):
        least[label] = own[given == label].mean()
    confident = np.where(rows >= np.maximum(least, LEAST_CONFIDENT), rows, 0)
    best = confident.argmax(axis=1)
    return (confident.max(axis=1) > 0) & (best != given), best
