"""Sorts the ink of a picture into groups of strokes that belong together, and these into lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.picture.find import Box, Weighed, steepness, weigh
from service.picture.ground import Grey, without_grain
from service.picture.parts import Mask, Parts, Whole, connected_parts
from service.picture.rules import without_rules
from service.picture.search import search

_LEAST_WEIGHT = 0.03
"""What speaks for the least of a number's digits, as a share of what speaks for the first."""
_SMALLER = 0.4
"""A part below this share of the tallest digit's height is a piece of a digit, or a speck."""
_FILLS, _HOLLOW = 0.2, 0.25
"""What has less ink than that share of its box, and in it a part of that share of its height, is a
frame."""
_RIM = 0.1
"""Of an upright frame no larger share of the ink is farther than that share of its side from it."""
_NEAR = 0.15
"""How far a piece may be from its digit, in heights of the tallest."""
_ASLANT = 0.05
"""How far beside each other the halves of a broken digit are, in heights of the tallest."""
_MOST_GROUPS = 128
"""More groups than these are a texture: a sheet of digits that anyone reads has fewer."""
_MOST_PARTS, _MOST_PIECES = 3 * _MOST_GROUPS, 500
"""More parts as tall as digits are a texture too; of small pieces the largest are looked at."""
_MOST_OVERLAP = 4
"""Groups whose boxes together are larger than so many pictures lie in one another: no digits do."""


@dataclass(frozen=True, slots=True)
class Group:
    """Strokes that are one digit, or several that touch; arrays are cut out to the box."""

    box: Box
    mask: Mask
    amount: Grey
    threshold: int


def lines_in(grey: Grey) -> list[list[Group]]:
    """The groups of strokes in ``grey`` (h, w), line by line, from left to right."""
    seen = search(grey)
    if seen is None:
        return []
    ink, found = seen
    mask = _without_rules_and_rims(ink.amount > found.threshold)
    weighed = weigh(ink, steepness(without_grain(grey)), mask)
    grouped = _grouped(weighed)
    boxes = [_box(weighed.parts, parts) for parts in grouped]
    if sum(width * height for _, _, width, height in boxes) > _MOST_OVERLAP * mask.size:
        return []
    numbers = weighed.parts.numbers()
    groups = []
    for parts, box in zip(grouped, boxes, strict=True):
        left, top, width, height = box
        cut = slice(top, top + height), slice(left, left + width)
        groups.append(Group(box, np.isin(numbers[cut], parts), ink.amount[cut], found.threshold))
    return _in_lines(groups)


def _without_rules_and_rims(mask: Mask) -> Mask:
    """The mask (h, w) less its lines, and less upright frames, of which lines are only a part."""
    unruled = without_rules(mask)
    if unruled is mask:
        return mask
    parts = connected_parts(mask)
    frames = _frames(parts, np.ones(len(parts), bool))
    return unruled & ~parts.mask(frames[_is_rim(parts)[frames]])


def _is_rim(parts: Parts) -> Mask:
    """Which parts lie along the sides of their box, with no digit grown together with them."""
    part, row = parts.part_of_run, parts.run_row
    edge = _RIM * np.minimum(parts.width, parts.height)
    left, right = (parts.left + edge)[part], (parts.right - edge)[part]
    inner = np.minimum(parts.run_end, right) - np.maximum(parts.run_start, left)
    inner[(row < (parts.top + edge)[part]) | (row >= (parts.bottom - edge)[part])] = 0
    rim: Mask = np.bincount(part, np.maximum(inner, 0), len(parts)) < _RIM * parts.area
    return rim


def joined(groups: Sequence[Group]) -> Group:
    """Several groups as one."""
    left, top = min(group.box[0] for group in groups), min(group.box[1] for group in groups)
    right = max(group.box[0] + group.box[2] for group in groups)
    bottom = max(group.box[1] + group.box[3] for group in groups)
    mask = np.zeros((bottom - top, right - left), bool)
    amount = np.zeros(mask.shape, np.uint8)
    for group in groups:
        across, down, wide, high = group.box
        field = slice(down - top, down - top + high), slice(across - left, across - left + wide)
        mask[field] |= group.mask
        np.maximum(amount[field], group.amount, out=amount[field])
    box = left, top, right - left, bottom - top
    return Group(box, mask, amount, groups[0].threshold)


