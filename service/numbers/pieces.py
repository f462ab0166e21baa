"""Makes the pieces of a group of strokes that could each be one digit, where digits touch."""

from __future__ import annotations

import numpy as np

from service.imaging.locate import Box
from service.imaging.normalise import Share, as_image, strokes_of
from service.imaging.threshold import Grey
from service.numbers.lattice import Piece
from service.numbers.lines import Group
from service.numbers.split import Cut, cuts

_WIDEST = 1.4
"""The most that a digit is wide, in heights of its group; more is several."""
_LOWEST = 0.4
"""The least that a digit is high, in heights of its group; less is a piece of one."""


def pieces_of(group: Group, most: int, images: list[Grey]) -> list[Piece]:
    """What could be one digit in a group, from any of up to ``most`` cuts to any later one.

    Fills ``images``.
    """
    strokes = strokes_of(group.amount, group.mask, group.threshold)
    if strokes.size == 0:
        return []
    tall = len(strokes)
    found = [None, *cuts(strokes >= 0.5, most), None]
    pieces = []
    for first, start in enumerate(found[:-1]):
        for last, end in enumerate(found[first + 1 :], first + 1):
            aside, part = _between(strokes, start, end)
            inked = part >= 0.5
            rows, columns = np.flatnonzero(inked.any(axis=1)), np.flatnonzero(inked.any(axis=0))
            if len(rows) == 0:
                continue
            wide, high = int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1
            is_whole = start is None and end is None
            if not is_whole and (wide > _WIDEST * tall or high < _LOWEST * tall):
                continue
            corner = aside + int(columns[0]), int(rows[0])
            box = _in_picture(group, tall, (*corner, wide, high))
            holes = sum(cut.holes for cut in (start, end) if cut)
            lowness = 1 - high / tall
            pieces.append(Piece(first, last, box, len(images), lowness, holes))
            images.append(as_image(part))
    return pieces


def _between(strokes: Share, left: Cut | None, right: Cut | None) -> tuple[int, Share]:
    """What of the strokes (h, w) lies between two cuts: its first column, and the pixels."""
    first = int(left.columns.min()) if left else 0
    last = int(right.columns.max()) if right else strokes.shape[1]
    part = strokes[:, first:last].copy()
    columns = np.arange(first, last)
    if left:
        part[columns < left.columns[:, None]] = 0
    if right:
        part[columns >= right.columns[:, None]] = 0
    return first, part


def _in_picture(group: Group, tall: int, box: Box) -> Box:
    """The box in a group's strokes, ``tall`` pixels high, as one in the group's picture."""
    left, top, _, height = group.box
    scale = height / tall
    across, down, wide, high = (round(side * scale) for side in box)
    return left + across, top + down, max(1, wide), max(1, high)
