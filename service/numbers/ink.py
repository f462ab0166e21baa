"""The ink that a number is written in: faint digits too, but no shadow, no rule and no frame."""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from service.imaging.components import Mask, Parts, Whole, connected_parts
from service.imaging.locate import FAINTEST_INK, Found, Texture, find_digit, steepness
from service.imaging.ruled_lines import without_rules
from service.imaging.search import WIDEST_STROKES, search
from service.imaging.threshold import Grey, Ink, Polarity, ink_on_uneven_ground, without_grain

MOST_FRAMED = 0.1
"""The share of the picture's rim that digits cover at most."""
_FAINTEST = 0.4
"""The faintest ink that is looked at beside bolder, as a share of what this has to have."""
_FILLS, _HOLLOW = 0.2, 0.25
"""What has less ink than that share of its box, and in it a part of that share of its height, is a
frame."""
_RIM = 0.1
"""Of an upright frame no larger share of the ink is farther than that share of its side from it."""
_MOST_FRAMES = 400
"""Of the parts of a picture so many, the highest, may be frames."""


def ink_of_number(grey: Grey) -> tuple[Ink, Mask, int] | None:
    """The ink in ``grey`` (h, w), where it is, and the least amount of it; None for no digit."""
    seen = search(grey)
    if seen is None:
        return None
    ink, found = seen
    mask = ink.amount > found.threshold
    if ink.is_plain and _is_shaded(mask):
        ink, found = _under_shadow(grey, ink.polarity) or seen
        mask = ink.amount > found.threshold
    if ink.is_plain:
        mask |= _fainter(ink, found.threshold, mask)
    return ink, _without_rules_and_rims(mask), found.threshold


def _is_shaded(mask: Mask) -> bool:
    """Whether so much of the picture's rim is ink that a shadow was taken for some."""
    rim = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    return bool(rim.mean() > MOST_FRAMED)


def _under_shadow(grey: Grey, polarity: Polarity) -> tuple[Ink, Found] | None:
    """The ink on a ground that changes from place to place, where it shows a digit there."""
    smooth = without_grain(grey)
    with suppress(Texture):
        for ink in ink_on_uneven_ground(smooth, WIDEST_STROKES[0] * min(grey.shape)):
            found = find_digit(ink, steepness(smooth)) if ink.polarity == polarity else None
            if found is not None and found.is_stroke:
                return ink, found
    return None


def _fainter(ink: Ink, threshold: int, mask: Mask) -> Mask:
    """The ink below ``threshold`` that no bolder ink, the ``mask`` (h, w), is a part of."""
    least = max(FAINTEST_INK, ink.noise, threshold * _FAINTEST)
    parts = connected_parts(ink.amount > least)
    return parts.mask(parts.sums(mask.view(np.uint8)) == 0)


def _without_rules_and_rims(mask: Mask) -> Mask:
    """The mask (h, w) less its lines, and less upright frames, of which lines are only a part."""
    unruled = without_rules(mask)
    if unruled is mask:
        return mask
    parts = connected_parts(mask)
    around = frames(parts, np.ones(len(parts), bool))
    return unruled & ~parts.mask(around[_is_rim(parts)[around]])


def _is_rim(parts: Parts) -> Mask:
    """Which parts lie along the sides of their box, with no digit grown together with them."""
    part, row = parts.part_of_run, parts.run_row
    edge = _RIM * np.minimum(parts.width, parts.height)
    left, right = (parts.left + edge)[part], (parts.right - edge)[part]
    inner = np.minimum(parts.run_end, right) - np.maximum(parts.run_start, left)
    inner[(row < (parts.top + edge)[part]) | (row >= (parts.bottom - edge)[part])] = 0
    rim: Mask = np.bincount(part, np.maximum(inner, 0), len(parts)) < _RIM * parts.area
    return rim


def frames(parts: Parts, able: Mask) -> Whole:
    """The parts that go around others: the rim of a house number, the boxes of a form."""
    large = np.flatnonzero(able)
    large = large[np.argsort(-parts.height[large], kind="stable")][:_MOST_FRAMES]
    left, top, right, bottom = (
        side[large] for side in (parts.left, parts.top, parts.right, parts.bottom)
    )
    within = (left > left[:, None]) & (right < right[:, None])
    within &= (top > top[:, None]) & (bottom < bottom[:, None])
    within &= bottom - top > _FILLS * (bottom - top)[:, None]
    hollow = parts.area[large] < _HOLLOW * (right - left) * (bottom - top)
    return large[within.any(axis=1) & hollow]
