"""A whole number in a picture: its lines, the groups of strokes in them, and how they may be cut.

What the picture shows is turned into images of all that could be one digit; the model looks at
them all at once, and the reading that it is surest of is taken.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from service.decode import SIDE, Images
from service.picture.find import Box
from service.picture.ground import Grey
from service.picture.lattice import Piece, surest
from service.picture.lines import Group, lines_in
from service.picture.look import reduced, scaled
from service.picture.normalise import as_image, strokes_of
from service.picture.open import Picture
from service.picture.split import between, cuts
from service.runtime import Probabilities

OVERVIEW = 1280
HEIGHT = 72
"""Digits are looked at when they are reduced to some such height, in pixels."""
LARGEST = 1600
"""The longest side of what is looked at so closely."""
_WIDEST = 1.4
"""The most that a digit is wide, in heights of its group; more is several."""
_LOWEST = 0.4
"""The least that a digit is high, in heights of its group; less is a piece of one."""
_CUTS, _MOST_CUTS, _MOST_IN_ALL = 5, 40, 100
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
    """All that could be digits: for each line, for each group of strokes, its pieces."""

    lines: list[list[list[Piece]]]
    images: Images

    def read(self, probabilities: Probabilities, least: float) -> list[list[Digit]]:
        """The digits of each line, from the probabilities (n, 10) of the images.

        What is less sure than ``least`` is no digit and left out.
        """
        digits, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
        lines = []
        for groups in self.lines:
            pieces = [
                piece for group in groups if group for piece in surest(group, digits, confidence)
            ]
            line = [
                Digit(int(digits[piece.image]), float(confidence[piece.image]), piece.box)
                for piece in pieces
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
    taken = [
        [_pieces(group, most, images) for group, most in zip(line, cut, strict=True)]
        for line, cut in zip(lines, _cuts_of(lines), strict=True)
    ]
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


def _cuts_of(lines: list[list[Group]]) -> list[list[int]]:
    """How many cuts are tried for each group: the wider, the more, up to a bound for all."""
    are_few, left = sum(map(len, lines)) <= _FEW, _MOST_IN_ALL
    counts: list[list[int]] = []
    for line in lines:
        counts.append([])
        for group in line:
            _, _, width, height = group.box
            most = min(_MOST_CUTS, left, -(-_CUTS * width // height))
            counts[-1].append(most if are_few or width > _WIDE * height else 0)
            left -= counts[-1][-1]
    return counts


def _pieces(group: Group, most: int, images: list[Grey]) -> list[Piece]:
    """What could be one digit in a group, from any cut to any later one; fills ``images``."""
    left, top, _, height = group.box
    strokes = strokes_of(group.amount, group.mask, group.threshold)
    if strokes.size == 0:
        return []
    ink = strokes >= 0.5
    tall, scale = len(ink), height / len(ink)
    found = [None, *cuts(ink, most), None]
    pieces = []
    for first, start in enumerate(found[:-1]):
        for last, end in enumerate(found[first + 1 :], first + 1):
            part = between(ink.shape, start, end)
            rows = np.flatnonzero((ink & part).any(axis=1))
            columns = np.flatnonzero((ink & part).any(axis=0))
            if len(rows) == 0:
                continue
            wide, high = int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1
            is_whole = start is None and end is None
            if not is_whole and (wide > _WIDEST * tall or high < _LOWEST * tall):
                continue
            crossed = sum(cut.ink for cut in (start, end) if cut)
            corner = left + round(columns[0] * scale), top + round(rows[0] * scale)
            box = *corner, max(1, round(wide * scale)), max(1, round(high * scale))
            pieces.append(Piece(first, last, box, len(images), crossed))
            images.append(as_image(np.where(part, strokes, np.float32(0))))
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