def _grouped(weighed: Weighed) -> list[Whole]:
    """The numbers of the parts that make up each group; none where there are too many."""
    parts, weight = weighed.parts, weighed.weight.copy()
    if (weighed.framed[weight.argmax()]) == 0:
        weight[weighed.framed > 0] = 0
    weight[_frames(parts, weight > 0)] = 0
    able = weight > _LEAST_WEIGHT * weight.max()
    tallest = int(parts.height[able].max())
    is_tall = parts.height >= _SMALLER * tallest
    digits = np.flatnonzero(able & is_tall)
    if len(digits) > _MOST_PARTS:
        return []
    groups = _Groups(parts)
    for part in digits[np.argsort(parts.left[digits], kind="stable")]:
        groups.add(part, groups.broken(part, tallest))
    if len(groups.members) > _MOST_GROUPS:
        return []
    least = 0.01 * parts.area[digits].max()
    pieces = np.flatnonzero((weight > 0) & (parts.area > least) & ~is_tall)
    for part in pieces[np.argsort(-parts.area[pieces], kind="stable")][:_MOST_PIECES]:
        gaps = groups.gaps(part)
        nearest = int(np.argmin(gaps))
        if gaps[nearest] <= round(_NEAR * tallest):
            groups.add(part, nearest)
    return [np.array(members) for members in groups.members]


def _frames(parts: Parts, able: Mask) -> Whole:
    """The parts that go around others: the rim of a house number, the boxes of a form."""
    large = np.flatnonzero(able)
    large = large[np.argsort(-parts.height[large], kind="stable")][:_MOST_PARTS]
    left, top, right, bottom = (
        side[large] for side in (parts.left, parts.top, parts.right, parts.bottom)
    )
    within = (left > left[:, None]) & (right < right[:, None])
    within &= (top > top[:, None]) & (bottom < bottom[:, None])
    within &= bottom - top > _FILLS * (bottom - top)[:, None]
    hollow = parts.area[large] < _HOLLOW * (right - left) * (bottom - top)
    return large[within.any(axis=1) & hollow]


class _Groups:
    """Parts put together, and the box (n, 4) around each group: left, top, right, bottom."""

    def __init__(self, parts: Parts) -> None:
        self.members: list[list[int]] = []
        self._parts = parts
        self._bounds = np.stack([parts.left, parts.top, parts.right, parts.bottom], axis=1)
        self._boxes = np.zeros((0, 4), np.int64)

    def add(self, part: int, group: int | None) -> None:
        """Adds a part to a group, or as a new one."""
        bounds = self._bounds[part]
        if group is None:
            self.members.append([int(part)])
            self._boxes = np.concatenate([self._boxes, bounds[None]])
        else:
            self.members[group].append(int(part))
            box = self._boxes[group]
            box[:2], box[2:] = np.minimum(box[:2], bounds[:2]), np.maximum(box[2:], bounds[2:])

    def broken(self, part: int, tallest: int) -> int | None:
        """The group that a part stands above or below as the halves of a broken digit do.

        They need not share a column: the hat of a 5 may begin where its body ends.
        """
        left, top, right, bottom = self._boxes.T
        start, first, end, last = self._bounds[part]
        shared = np.minimum(right, end) - np.maximum(left, start)
        whole = np.maximum(bottom, last) - np.minimum(top, first)
        apart = np.maximum(top - last, first - bottom)
        is_one = (shared > -_ASLANT * tallest) & (apart <= _NEAR * tallest)
        is_one &= (whole <= 1.2 * tallest) & (bottom - top + last - first <= 1.3 * whole)
        return int(is_one.argmax()) if is_one.any() else None

    def gaps(self, part: int) -> Whole:
        """How far each group's box is from a part's, in the direction in which they are farther."""
        left, top, right, bottom = self._boxes.T
        start, first, end, last = self._bounds[part]
        across = np.maximum(left - end, start - right)
        down = np.maximum(top - last, first - bottom)
        gaps: Whole = np.maximum(np.maximum(across, down), 0)
        return gaps


def _box(parts: Parts, chosen: Whole) -> Box:
    """The box around parts."""
    left, top = int(parts.left[chosen].min()), int(parts.top[chosen].min())
    return left, top, int(parts.right[chosen].max()) - left, int(parts.bottom[chosen].max()) - top


def _in_lines(groups: list[Group]) -> list[list[Group]]:
    """Groups beside each other in one line, lines from top to bottom.

    A line may climb or fall: each group is compared with the last of the line.
    """
    lines: list[list[Group]] = []
    for group in sorted(groups, key=lambda group: group.box[0]):
        shared = [_share_of_height(line[-1].box, group.box) for line in lines]
        best = int(np.argmax(shared)) if shared else 0
        if shared and shared[best] > 0.4:
            lines[best].append(group)
        else:
            lines.append([group])
    return sorted(lines, key=lambda line: float(np.mean([group.box[1] for group in line])))


def _share_of_height(box: Box, other: Box) -> float:
    """How much of the lower box is beside the taller."""
    shared = min(box[1] + box[3], other[1] + other[3]) - max(box[1], other[1])
    return shared / min(box[3], other[3])
