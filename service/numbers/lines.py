"""Group the components of a picture's ink into digits, and the groups into lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.imaging.components import Box, Components, Ints, Mask, union
from service.imaging.locate import Scored, gradient_of, score_components
from service.imaging.threshold import Grey, denoise
from service.numbers.ink import MOST_BORDER, enclosing_frames, ink_of_number

_LEAST_SCORE, _LEAST_SHARPNESS = 0.003, 0.1  # of a digit, as shares of the best component's
_SIMILAR = 0.3  # the logarithm by which digits' heights differ if one touches the border
_SMALL = 0.4  # a fragment or a small digit is lower, in heights of the tallest digit
_SPECK = 0.2  # a speck is smaller, in heights of the tallest, or a fragment of a digit nearby
_BESIDE, _LAST = 0.4, 3  # a group is beside the last three of its line by this share of its height
_NEAR = 0.15  # the distance of a fragment from its digit, in heights of the tallest
_ASLANT = 0.05  # the columns between the halves of a broken digit, in heights of the tallest
_MOST_GROUPS, _MOST_LARGE = 128, 384  # more groups, or components as tall as digits, are a texture
_MOST_FRAGMENTS, _MOST_SMALL_GROUPS = 500, 64  # the largest count; more small groups are dirt
_MOST_OVERLAP = 4
"""Groups whose boxes have more area in total, in areas of the picture, overlap as no digits do."""


@dataclass(frozen=True, slots=True)
class Group:
    """Strokes that are one digit, or several that touch. The arrays are cropped to the box."""

    box: Box
    mask: Mask
    amount: Grey
    threshold: int


def lines_in(grey: Grey) -> list[list[Group]]:
    """Returns the groups of strokes in ``grey`` (h, w), by line, from left to right."""
    seen = ink_of_number(grey)
    if seen is None:
        return []
    ink, mask, least = seen
    scored = score_components(ink, gradient_of(denoise(grey)), mask)
    grouped = _group(scored)
    boxes = [scored.components.box(chosen) for chosen in grouped]
    if sum(box.width * box.height for box in boxes) > _MOST_OVERLAP * mask.size:
        return []
    labels = scored.components.labels()
    groups = []
    for chosen, box in zip(grouped, boxes, strict=True):
        inked, amount = np.isin(labels[box.slices], chosen), ink.amount[box.slices]
        threshold = min(least, int(amount[inked].max()) // 2)
        groups.append(Group(box, inked, amount, threshold))
    low = _SMALL * max((box.height for box in boxes), default=0)  # a lower group alone is dirt
    return [line for line in _lines(groups) if len(line) > 1 or line[0].box.height >= low]


def join(groups: Sequence[Group]) -> Group:
    """Returns several groups as one."""
    box = union(group.box for group in groups)
    mask = np.zeros((box.height, box.width), bool)
    amount = np.zeros(mask.shape, np.uint8)
    for group in groups:
        field = group.box.moved(-box.left, -box.top).slices
        mask[field] |= group.mask
        np.maximum(amount[field], group.amount, out=amount[field])
    return Group(box, mask, amount, groups[0].threshold)


def _group(scored: Scored) -> list[Ints]:
    """Returns the labels of each group's components; no group if there are too many."""
    components, score = scored.components, scored.score.copy()
    if scored.border[score.argmax()] == 0:
        # At the border only components as high as the best one are digits.
        ratio = components.height / components.height[score.argmax()]
        similar = (abs(np.log(ratio)) < _SIMILAR) & (scored.border < MOST_BORDER) & ~scored.solid
        score[(scored.border > 0) & ~similar] = 0
    score[enclosing_frames(components, score > 0)] = 0
    best = score.argmax()
    eligible = score > _LEAST_SCORE * score[best]
    eligible &= scored.sharpness > _LEAST_SHARPNESS * scored.sharpness[best]
    tallest = int(components.height[eligible].max())
    is_tall = components.height >= _SMALL * tallest
    digits = np.flatnonzero(eligible & is_tall)
    if len(digits) > _MOST_LARGE:
        return []
    groups = _Groups(components)
    for label in digits[np.argsort(components.left[digits], kind="stable")]:
        groups.add(int(label), groups.other_half(int(label), tallest))
    if len(groups.members) > _MOST_GROUPS:
        return []
    least = 0.01 * components.area[digits].max()
    small = np.flatnonzero((score > 0) & (components.area > least) & ~is_tall)
    small = small[np.argsort(-components.area[small], kind="stable")][:_MOST_FRAGMENTS]
    groups.add_small(small.tolist(), tallest)
    return [np.array(members) for members in groups.members]


