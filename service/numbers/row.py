"""Propose all digits of a row of groups of strokes.

A digit of several groups is joined. Digits that touch are one group, cut from top to bottom through
little ink (dynamic programming, as Breuel 2001 does for letters). The lattice decides which.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from service.background.large_work import give_way
from service.imaging.components import Mask, bounding_box, connected_components
from service.imaging.normalise import Coverage, extract_strokes, to_image
from service.imaging.threshold import Grey
from service.numbers.lattice import Piece, Row
from service.numbers.lines import Group, join

Columns = NDArray[np.intp]

_LEAN = 0.6  # the cost of a step to the side, in pixels of ink
_MOST_INK = 0.6  # the largest cost of a cut, in heights of the mask
_LEAST_SHARE = 0.06  # the share of the ink on either side of a cut
_APART = 0.04  # the share of the ink between two cuts
_LEVELS = 4  # the search tries paths through every second pixel of so many rows
_LEAST_HOLE = 0.06  # the side of a square as large as a digit's smallest hole, in heights


@dataclass(frozen=True, slots=True)
class Cut:
    """A path down through a mask (h, w)."""

    columns: Columns  # (h,), to the right of the path
    holes: int  # how many it crosses; a hole, such as the inside of a 0, seldom is between digits


def cuts(mask: Mask, most: int) -> list[Cut]:
    """Returns up to ``most`` cuts through ``mask`` (h, w), from left to right."""
    height, width = mask.shape
    if most < 1 or min(height, width) < 2:
        return []
    cost, paths = _cheapest_paths(mask)
    rows = np.arange(height)
    before = np.cumsum(np.pad(mask, ((0, 0), (1, 0))), axis=1, dtype=np.int32)
    passed = before[rows[:, None], paths]  # the ink to the left of each path, row by row
    total = int(before[:, -1].sum())
    left = passed.sum(axis=0) / total
    eligible = (cost <= _MOST_INK * height) & (left > _LEAST_SHARE) & (left < 1 - _LEAST_SHARE)
    chosen: list[int] = []
    for path in np.argsort(cost, kind="stable"):
        if len(chosen) == most:
            break
        if not eligible[path]:
            continue
        between = np.abs(passed[:, chosen] - passed[:, [path]]).sum(axis=0)
        if between.min(initial=total) >= _APART * total:
            chosen.append(int(path))
    chosen.sort(key=lambda path: float(left[path]))
    holes = _holes(mask)
    return [Cut(path, len(set(holes[rows, path]) - {0})) for path in paths[:, chosen].T]


def _holes(mask: Mask) -> NDArray[np.int32]:
    """Returns the number of the hole at each pixel of ``mask`` (h, w), 0 for none."""
    background = connected_components(~np.pad(mask, 1))
    label = background.labels()
    is_hole = background.area > (_LEAST_HOLE * len(mask)) ** 2
    is_hole[label[0, 0]] = False
    return np.where((label >= 0) & is_hole[label], label + 1, 0)[1:-1, 1:-1]


def _cheapest_paths(mask: Mask) -> tuple[NDArray[np.float32], Columns]:
    """Returns the cost (n,) and columns (h, n) of the cheapest paths through some pixels."""
    height, width = mask.shape
    ink = mask.astype(np.float32)
    above, came_from = _costs(ink)
    below, goes_to = (array[::-1] for array in _costs(ink[::-1]))
    through = above + below - ink
    start = np.arange(0, width, 2)
    costs, paths = [], []
    for level in range(_LEVELS):
        middle = (2 * level + 1) * height // (2 * _LEVELS)
        path = np.empty((height, len(start)), np.intp)
        path[middle] = start
        for row in range(middle, 0, -1):
            path[row - 1] = path[row] + came_from[row, path[row]]
        for row in range(middle, height - 1):
            path[row + 1] = path[row] + goes_to[row, path[row]]
        costs.append(through[middle, start])
        paths.append(path)
    return np.concatenate(costs), np.concatenate(paths, axis=1)


def _costs(ink: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Returns the cost of the cheapest path from the top to each pixel, and its last step."""
    height, width = ink.shape
    cost = ink.copy()
    step = np.zeros((height, width), np.int8)
    wide = np.full(width + 2, np.inf, np.float32)
    for row in range(1, height):
        wide[1:-1] = cost[row - 1]
        aside = np.minimum(wide[:-2], wide[2:]) + np.float32(_LEAN)
        leans = aside < wide[1:-1]
        cost[row] += np.where(leans, aside, wide[1:-1])
        step[row] = np.where(leans, np.where(wide[:-2] <= wide[2:], -1, 1), 0)
    return cost, step


_MOST_JOINED = 3
_GAP, _WIDEST_JOINED, _TALLEST_JOINED = 0.25, 1.2, 1.35
"""The distance of the strokes of one digit, and its size, in heights of the row."""
_WIDEST_PIECE, _LOWEST_PIECE = 1.4, 0.4  # of a cut digit, in heights of its group
_LOW, _FULL = 0.5, 0.6
"""A low group that fills a larger share of its box is a dot, a dash or a fragment."""


def row_of(line: Sequence[Group], images: list[Grey]) -> Row:
    """Returns a line with each group whole and joined with its neighbours; appends ``images``."""
    row = Row(line, [], list(range(len(line) + 1)))
    for at, group in enumerate(line):
        if group.box.height >= _LOW * row.height or group.mask.mean() <= _FULL:
            row.pieces.extend(_moved(piece, at) for piece in _pieces(group, 0, images))
    for first in range(len(line)):
        for last in range(first + 2, min(first + _MOST_JOINED, len(line)) + 1):
            piece = _joined(line[first:last], row.height, images)
            if piece is not None:
                row.pieces.append(_moved(piece, first))
    return row


def cut(row: Row, most: Mapping[int, int], images: list[Grey]) -> Row:
    """Returns the row with up to ``most`` cuts for the groups named; appends ``images``."""
    own = {at: _pieces(row.groups[at], count, images) for at, count in most.items()}
    counts = [
        max((part.last for part in own.get(at, ())), default=1) for at in range(len(row.groups))
    ]
    ends = [0, *accumulate(counts)]
    pieces = [replace(one, first=ends[one.first], last=ends[one.last]) for one in row.pieces]
    for at, parts in own.items():
        pieces += [_moved(part, ends[at]) for part in parts if part.last - part.first < counts[at]]
    return Row(row.groups, pieces, ends)


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
    give_way()
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
