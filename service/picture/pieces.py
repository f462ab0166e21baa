"""Makes the pieces of a line that could each be one digit.

Digits that touch are one group of strokes, which is cut; a digit whose strokes do not meet is
several groups, which are joined. Which is which the reading tells, not what is made here.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from service.picture.find import Box
from service.picture.ground import Grey
from service.picture.lattice import Piece
from service.picture.lines import Group, joined
from service.picture.normalise import Share, as_image, strokes_of
from service.picture.split import Cut, cuts

_WIDEST = 1.4
"""The most that a digit is wide, in heights of its group; more is several."""
_LOWEST = 0.4
"""The least that a digit is high, in heights of its group; less is a piece of one."""
_MOST_JOINED = 3
_GAP, _WIDEST_JOINED, _TALLEST_JOINED = 0.25, 1.2, 1.35
"""How far strokes of one digit are apart and how large it is, in heights of the line."""


def pieces_of(line: Sequence[Group], most: Sequence[int], images: list[Grey]) -> list[Piece]:
    """All that could be one digit in a line, with up to ``most`` cuts a group; fills ``images``."""
    pieces: list[Piece] = []
    kept: list[Group] = []
    ends = [0]
    for group, count in zip(line, most, strict=True):
        own = _cut(group, count, ends[-1], images)
        if own:
            pieces += own
            kept.append(group)
            ends.append(max(piece.last for piece in own))
    tall = float(np.median([group.box[3] for group in line]))
    for first in range(len(kept)):
        for last in range(first + 2, min(first + _MOST_JOINED, len(kept)) + 1):
            one = _joined(kept[first:last], tall)
            if one is not None:
                strokes = strokes_of(one.amount, one.mask, one.threshold)
                joints = last - first - 1
                at = len(images)
                pieces.append(Piece(ends[first], ends[last], one.box, at, joints=joints))
                images.append(as_image(strokes))
    return pieces


def _cut(group: Group, most: int, node: int, images: list[Grey]) -> list[Piece]:
    """What could be one digit in a group, from any cut to any later one; the first is ``node``."""
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
            pieces.append(Piece(node + first, node + last, box, len(images), lowness, holes))
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


def _joined(groups: Sequence[Group], tall: float) -> Group | None:
    """Groups as one, where they are near enough to be the strokes of one digit."""
    gaps = [after.box[0] - before.box[0] - before.box[2] for before, after in pairwise(groups)]
    if max(gaps) > _GAP * tall:
        return None
    one = joined(groups)
    wide, high = one.box[2:]
    fits = wide <= _WIDEST_JOINED * max(tall, high) and high <= _TALLEST_JOINED * tall
    return one if fits else None
