"""A whole number in a picture: its lines, the groups of strokes in them, and how they may be cut.

What the picture shows is turned into images of all that could be one digit; the model looks at
them all at once, and the reading that it is surest of is taken.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

import numpy as np
from PIL import Image

from service.decode import SIDE, Images
from service.picture.find import Box
from service.picture.ground import Grey
from service.picture.lattice import Piece, surest
from service.picture.lines import Group, lines_in
from service.picture.look import reduced, scaled
from service.picture.open import Picture
from service.picture.pieces import pieces_of
from service.runtime import Probabilities

OVERVIEW = 1280
HEIGHT = 72
"""Digits are looked at when they are reduced to some such height, in pixels."""
LARGEST = 1600
"""The longest side of what is looked at so closely."""
_CUTS, _MOST_CUTS, _MOST_IN_ALL = 8, 40, 60
"""How many cuts are tried for a group as wide as high, for any, and for all together."""
_FEW, _WIDE = 16, 1.1
"""Of more groups than few only wide ones are cut: in heights of the group."""


@dataclass(frozen=True, slots=True)
class Digit:
    """One digit read: which, how surely, and where in the upright original."""

    digit: int
    confidence: float
    box: Box


@dataclass(frozen=True, slots=True)
class Number:
    """All that could be digits: for each line its pieces."""

    lines: list[list[Piece]]
    images: Images

    def read(self, probabilities: Probabilities, least: float) -> list[list[Digit]]:
        """The digits of each line, from the probabilities (n, 10) of the images.

        What is less sure than ``least`` is no digit and left out.
        """
        digits, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
        lines = []
        for pieces in self.lines:
            line = [
                Digit(int(digits[piece.image]), float(confidence[piece.image]), piece.box)
                for piece in surest(pieces, digits, confidence)
                if confidence[piece.image] >= least
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
    if zoom == factor and 2 * close_up.size > overview.size:  # the same picture, or nearly so
        left, top = 0, 0
    else:
        lines = lines_in(close_up) or lines
    images: list[Grey] = []
    taken = [pieces_of(*line, images) for line in zip(lines, _cuts_of(lines), strict=True)]
    return Number(
        [
            [
                replace(piece, box=_in_original(piece.box, (left, top), zoom, to_original))
                for piece in pieces
            ]
            for pieces in taken
            if pieces
        ],
        np.array(images, np.uint8).reshape(-1, SIDE, SIDE),
    )


def _cuts_of(lines: list[list[Group]]) -> list[list[int]]:
    """How many cuts are tried for each group: the wider, the more, up to a bound for all."""
    wide = [[group.box[2] / group.box[3] for group in line] for line in lines]
    each = min(_CUTS, _MOST_IN_ALL / sum(map(sum, wide)))
    least = 0 if sum(map(len, lines)) <= _FEW else _WIDE
    return [
        [min(_MOST_CUTS, ceil(each * width)) if width > least else 0 for width in line]
        for line in wide
    ]


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
