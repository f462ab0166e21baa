"""Propose all digits of a row of groups of strokes.

A digit whose strokes do not meet is several groups, to be joined. Digits that touch are one group,
to be cut. The lattice decides which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, combinations, pairwise

import numpy as np

from service.imaging.components import bounding_box
from service.imaging.normalise import Coverage, extract_strokes, to_image
from service.imaging.threshold import Grey
from service.numbers.lattice import Lattice, Piece
from service.numbers.lines import Group, join
from service.numbers.split import Cut, cuts

_MOST_JOINED = 3
_GAP, _WIDEST_JOINED, _TALLEST_JOINED = 0.25, 1.2, 1.35
"""The distance of the strokes of one digit, and its size, in heights of the row."""
_WIDEST_PIECE, _LOWEST_PIECE = 1.4, 0.4  # of a cut digit, in heights of its group
_LOW, _FULL = 0.5, 0.6
"""A low group that fills a larger share of its box is a dot, a dash or a fragment."""


@dataclass(frozen=True, slots=True)
class Row:
    """Groups from left to right, and the lattice of their pieces."""

    groups: list[Group]
    lattice: Lattice


def row_of(line: Sequence[Group], images: list[Grey]) -> Row:
    """Returns a line with each group whole and joined with its neighbours; appends ``images``."""
    pieces: list[Piece] = []
    sizes = [(group.box.width, group.box.height) for group in line]
    row = Row(list(line), Lattice(pieces, list(range(len(line) + 1)), sizes))
    height = row.lattice.row_height
    for at, group in enumerate(line):
        if group.box.height < _LOW * height and group.mask.mean() > _FULL:
            continue
        pieces += [_moved(piece, at) for piece in _pieces(group, 0, images)]
    for first in range(len(line)):
        for last in range(first + 2, min(first + _MOST_JOINED, len(line)) + 1):
            piece = _joined(line[first:last], height, images)
            if piece is not None:
                pieces.append(_moved(piece, first))
    return row


def cut(row: Row, most: Mapping[int, int], images: list[Grey]) -> Row:
    """Returns the row with up to ``most`` cuts for the groups named; appends ``images``."""
    own = {at: _pieces(row.groups[at], count, images) for at, count in most.items()}
    counts = [1] * len(row.groups)
    for at, parts in own.items():
        counts[at] = max((part.last for part in parts), default=1)
    ends = [0, *accumulate(counts)]
    old = row.lattice.pieces
    pieces = [replace(one, first=ends[one.first], last=ends[one.last]) for one in old]
    for at, parts in own.items():
        pieces += [_moved(part, ends[at]) for part in parts if part.last - part.first < counts[at]]
    return Row(row.groups, Lattice(pieces, ends, row.lattice.sizes))


def _moved(piece: Piece, by: int) -> Piece:
    return replace(piece, first=piece.first + by, last=piece.last + by)


def _joined(groups: Sequence[Group], height: float, images: list[Grey]) -> Piece | None:
    """Returns groups as one piece if they are near enough to be the strokes of one digit."""
    if max(after.box.left - before.box.right for before, after in pairwise(groups)) > _GAP * height:
        return None
    one = join(groups)
    wide, high = one.box[2:]
    if wide > _WIDEST_JOINED * max(height, high) or high > _TALLEST_JOINED * height:
        return None
    images.append(to_image(extract_strokes(one.amount, one.mask, one.threshold)))
    return Piece(0, len(groups), one.box, len(images) - 1, joints=len(groups) - 1)


def _pieces(group: Group, most: int, images: list[Grey]) -> list[Piece]:
    """Returns the pieces between any two of up to ``most`` cuts; appends their ``images``."""
    strokes = extract_strokes(group.amount, group.mask, group.threshold)
    if strokes.size == 0:
        return []
    tall, width = strokes.shape
    sides = [Cut(np.full(tall, column), 0) for column in (0, width)]
    found = [sides[0], *cuts(strokes >= 0.5, most), sides[1]]
    pieces = []
    for (first, start), (last, end) in combinations(enumerate(found), 2):
        left, part = _between(strokes, start, end)
        inked = part >= 0.5
        if not inked.any():
            continue
        box = bounding_box(inked)
        is_odd = box.width > _WIDEST_PIECE * tall or box.height < _LOWEST_PIECE * tall
        if is_odd and last - first < len(found) - 1:
            continue
        place = box.moved(left, 0).times(group.box.height / tall)
        place = place.moved(group.box.left, group.box.top)
        lowness, holes = 1 - box.height / tall, start.holes + end.holes
        pieces.append(Piece(first, last, place, len(images), lowness, holes))
        images.append(to_image(part))
    return pieces


def _between(strokes: Coverage, left: Cut, right: Cut) -> tuple[int, Coverage]:
    """Returns the first column of the strokes (h, w) between two cuts, and the strokes."""
    first, last = int(left.columns.min()), int(right.columns.max())
    columns = np.arange(first, last)
    inside = (columns >= left.columns[:, None]) & (columns < right.columns[:, None])
    return first, strokes[:, first:last] * inside
