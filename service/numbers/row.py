"""A row of groups of strokes, and all in it that could be one digit.

A digit whose strokes do not meet is several groups, which are joined; digits that touch are one
group, which is cut. Which is which the reading tells, not what is made here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from service.imaging.normalise import as_image, strokes_of
from service.imaging.threshold import Grey
from service.numbers.lattice import Lattice, Piece
from service.numbers.lines import Group, joined
from service.numbers.pieces import pieces_of

_MOST_JOINED = 3
_GAP, _WIDEST, _TALLEST = 0.25, 1.2, 1.35
"""How far strokes of one digit are apart and how large it is, in heights of the row."""
_LOW, _FULL = 0.5, 0.6
"""What is low and fills more of its box than that is a dot, a dash or a piece, no digit."""


@dataclass(frozen=True, slots=True)
class Row:
    """Groups from left to right, and the lattice of their pieces."""

    groups: list[Group]
    lattice: Lattice


def row_of(line: Sequence[Group], images: list[Grey]) -> Row:
    """The groups of a line, each whole and joined with those beside it; fills ``images``."""
    pieces: list[Piece] = []
    sizes = [group.box[2:] for group in line]
    row = Row(list(line), Lattice(pieces, list(range(len(line) + 1)), sizes))
    tall = row.lattice.tall
    for at, group in enumerate(line):
        if group.box[3] < _LOW * tall and group.mask.mean() > _FULL:
            continue
        pieces += [_moved(piece, at) for piece in pieces_of(group, 0, images)]
    for first in range(len(line)):
        for last in range(first + 2, min(first + _MOST_JOINED, len(line)) + 1):
            piece = _joined(line[first:last], tall, images)
            if piece is not None:
                pieces.append(_moved(piece, first))
    return row


def cut(row: Row, most: Mapping[int, int], images: list[Grey]) -> Row:
    """The row with up to ``most`` cuts through some of its groups; adds to ``images``."""
    own = {at: pieces_of(row.groups[at], count, images) for at, count in most.items()}
    counts = [1] * len(row.groups)
    for at, parts in own.items():
        counts[at] = max((part.last for part in parts), default=1)
    ends = [0, *accumulate(counts)]
    pieces = [
        replace(piece, first=ends[piece.first], last=ends[piece.last])
        for piece in row.lattice.pieces
    ]
    for at, parts in own.items():
        pieces += [_moved(part, ends[at]) for part in parts if part.last - part.first < counts[at]]
    return Row(row.groups, Lattice(pieces, ends, row.lattice.sizes))


def _moved(piece: Piece, by: int) -> Piece:
    return replace(piece, first=piece.first + by, last=piece.last + by)


def _joined(groups: Sequence[Group], tall: float, images: list[Grey]) -> Piece | None:
    """Groups as one, where they are near enough to be the strokes of one digit."""
    gaps = [after.box[0] - before.box[0] - before.box[2] for before, after in pairwise(groups)]
    if max(gaps) > _GAP * tall:
        return None
    one = joined(groups)
    wide, high = one.box[2:]
    if wide > _WIDEST * max(tall, high) or high > _TALLEST * tall:
        return None
    images.append(as_image(strokes_of(one.amount, one.mask, one.threshold)))
    return Piece(0, len(groups), one.box, len(images) - 1, joints=len(groups) - 1)
