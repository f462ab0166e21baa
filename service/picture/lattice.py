"""Finds the reading of a line of digits: which cuts are real, and which digit is in each piece.

All pieces between two cuts form a lattice; a reading is a way through it. Each piece on the way
counts by the model's confidence in it, by its form, and by what its cuts go through; the best way
is found by dynamic programming (LeCun et al. 1998, section VI, "heuristic over-segmentation").
Confidence counts by its odds: half a digit is often read with 0.99, seldom with 0.9999. A sure
piece of common form costs nothing, so that neither many pieces nor few are better by themselves.
The weights were fitted on strings of training images, so that the right ways through the lattice
are the likeliest of all (Lafferty et al. 2001, "Conditional Random Fields"); they are rounded, and
those fitted to champions 3 and 4 differ by less than what changes a reading.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.picture.find import Box

_ASPECT = np.array([-0.17, -1.25, -0.15, -0.32, -0.32, -0.22, -0.40, -0.31, -0.36, -0.45])
_ASPECT_DEVIATION = np.array([0.25, 0.43, *[0.25] * 8])
"""The logarithm of width over height of each digit, as MNIST's writers write it."""
_SUREST, _SURENESS = 8.0, 0.7
"""Beyond these logarithmic odds all are as sure; and what falls short of them costs."""
_FORM, _OFF = 0.6, 4.0
"""What the form costs, and the deviations beyond which it costs no more."""
_LOW, _LOWNESS = 0.85, 10.0
"""A piece below this share of its group's height is seldom a digit."""
_HOLE, _JOINT = 0.3, 1.5
"""What it costs to cut through a hole, and to join strokes that are apart."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What could be one digit: between two cuts of its line, the sides of groups counted too."""

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
    """How many gaps between strokes it goes over."""


def surest(
    line: Sequence[Piece], digits: NDArray[np.int64], confidence: NDArray[np.float32]
) -> list[Piece]:
    """The best way through the pieces of one line, from its left side to its right.

    ``digits`` and ``confidence`` (n,) say for each image what the model takes it for, how surely.
    """
    end = max(piece.last for piece in line)
    best: list[tuple[float, list[Piece]]] = [(0.0, []), *[(-np.inf, [])] * end]
    for piece in sorted(line, key=lambda piece: piece.last):
        score, way = best[piece.first]
        score -= _cost(piece, int(digits[piece.image]), float(confidence[piece.image]))
        if score > best[piece.last][0]:
            best[piece.last] = score, [*way, piece]
    return best[end][1]


def _cost(piece: Piece, digit: int, confidence: float) -> float:
    """What speaks against a piece being one digit, as a logarithm; 0 where nothing does."""
    odds = np.log(max(confidence, 1e-6) / max(1 - confidence, 1e-6))
    width, height = piece.box[2:]
    deviation = _ASPECT_DEVIATION[digit]
    off = min(abs(np.log(width / height) - _ASPECT[digit]) / deviation, _OFF)
    form = 0.5 * off**2 + np.log(deviation / _ASPECT_DEVIATION[0])
    lowness = max(0.0, piece.lowness - (1 - _LOW))
    return float(
        _SURENESS * (_SUREST - min(odds, _SUREST))
        + _FORM * form
        + _LOWNESS * lowness**2
        + _HOLE * piece.holes
        + _JOINT * piece.joints
    )