class _Groups:
    """Groups of components, and the bounds (n, 4) of each group: left, top, right, bottom."""

    def __init__(self, components: Components) -> None:
        self.members: list[list[int]] = []
        self._height = components.height
        sides = components.left, components.top, components.right, components.bottom
        self._bounds = np.stack(sides, axis=1)
        self._groups = np.zeros((0, 4), np.int64)

    def add(self, label: int, group: int | None) -> None:
        """Adds a component to a group, or as a new group."""
        bounds = self._bounds[label]
        if group is None:
            self.members.append([label])
            self._groups = np.concatenate([self._groups, bounds[None]])
        else:
            self.members[group].append(label)
            box = self._groups[group]
            box[:2], box[2:] = np.minimum(box[:2], bounds[:2]), np.maximum(box[2:], bounds[2:])

    def other_half(self, label: int, tallest: int) -> int | None:
        """Returns the group above or below a component if both are halves of a broken digit."""
        # They need not share a column: the bar of a 5 may begin where its body ends.
        left, top, right, bottom = self._groups.T
        start, first, end, last = self._bounds[label]
        shared = np.minimum(right, end) - np.maximum(left, start)
        whole = np.maximum(bottom, last) - np.minimum(top, first)
        distance = np.maximum(top - last, first - bottom)
        is_half = (shared > -_ASLANT * tallest) & (distance <= _NEAR * tallest)
        is_half &= (whole <= 1.2 * tallest) & (bottom - top + last - first <= 1.3 * whole)
        return int(is_half.argmax()) if is_half.any() else None

    def add_small(self, labels: list[int], tallest: int) -> None:
        """Adds small components: as fragments of groups, as groups of their own, or not at all."""
        small = [label for label in labels if not self._absorb(label, tallest)]
        if len(small) > _MOST_SMALL_GROUPS:
            return
        lower = int(self._height[small].max(initial=0))
        for label in sorted(small, key=lambda label: int(self._bounds[label, 0])):
            self.add(label, self.other_half(label, lower))

    def _absorb(self, label: int, tallest: int) -> bool:
        """Adds a fragment to its group; returns whether it was one, or a speck."""
        # A component beside a digit may be another sign, unless it is a speck.
        left, top, right, bottom = self._groups.T
        start, first, end, last = self._bounds[label]
        across = np.maximum(left - end, start - right)
        gaps = np.maximum(np.maximum(across, np.maximum(top - last, first - bottom)), 0)
        nearest = int(np.argmin(gaps))
        is_speck = bool(max(end - start, last - first) < _SPECK * tallest)
        if gaps[nearest] <= round(_NEAR * tallest) and (is_speck or across[nearest] <= 0):
            self.add(label, nearest)
            return True
        return is_speck


def _lines(groups: list[Group]) -> list[list[Group]]:
    """Returns the groups by line, from top to bottom."""
    # A line may climb or fall, so each group is compared with the last three of the line.
    lines: list[list[Group]] = []
    for group in sorted(groups, key=lambda group: group.box.left):
        shared = [_shared_height(line[-_LAST:], group) for line in lines]
        best = int(np.argmax(shared)) if shared else 0
        if shared and shared[best] > _BESIDE:
            lines[best].append(group)
        else:
            lines.append([group])
    return sorted(lines, key=lambda line: float(np.mean([group.box.top for group in line])))


def _shared_height(line: list[Group], group: Group) -> float:
    """Returns the share of the lower one's height, group or line, that is beside the other."""
    lower, taller = sorted((union(one.box for one in line), group.box), key=lambda box: box.height)
    foot = taller.bottom
    if lower.height < _SMALL * taller.height:  # it may extend below the line as a comma does
        foot += round(_SMALL * taller.height)
    return (min(lower.bottom, foot) - max(lower.top, taller.top)) / lower.height
