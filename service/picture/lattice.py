"""Finds the reading of touching digits: which cuts are real, and which digit is in each piece.

All pieces between two cuts form a lattice; a reading is a way through it. Each piece on the way
counts by the model's confidence in it, by its form, and by the ink that its cuts go through; the
best way is found by dynamic programming (LeCun et al. 1998, section VI, "heuristic
over-segmentation"). The weights were chosen on strings of training images.
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
_FORM = 0.13
"""What the form counts, beside the logarithm of the confidence."""
_CERTAIN, _USUAL = 0.999, 1.2
"""Strokes that the model is surer of, and no wider than so many heights, are one digit."""
_LOW, _PER_LOWNESS = 0.85, 8.0
"""A piece below this share of its group's height is seldom a digit."""
_EACH, _PER_INK = 0.15, 0.55
"""What each piece brings, since all logarithms speak for few; and what a height of ink costs."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What could be one digit: between two cuts of its group, its sides counted as cuts too."""

    first: int
    last: int
    box: Box
    image: int
    """Its number among the images."""
    ink: float = 0.0
    """How much ink its two cuts go through, in heights of the group."""


def surest(
    group: Sequence[Piece], digits: NDArray[np.int64], confidence: NDArray[np.float32]
) -> list[Piece]:
    """The best way through the pieces of one group, from its left side to its right.

    ``digits`` and ``confidence`` (n,) say for each image what the model takes it for, how surely.
    """
    end = max(piece.last for piece in group)
    whole = next((piece for piece in group if (piece.first, piece.last) == (0, end)), None)
    if whole and confidence[whole.image] > _CERTAIN and whole.box[2] < _USUAL * whole.box[3]:
        return [whole]
    tall = max(piece.box[3] for piece in group)
    best: list[tuple[float, list[Piece]]] = [(0.0, []), *[(-np.inf, [])] * end]
    for piece in sorted(group, key=lambda piece: piece.last):
        score, way = best[piece.first]
        score += float(np.log(max(confidence[piece.image], 1e-9)))
        score += _likeliness(piece, int(digits[piece.image]), tall)
        if score > best[piece.last][0]:
            best[piece.last] = score, [*way, piece]
    return best[end][1]


def _likeliness(piece: Piece, digit: int, tall: int) -> float:
    """How likely a piece is one digit by its form and its cuts, as a logarithm."""
    width, height = piece.box[2:]
    deviation = _ASPECT_DEVIATION[digit]
    off = (np.log(width / height) - _ASPECT[digit]) / deviation
    form = -0.5 * off**2 - np.log(deviation / _ASPECT_DEVIATION[0])
    lowness = max(0.0, _LOW - height / tall)
    return float(_FORM * form - _PER_LOWNESS * lowness**2 - _PER_INK * piece.ink / 2 + _EACH)
