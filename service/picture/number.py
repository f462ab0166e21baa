"""A whole number in a picture: its lines, the groups of strokes in them, and how they may be cut.

What the picture shows is turned into images of all that could be one digit; the model looks at
them all at once, and the reading that it is surest of is taken.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.decode import SIDE, Images
from service.picture.find import Box
from service.picture.ground import Grey
from service.picture.lines import Group, lines_in
from service.picture.look import reduced, scaled
from service.picture.normalise import normalise
from service.picture.open import Picture
from service.picture.split import between, cuts
from service.runtime import Probabilities

OVERVIEW = 1280
HEIGHT = 72
"""Digits are looked at when they are reduced to some such height, in pixels."""
LARGEST = 2048
"""The longest side of what is looked at so closely."""
_WIDEST = 1.5
"""The most that a digit is wide, in heights of its group; more is several."""
_LOWEST = 0.4
"""The least that a digit is high, in heights of its group; less is a piece of one."""
_PER_CUT = 0.3
"""What a cut must bring in logarithm of confidence: whole strokes are the rule."""
_WIDE, _WIDE_DEVIATION, _LOW = 1.1, 0.2, 0.65


@dataclass(frozen=True, slots=True)
class Digit:
    """One digit read: which, how surely, and where in the upright original."""

    digit: int
    confidence: float
    box: Box


@dataclass(frozen=True, slots=True)
class Piece:
    """What could be one digit: between two cuts of its group, its sides counted as cuts too."""

    first: int
    last: int
    box: Box
    image: int
    """Its number among the images."""


@dataclass(frozen=True, slots=True)
class Number:
    """All that could be digits: for each line, for each group of strokes, its pieces."""

    lines: list[list[list[Piece]]]
    images: Images

    def read(self, probabilities: Probabilities, least: float) -> list[list[Digit]]:
        """The digits of each line, from the probabilities (n, 10) of the images.

        What is less sure than ``least`` is no digit and left out.
        """
        digits, surest = probabilities.argmax(axis=1), probabilities.max(axis=1)
        lines = []
        for groups in self.lines:
            pieces = [piece for group in groups for piece in _surest(group, surest)]
            line = [
                Digit(int(digits[piece.image]), float(surest[piece.image]), piece.box)
                for piece in pieces
                if surest[piece.image] >= least
            ]
            if line:
                lines.append(line)
        return lines


def number_in(picture: Picture) -> Number:
    """The pieces of a picture that could be digits; none where it is blank."""
    grey = picture.grey
    overview, factor = reduced(grey, OVERVIEW)
    lines = lines_in(overview)
    if not lines:
        return Number([], np.zeros((0, SIDE, SIDE), np.uint8))
    around = _around([group.box for line in lines for group in line])
    left, top, width, height = scaled(around, factor, grey.shape)
    close_up = np.ascontiguousarray(grey[top : top + height, left : left + width])
    tall = float(np.median([group.box[3] for line in lines for group in line])) * factor
    zoom = max(1, round(tall / HEIGHT), -(-max(close_up.shape) // LARGEST))
    if zoom > 1:
        close_up = np.asarray(Image.fromarray(close_up).reduce(zoom))
    to_original = picture.original[0] / grey.shape[1]
    images: list[Grey] = []
    taken = [[_pieces(group, images) for group in line] for line in (lines_in(close_up) or lines)]
    return Number(
        [
            [
                [
                    replace(piece, box=_in_original(piece.box, (left, top), zoom, to_original))
                    for piece in pieces
                ]
                for pieces in line
            ]
            for line in taken
        ],
        np.array(images, np.uint8),
    )


def _pieces(group: Group, images: list[Grey]) -> list[Piece]:
    """What could be one digit in a group, from any cut to any later one; fills ``images``."""
    left, top, width, height = group.box
    mask = group.mask
    found: list[NDArray[np.int64] | None] = [None, *cuts(mask, round(2.5 * width / height)), None]
    pieces = []
    for first, start in enumerate(found[:-1]):
        for last, end in enumerate(found[first + 1 :], first + 1):
            part = between(mask, start, end)
            rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
            if len(rows) == 0:
                continue
            wide, high = int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1
            is_whole = start is None and end is None
            if not is_whole and (wide > _WIDEST * height or high < _LOWEST * height):
                continue
            box = left + int(columns[0]), top + int(rows[0]), wide, high
            pieces.append(Piece(first, last, box, len(images)))
            images.append(normalise(group.amount, part, group.threshold))
    return pieces


def _around(boxes: list[Box]) -> Box:
    """A box around all, with room for half a digit on each side."""
    left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right = max(box[0] + box[2] for box in boxes)
    bottom = max(box[1] + box[3] for box in boxes)
    room = max(4, max(box[3] for box in boxes) // 2)
    left, top = max(0, left - room), max(0, top - room)
    return left, top, right + room - left, bottom + room - top


def _in_original(box: Box, corner: tuple[int, int], zoom: int, scale: float) -> Box:
    left, top = corner[0] + box[0] * zoom, corner[1] + box[1] * zoom
    width, height = box[2] * zoom, box[3] * zoom
    return (
        round(left * scale),
        round(top * scale),
        max(1, round(width * scale)),
        max(1, round(height * scale)),
    )


def _surest(group: list[Piece], surest: NDArray[np.float32]) -> list[Piece]:
    """The row of pieces, from the first cut to the last, with the greatest total confidence."""
    end = max(piece.last for piece in group)
    tall = max(piece.box[3] for piece in group)
    best: list[tuple[float, list[Piece]]] = [(0.0, []), *[(-np.inf, [])] * end]
    for piece in sorted(group, key=lambda piece: piece.last):
        score, row = best[piece.first]
        score += float(np.log(max(surest[piece.image], 1e-9))) + _likeliness(piece.box, tall)
        if score - _PER_CUT > best[piece.last][0]:
            best[piece.last] = score - _PER_CUT, [*row, piece]
    return best[end][1]


def _likeliness(box: Box, tall: int) -> float:
    """The logarithm of how likely one digit has such a form in a group that is so tall.

    Digits are seldom wider than high, and in one number all of about one height.
    """
    too_wide = max(0.0, box[2] / tall - _WIDE)
    return -0.5 * (too_wide / _WIDE_DEVIATION) ** 2 - (box[3] < _LOW * tall)
