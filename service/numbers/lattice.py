"""Decode a row of digits: find the real cuts and the digit of each piece.

The pieces between any two cuts form a segmentation lattice; dynamic programming (Viterbi) finds the
path of the lowest cost (LeCun et al. 1998, section VI, "heuristic over-segmentation"). Confidence
counts by its odds: the model often reads half a digit with 0.99, but seldom with 0.9999. A path can
leave out a group, such as a letter. ``python -m tests.corpus.fit`` fits the weights of the costs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from service.imaging.components import Box
from service.imaging.locate import Floats
from service.numbers.lines import Group

_LOG_ASPECT = np.array([-0.17, -1.25, -0.15, -0.32, -0.32, -0.22, -0.40, -0.31, -0.36, -0.45])
_LOG_ASPECT_DEVIATION = np.array([0.25, 0.43, *[0.25] * 8])
"""Mean and deviation of the logarithm of width over height, for each digit of MNIST."""
_MOST_LOG_ODDS, _MOST_DEVIATIONS = 8.0, 4.0
_USUAL = 0.15  # the logarithm by which a digit's height can differ from its row's at no cost
_LOW, _HIGH = 0.5, 1.25
"""A lower group, in heights of the row, may be a comma or a dash, a higher one a slash."""
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
"""The cost of each feature of a piece, and of leaving out a group that fills a square of the row's
height. A low 1 is often a comma, and a high 1 a slash or a bracket."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A possible digit, from cut ``first`` to cut ``last`` of its row."""

    first: int
    last: int
    box: Box
    image: int  # its index among the images
    lowness: float = 0.0  # how much lower it is than its group, as a share of the group's height
    holes: int = 0  # the number of holes that its cuts cross
    joints: int = 0  # the number of groups in it, less one


@dataclass(frozen=True, slots=True)
class Row:
    """Groups of strokes from left to right, and the lattice of their pieces."""

    groups: Sequence[Group]
    pieces: list[Piece]
    ends: list[int]  # the cuts at the sides of the groups, from 0 at the row's left side

    @property
    def height(self) -> int:
        """The median height of the groups, the upper one of an even number."""
        return sorted(group.box.height for group in self.groups)[len(self.groups) // 2]

    def best_path(
        self,
        digits: NDArray[np.int64],
        confidence: NDArray[np.float32],
        weights: Mapping[str, float] = WEIGHTS,
    ) -> list[tuple[Piece, float]]:
        """Returns the pieces of the cheapest path, from left to right, and their costs."""
        # digits and confidence (n,) are the model's answer for each image.
        *of_pieces, of_left_out = weights.values()
        width, height = np.array([group.box[2:] for group in self.groups]).T / self.height
        left_out = of_left_out * np.minimum(1, height) * np.maximum(1, width)
        whole = list(zip(pairwise(self.ends), left_out.tolist(), height, strict=True))
        # The confidence threshold decides whether a group alone is a digit. To read it costs no
        # more than to leave it out, except if it is low or high.
        caps = {ends: cost for ends, cost, high in whole if _LOW <= high <= _HIGH}
        steps = [
            (first, last, cost, list[tuple[Piece, float]]()) for (first, last), cost, _ in whole
        ]
        costs = features(self, digits, confidence) @ np.array(of_pieces)
        for one, own in zip(self.pieces, costs.tolist(), strict=True):
            cost = own if one.joints else min(own, caps.get((one.first, one.last), np.inf))
            steps.append((one.first, one.last, cost, [(one, cost)]))
        best: list[tuple[float, list[tuple[Piece, float]]]] = [(0.0, [])]
        best += [(np.inf, [])] * self.ends[-1]
        for first, last, cost, step in sorted(steps, key=lambda step: (step[1], not step[3])):
            before, path = best[first]
            if before + cost < best[last][0]:
                best[last] = before + cost, path + step
        return best[-1][1]


def features(row: Row, digits: NDArray[np.int64], confidence: NDArray[np.float32]) -> Floats:
    """Returns the features of each piece (n, 8), in the order of ``WEIGHTS``, 0 at best."""
    image = [piece.image for piece in row.pieces]
    digit, sure = digits[image], np.clip(confidence[image].astype(np.float64), 1e-6, 1 - 1e-6)
    log_odds = np.log(sure / (1 - sure))
    own = [(*one.box[2:], one.lowness, one.holes, one.joints) for one in row.pieces]
    width, height, lowness, holes, joints = np.array(own, np.float64).reshape(-1, 5).T
    deviation = _LOG_ASPECT_DEVIATION[digit]
    deviations = abs(np.log(width / height) - _LOG_ASPECT[digit]) / deviation
    deviations = np.minimum(deviations, _MOST_DEVIATIONS)
    lower, is_1 = np.log(row.height / height), digit == 1
    columns = (
        _MOST_LOG_ODDS - np.minimum(log_odds, _MOST_LOG_ODDS),
        0.5 * deviations**2 + np.log(deviation / _LOG_ASPECT_DEVIATION[0]),
        np.maximum(0, lowness - _USUAL) ** 2,
        holes,
        joints,
        np.maximum(0, lower - _USUAL),
        is_1 * np.maximum(0, np.maximum(lower, -np.log(1 - lowness)) - _USUAL),
        is_1 * np.maximum(0, -lower - _USUAL),
    )
    return np.stack(columns, axis=1)
