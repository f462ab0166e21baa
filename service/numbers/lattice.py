"""Finds the reading of a row of digits: which cuts are real, and which digit is in each piece.

All pieces between two cuts form a lattice; a reading is a way through it. Each piece on the way
counts by the model's confidence in it, by its form, by its height beside the row's, and by what its
cuts go through or its joints go over; the best way is found by dynamic programming (LeCun et al.
1998, section VI, "heuristic over-segmentation"). Confidence counts by its odds: half a digit is
often read with 0.99, seldom with 0.9999. A sure piece of common form costs nothing, so that neither
many pieces nor few are better by themselves. A group of strokes may also be no digit at all, a
letter or a dash, at a price for its size. The weights are those that read most strings of training
images right: ``python -m tests.corpus.fit`` tries others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from service.imaging.locate import Box

Floats = NDArray[np.float64]

_ASPECT = np.array([-0.17, -1.25, -0.15, -0.32, -0.32, -0.22, -0.40, -0.31, -0.36, -0.45])
_ASPECT_DEVIATION = np.array([0.25, 0.43, *[0.25] * 8])
"""The logarithm of width over height of each digit, as MNIST's writers write it."""
_SUREST = 8.0
"""Beyond these logarithmic odds all are as sure."""
_OFF = 4.0
"""The deviations beyond which a form costs no more."""
_USUAL = 0.15
"""How much a digit's height differs from its row's without being odd, as a logarithm."""
_LOW, _HIGH = 0.5, 1.25
"""What is lower, in heights of the row, may be a comma or a dash; what is higher a slash."""
WEIGHTS = {
    "unsure": 0.7,
    "form": 0.25,
    "lower than its group": 30.0,
    "through holes": 0.3,
    "joints": 0.5,
    "lower than its row": 0.2,
    "a low 1": 4.0,
    "a high 1": 60.0,
    "left out": 5.0,
}
"""What each feature of a piece costs, and what leaving out a group costs that fills a square.

A low 1 is a comma more often, and a high 1 a slash or a bracket.
"""


@dataclass(frozen=True, slots=True)
class Piece:
    """What could be one digit: between two cuts of its row, the sides of groups counted too."""

    first: int
    last: int
    box: Box
    image: int
    """Its number among the images."""
    lowness: float = 0.0
    """How much lower it is than its group, as a share of the group's height."""
    holes: int = 0
    """How many holes its cuts go through."""
    joints: int = 0
    """How many groups beside the first it is made of."""


@dataclass(frozen=True, slots=True)
class Lattice:
    """The pieces of a row of groups, and the ways through them."""

    pieces: list[Piece]
    ends: list[int]
    """(groups + 1,): the cuts between the groups, counted from the row's left side, which is 0."""
    sizes: list[tuple[int, int]]
    """(groups,): how wide and how high each is."""

    @property
    def tall(self) -> int:
        """How high the row is: the median of its groups, the higher of two."""
        return sorted(high for _, high in self.sizes)[len(self.sizes) // 2]

    def way(
        self,
        digits: NDArray[np.int64],
        sure: NDArray[np.float32],
        weights: Mapping[str, float] = WEIGHTS,
    ) -> list[tuple[Piece, float]]:
        """The pieces of the best way from the row's left side to its right, and what each costs.

        ``digits`` and ``sure`` (n,) say for each image what the model takes it for, how surely.
        """
        *of_pieces, of_left_out = weights.values()
        left_out = of_left_out * self._sizes_as_shares()
        costs = self._capped(features(self, digits, sure) @ np.array(of_pieces), left_out)
        steps = [
            (piece.first, piece.last, float(cost), [(piece, float(cost))])
            for piece, cost in zip(self.pieces, costs, strict=True)
        ]
        steps += [
            (first, last, float(cost), [])
            for (first, last), cost in zip(pairwise(self.ends), left_out, strict=True)
        ]
        best: list[tuple[float, list[tuple[Piece, float]]]] = [(0.0, [])]
        best += [(np.inf, [])] * self.ends[-1]
        for first, last, cost, step in sorted(steps, key=lambda step: step[1]):
            before, way = best[first]
            if before + cost < best[last][0]:
                best[last] = before + cost, way + step
        return best[-1][1]

    def _sizes_as_shares(self) -> Floats:
        """How large each group is (groups,): 1 where it is as high as the row, and no wider."""
        wide, high = np.array(self.sizes).T / self.tall
        shares: Floats = np.minimum(1, high) * np.maximum(1, wide)
        return shares

    def _capped(self, costs: Floats, left_out: Floats) -> Floats:
        """The costs of the pieces (n,), a group's as a whole no higher than of leaving it out.

        Whether a group alone is a digit its confidence tells better; what speaks for leaving one
        out is what cutting it costs, or that it is low or high.
        """
        low, high = _LOW * self.tall, _HIGH * self.tall
        most = {
            ends: cost
            for ends, cost, (_, height) in zip(
                pairwise(self.ends), left_out, self.sizes, strict=True
            )
            if low <= height <= high
        }
        caps = [
            np.inf if piece.joints else most.get((piece.first, piece.last), np.inf)
            for piece in self.pieces
        ]
        return np.minimum(costs, caps)


def features(lattice: Lattice, digits: NDArray[np.int64], sure: NDArray[np.float32]) -> Floats:
    """What speaks against each piece being one digit (n, 8): 0 where nothing does."""
    image = [piece.image for piece in lattice.pieces]
    digit, confidence = digits[image], np.clip(sure[image].astype(np.float64), 1e-6, 1 - 1e-6)
    odds = np.log(confidence / (1 - confidence))
    own = [(*one.box[2:], one.lowness, one.holes, one.joints) for one in lattice.pieces]
    width, height, lowness, holes, joints = np.array(own, np.float64).reshape(-1, 5).T
    deviation = _ASPECT_DEVIATION[digit]
    off = np.minimum(abs(np.log(width / height) - _ASPECT[digit]) / deviation, _OFF)
    lower, is_1 = np.log(lattice.tall / height), digit == 1
    return np.stack(
        [
            _SUREST - np.minimum(odds, _SUREST),
            0.5 * off**2 + np.log(deviation / _ASPECT_DEVIATION[0]),
            np.maximum(0, lowness - _USUAL) ** 2,
            holes,
            joints,
            np.maximum(0, lower - _USUAL),
            is_1 * np.maximum(0, np.maximum(lower, -np.log(1 - lowness)) - _USUAL),
            is_1 * np.maximum(0, -lower - _USUAL),
        ],
        axis=1,
    )
