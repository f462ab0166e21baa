"""Sorts the ink of a picture into groups of strokes that belong together, and these into lines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.picture.find import Box, Weighed, steepness, weigh
from service.picture.ground import Grey, without_grain
from service.picture.parts import Mask, Whole
from service.picture.rules import without_rules
from service.picture.search import search

_LEAST_WEIGHT = 0.03
"""What speaks for the least of a number's digits, as a share of what speaks for the first."""
_SMALLER = 0.4
"""A part below this share of the tallest digit's height is a piece of a digit, or a speck."""
_NEAR = 0.15
"""How far a piece may be from its digit, in heights of the tallest."""

_MOST_GROUPS = 250
"""More groups than these are a texture: a sheet of digits that anyone reads has fewer."""


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
    mask = without_rules(ink.amount > found.threshold)
    weighed = weigh(ink, steepness(without_grain(grey)), mask)
    groups: list[Group] = []
    grouped = _grouped(weighed)
    if len(grouped) > _MOST_GROUPS:
        return []
    for parts in grouped:
        box = _box(weighed, parts)
        left, top, width, height = box
        cut = slice(top, top + height), slice(left, left + width)
        own = weighed.parts.mask(parts)[cut]
        groups.append(Group(box, own, ink.amount[cut], found.threshold))
    return _in_lines(groups)


def _grouped(weighed: Weighed) -> list[Whole]:
    """The numbers of the parts that make up each group."""
    parts, weight = weighed.parts, weighed.weight.copy()
    if (weighed.framed[weight.argmax()]) == 0:
        weight[weighed.framed > 0] = 0
    able = weight > _LEAST_WEIGHT * weight.max()
    tallest = parts.height[able].max()
    digits = np.flatnonzero(able & (parts.height >= _SMALLER * tallest))
    groups: list[list[int]] = []
    for part in digits[np.argsort(parts.left[digits], kind="stable")]:
        home = next((group for group in groups if _is_one(weighed, group, part, tallest)), None)
        if home is None:
            groups.append([int(part)])
        else:
            home.append(int(part))
    reach = round(_NEAR * tallest)
    least = 0.01 * parts.area[digits].max()
    for part in np.flatnonzero((weight > 0) & (parts.area > least)):
        if parts.height[part] >= _SMALLER * tallest:
            continue
        gaps = [
            _gap(_box(weighed, np.array(group)), _box(weighed, np.array([part])))
            for group in groups
        ]
        nearest = int(np.argmin(gaps))
        if gaps[nearest] <= reach:
            groups[nearest].append(int(part))
    return [np.array(group) for group in groups]


def _is_one(weighed: Weighed, group: list[int], part: int, tallest: int) -> bool:
    """Whether a part stands above or below a group's, as the halves of a broken digit do."""
    left, top, width, height = _box(weighed, np.array(group))
    parts = weighed.parts
    shared = min(left + width, parts.right[part]) - max(left, parts.left[part])
    whole = max(top + height, parts.bottom[part]) - min(top, parts.top[part])
    return bool(
        shared > 0.5 * min(width, parts.width[part])
        and whole <= 1.2 * tallest
        and height + parts.height[part] <= 1.3 * whole
    )


def _box(weighed: Weighed, parts: Whole | NDArray[np.int64]) -> Box:
    """The box around parts."""
    of = weighed.parts
    left, top = int(of.left[parts].min()), int(of.top[parts].min())
    return left, top, int(of.right[parts].max()) - left, int(of.bottom[parts].max()) - top


def _gap(box: Box, other: Box) -> int:
    """How far two boxes are apart, in the direction in which they are farther."""
    across = max(box[0] - other[0] - other[2], other[0] - box[0] - box[2])
    down = max(box[1] - other[1] - other[3], other[1] - box[1] - box[3])
    return max(across, down, 0)


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
