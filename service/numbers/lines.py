"""Group the components of a picture's ink into digits, and the groups into lines."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from service.background.large_work import give_way
from service.imaging.components import Box, Components, Ints, Mask, connected_components, union
from service.imaging.frames import remove_ruled_lines
from service.imaging.locate import (
    FAINTEST_INK,
    Candidate,
    Scored,
    TextureError,
    find_digit,
    gradient_of,
    score_components,
)
from service.imaging.pipeline import WIDEST_STROKES, search
from service.imaging.threshold import Grey, Ink, border_pixels, denoise, ink_on_uneven_background

MOST_BORDER = 0.1  # the share of the picture's border pixels that digits cover at most
_FAINTEST = 0.4  # the faintest ink beside bolder ink, as a share of the threshold
_LEAST_INSIDE, _HOLLOW = 0.2, 0.25
"""A frame has less ink than this share of its box, and holds a component of this share of its
height at least."""
_EDGE = 0.1  # at most this share of a frame's ink is farther than this share from its box's sides
_MOST_FRAMES = 400  # only so many components, the highest, can be frames


def ink_of_number(grey: Grey) -> tuple[Ink, Mask, int] | None:
    """Returns the ink in ``grey`` (h, w), its mask and its least amount; None for no digit."""
    seen = search(grey)
    if seen is None:
        return None
    ink, found = seen
    mask = ink.amount > found.threshold
    if ink.is_plain and border_pixels(mask).mean() > MOST_BORDER:  # a shadow counted as ink
        ink, found = _under_shadow(grey, ink) or seen
        mask = ink.amount > found.threshold
    if ink.is_plain:
        mask |= _fainter(ink, found.threshold, mask)
    return ink, _without_lines_and_frames(mask), found.threshold


def _under_shadow(grey: Grey, plain: Ink) -> tuple[Ink, Candidate] | None:
    """Returns the ink on an uneven background in the polarity of ``plain``, None for no digit."""
    smooth = denoise(grey)
    with suppress(TextureError):
        for ink in ink_on_uneven_background(smooth, WIDEST_STROKES[0] * min(grey.shape)):
            if ink.polarity == plain.polarity:
                found = find_digit(ink, gradient_of(smooth))
                if found is not None and found.is_stroke:
                    return ink, found
    return None


def _fainter(ink: Ink, threshold: int, mask: Mask) -> Mask:
    """Returns the components of ink below ``threshold`` without a pixel of ``mask`` (h, w)."""
    least = max(FAINTEST_INK, ink.noise, threshold * _FAINTEST)
    components = connected_components(ink.amount > least)
    return components.mask(components.sums(mask.view(np.uint8)) == 0)


def _without_lines_and_frames(mask: Mask) -> Mask:
    """Removes ruled lines from the mask (h, w), and frames of which a line was only a part."""
    unruled = remove_ruled_lines(mask)
    if unruled is mask:
        return mask
    components = connected_components(mask)
    frames = enclosing_frames(components, np.ones(len(components), bool))
    return unruled & ~components.mask(frames[_is_empty_frame(components)[frames]])


def _is_empty_frame(components: Components) -> Mask:
    """Returns which components (n,) lie along the sides of their box alone, without a digit."""
    label, row = components.run_label, components.run_row
    edge = _EDGE * np.minimum(components.width, components.height)
    left, right = (components.left + edge)[label], (components.right - edge)[label]
    inner = np.minimum(components.run_end, right) - np.maximum(components.run_start, left)
    inner[(row < (components.top + edge)[label]) | (row >= (components.bottom - edge)[label])] = 0
    inside = np.bincount(label, np.maximum(inner, 0), len(components))
    return np.asarray(inside < _EDGE * components.area)


def enclosing_frames(components: Components, eligible: Mask) -> Ints:
    """Returns the labels of components around others: the rim of a house number, a form's boxes."""
    large = np.flatnonzero(eligible)
    large = large[np.argsort(-components.height[large], kind="stable")][:_MOST_FRAMES]
    left, top = components.left[large], components.top[large]
    right, bottom = components.right[large], components.bottom[large]
    within = (left > left[:, None]) & (right < right[:, None])
    within &= (top > top[:, None]) & (bottom < bottom[:, None])
    within &= bottom - top > _LEAST_INSIDE * (bottom - top)[:, None]
    hollow = components.area[large] < _HOLLOW * (right - left) * (bottom - top)
    return large[within.any(axis=1) & hollow]


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
    give_way()
    grouped = _group(scored)
    give_way()
    boxes = [scored.components.box(chosen) for chosen in grouped]
    if sum(box.width * box.height for box in boxes) > _MOST_OVERLAP * mask.size:
        return []
    labels = scored.components.labels()
    groups = []
    for chosen, box in zip(grouped, boxes, strict=True):
        inked, amount = np.isin(labels[box.slices], chosen), ink.amount[box.slices]
        groups.append(Group(box, inked, amount, min(least, int(amount[inked].max()) // 2)))
        give_way()
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
    groups.add_all(digits, tallest)
    if len(groups.members) > _MOST_GROUPS:
        return []
    least = 0.01 * components.area[digits].max()
    small = np.flatnonzero((score > 0) & (components.area > least) & ~is_tall)
    small = small[np.argsort(-components.area[small], kind="stable")][:_MOST_FRAGMENTS]
    small = np.array([label for label in small if not groups.absorb(int(label), tallest)], np.intp)
    if len(small) <= _MOST_SMALL_GROUPS:
        groups.add_all(small, int(components.height[small].max(initial=0)))
    return [np.array(members) for members in groups.members]


class _Groups:
    """Groups of components, and the bounds (n, 4) of each group: left, top, right, bottom."""

    def __init__(self, components: Components) -> None:
        self.members: list[list[int]] = []
        sides = components.left, components.top, components.right, components.bottom
        self._bounds = np.stack(sides, axis=1)
        self._groups = np.zeros((0, 4), np.int64)

    def add_all(self, labels: Ints, tallest: int) -> None:
        """Adds components from left to right: as the other half of a group, or as new groups."""
        for label in labels[np.argsort(self._bounds[labels, 0], kind="stable")].tolist():
            group = self._other_half(label, tallest)
            if group is not None:
                self._add(label, group)
            else:
                self.members.append([label])
                self._groups = np.concatenate([self._groups, self._bounds[[label]]])

    def _add(self, label: int, group: int) -> None:
        self.members[group].append(label)
        box, bounds = self._groups[group], self._bounds[label]
        box[:2], box[2:] = np.minimum(box[:2], bounds[:2]), np.maximum(box[2:], bounds[2:])

    def _other_half(self, label: int, tallest: int) -> int | None:
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

    def absorb(self, label: int, tallest: int) -> bool:
        """Adds a fragment to its group; returns whether it was one, or a speck."""
        # A component beside a digit may be another sign, unless it is a speck.
        left, top, right, bottom = self._groups.T
        start, first, end, last = self._bounds[label]
        across = np.maximum(left - end, start - right)
        gaps = np.maximum(np.maximum(across, np.maximum(top - last, first - bottom)), 0)
        nearest = int(np.argmin(gaps))
        is_speck = bool(max(end - start, last - first) < _SPECK * tallest)
        if gaps[nearest] > round(_NEAR * tallest) or not (is_speck or across[nearest] <= 0):
            return is_speck
        self._add(label, nearest)
        return True


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
