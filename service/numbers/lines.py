"""Sorts the ink of a picture into groups of strokes that belong together, and these into lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.imaging.components import Mask, Parts, Whole
from service.imaging.locate import Box, Weighed, steepness, weigh
from service.imaging.threshold import Grey, without_grain
from service.numbers.ink import MOST_FRAMED, frames, ink_of_number

_LEAST_WEIGHT = 0.003
"""What speaks for the least of a number's digits, as a share of what speaks for the first."""
_LEAST_EDGE = 0.1
"""How steep a digit's outline is at least, in those of the first; a shade's is not."""
_ALIKE = 0.3
"""How far digits' heights are apart, as a logarithm, where one is cut at the picture's rim."""
_SMALLER = 0.4
"""A part below this share of the tallest digit's height is a piece of a digit, or small."""
_LEAST = 0.2
"""What is smaller, in heights of the tallest, is a speck, or a piece of what it is near."""
_BESIDE, _LAST = 0.4, 3
"""What is in a line has so much of its height beside so many of the last in it."""
_NEAR = 0.15
"""How far a piece may be from its digit, in heights of the tallest."""
_ASLANT = 0.05
"""How far beside each other the halves of a broken digit are, in heights of the tallest."""
_MOST_GROUPS = 128
"""More groups than these are a texture: a sheet of digits that anyone reads has fewer."""
_MOST_PARTS, _MOST_PIECES = 3 * _MOST_GROUPS, 500
"""More parts as tall as digits are a texture too; of small pieces the largest are looked at."""
_MOST_SMALL = 64
"""More small ones are dirt."""
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
    """The groups of strokes in ``grey`` (h, w), line by line, from left to right.

    What is small and alone in its line is dirt.
    """
    seen = ink_of_number(grey)
    if seen is None:
        return []
    ink, mask, least = seen
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
        inked, amount = np.isin(numbers[cut], parts), ink.amount[cut]
        threshold = min(least, int(amount[inked].max()) // 2)
        groups.append(Group(box, inked, amount, threshold))
    low = _SMALLER * max((box[3] for box in boxes), default=0)
    return [line for line in _in_lines(groups) if len(line) > 1 or line[0].box[3] >= low]


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
        weight[(weighed.framed > 0) & ~_is_alike(weighed)] = 0
    weight[frames(parts, weight > 0)] = 0
    heaviest = weight.argmax()
    able = weight > _LEAST_WEIGHT * weight[heaviest]
    able &= weighed.sharpness > _LEAST_EDGE * weighed.sharpness[heaviest]
    tallest = int(parts.height[able].max())
    is_tall = parts.height >= _SMALLER * tallest
    digits = np.flatnonzero(able & is_tall)
    if len(digits) > _MOST_PARTS:
        return []
    groups = _Groups(parts)
    for part in digits[np.argsort(parts.left[digits], kind="stable")]:
        groups.add(int(part), groups.broken(int(part), tallest))
    if len(groups.members) > _MOST_GROUPS:
        return []
    least = 0.01 * parts.area[digits].max()
    pieces = np.flatnonzero((weight > 0) & (parts.area > least) & ~is_tall)
    pieces = pieces[np.argsort(-parts.area[pieces], kind="stable")][:_MOST_PIECES]
    groups.add_small([int(part) for part in pieces], tallest)
    return [np.array(members) for members in groups.members]


def _is_alike(weighed: Weighed) -> Mask:
    """Which parts are of the first digit's height: at the picture's rim they are digits too."""
    ratio = weighed.parts.height / weighed.parts.height[weighed.weight.argmax()]
    alike: Mask = (abs(np.log(ratio)) < _ALIKE) & (weighed.framed < MOST_FRAMED) & ~weighed.solid
    return alike


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

    def add_small(self, pieces: list[int], tallest: int) -> None:
        """Adds parts that are small beside digits: pieces of them, and groups of their own."""
        small = [part for part in pieces if not self._takes(part, tallest)]
        if len(small) > _MOST_SMALL:
            return
        lower = max((int(self._parts.height[part]) for part in small), default=0)
        for part in sorted(small, key=lambda part: int(self._parts.left[part])):
            self.add(part, self.broken(part, lower))

    def _takes(self, part: int, tallest: int) -> bool:
        """Whether a small part is no group of its own: a piece of one, or a speck.

        What is beside a digit may be a piece of it or another sign, unless it is a speck.
        """
        left, top, right, bottom = self._boxes.T
        start, first, end, last = self._bounds[part]
        across = np.maximum(left - end, start - right)
        gaps = np.maximum(np.maximum(across, np.maximum(top - last, first - bottom)), 0)
        nearest = int(np.argmin(gaps))
        is_speck = bool(max(end - start, last - first) < _LEAST * tallest)
        if gaps[nearest] <= round(_NEAR * tallest) and (is_speck or across[nearest] <= 0):
            self.add(part, nearest)
            return True
        return is_speck


def _box(parts: Parts, chosen: Whole) -> Box:
    """The box around parts."""
    left, top = int(parts.left[chosen].min()), int(parts.top[chosen].min())
    return left, top, int(parts.right[chosen].max()) - left, int(parts.bottom[chosen].max()) - top


def _in_lines(groups: list[Group]) -> list[list[Group]]:
    """Groups beside each other in one line, lines from top to bottom.

    A line may climb or fall: each group is compared with the last few of the line.
    """
    lines: list[list[Group]] = []
    for group in sorted(groups, key=lambda group: group.box[0]):
        shared = [_share_of_height(line[-_LAST:], group) for line in lines]
        best = int(np.argmax(shared)) if shared else 0
        if shared and shared[best] > _BESIDE:
            lines[best].append(group)
        else:
            lines.append([group])
    return sorted(lines, key=lambda line: float(np.mean([group.box[1] for group in line])))


def _share_of_height(line: list[Group], group: Group) -> float:
    """How much of the lower, the group or the line's end, is beside the other.

    What is small may be so far below the other as a comma is.
    """
    top = min(one.box[1] for one in line)
    high = max(one.box[1] + one.box[3] for one in line) - top
    lower, taller = sorted(((top, high), group.box[1::2]), key=lambda one: one[1])
    foot = taller[0] + taller[1]
    if lower[1] < _SMALLER * taller[1]:
        foot += round(_SMALLER * taller[1])
    return (min(lower[0] + lower[1], foot) - max(lower[0], taller[0])) / lower[1]
