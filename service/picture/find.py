"""Finds the digit among the parts of the ink: what is bold, whole and clear of the frame.

A photo holds more than its digit: the paper's edge, the desk, specks, the next digit. Each part is
weighed by its ink; what touches the frame or is a solid block weighs little. Around the heaviest
part, what is near enough to belong to it is taken along: the bar of a 5, the pieces of a stroke
that the pen skipped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.picture.ground import Ink, otsu_threshold
from service.picture.parts import Mask, Parts, Whole, connected_parts
from service.picture.rules import without_rules

Box = tuple[int, int, int, int]
"""Left, top, width and height, in pixels."""

FAINTEST_INK = 12
"""Ink below this amount, of 255, is no ink."""
_MOST_RUNS = 60_000
_SPECK = 0.02
"""A part whose longer side is below this share of the picture's shorter is a speck."""


@dataclass(frozen=True, slots=True)
class Found:
    """A digit: its pixels, where they are, and how sure it is that this is what was meant."""

    mask: Mask
    box: Box
    weight: float
    threshold: int
    """The amount of ink from which on a pixel is in the mask."""
    others: int
    """How many parts beside it could be digits too."""


def find_digit(ink: Ink, near: Box | None = None) -> Found | None:
    """The digit in ``ink``, or None where there is none; ``near`` is where it should be."""
    best: Found | None = None
    for threshold in thresholds(ink):
        mask = ink.amount > threshold
        if np.count_nonzero(mask[:, 1:] > mask[:, :-1]) > _MOST_RUNS:
            break
        found = _heaviest(ink, without_rules(mask), threshold, near)
        if found and (best is None or found.weight > 3 * best.weight):
            best = found
    return best


def thresholds(ink: Ink) -> list[int]:
    """Amounts from which ink may be a stroke: above lines and shades first, then above noise."""
    floor = round(max(FAINTEST_INK, ink.noise))
    histogram = np.bincount(ink.amount.ravel(), minlength=256)
    histogram[: floor + 1] = 0
    if not histogram.any():
        return []
    bold = otsu_threshold(histogram)
    return [floor] if bold is None else [bold, floor]


def _heaviest(ink: Ink, mask: Mask, threshold: int, near: Box | None) -> Found | None:
    parts = connected_parts(mask)
    if len(parts) == 0:
        return None
    weight = _weights(parts, parts.sums(ink.amount), near)
    heaviest = int(weight.argmax())
    if weight[heaviest] <= 0:
        return None
    chosen = _with_its_pieces(parts, weight, heaviest)
    left, top = int(parts.left[chosen].min()), int(parts.top[chosen].min())
    right, bottom = int(parts.right[chosen].max()), int(parts.bottom[chosen].max())
    long_side = np.maximum(parts.width, parts.height)
    others = (weight > 0.2 * weight[heaviest]) & (2 * long_side > max(right - left, bottom - top))
    others[chosen] = False
    return Found(
        parts.mask(chosen),
        (left, top, right - left, bottom - top),
        float(weight[chosen].sum()),
        threshold,
        int(np.count_nonzero(others)),
    )


def _weights(parts: Parts, sums: Whole, near: Box | None) -> NDArray[np.float64]:
    """How much each part looks like the digit: its ink, less for what speaks against it."""
    height, width = parts.shape
    weight = sums.astype(np.float64)
    long_side = np.maximum(parts.width, parts.height)
    short_side = np.minimum(parts.width, parts.height)
    weight[long_side < max(3, _SPECK * min(height, width))] = 0
    touches = (
        (parts.left == 0) | (parts.top == 0) | (parts.right == width) | (parts.bottom == height)
    )
    weight[touches] *= 0.05
    solid = (parts.area > 0.75 * long_side * short_side) & (short_side > 0.45 * long_side)
    weight[solid] *= 0.1
    across = (parts.left + parts.right) / width - 1
    down = (parts.top + parts.bottom) / height - 1
    weight /= 1 + across**2 + down**2
    if near is not None:
        left, top, wide, high = near
        overlap_x = np.minimum(parts.right, left + wide) - np.maximum(parts.left, left)
        overlap_y = np.minimum(parts.bottom, top + high) - np.maximum(parts.top, top)
        inside = np.maximum(overlap_x, 0) * np.maximum(overlap_y, 0)
        weight *= np.minimum(1, inside / (parts.width * parts.height)) ** 2
    return weight


def _with_its_pieces(parts: Parts, weight: NDArray[np.float64], heaviest: int) -> Whole:
    """The heaviest part and what belongs to it: pieces within or close by, but no other digit."""
    left, top = int(parts.left[heaviest]), int(parts.top[heaviest])
    right, bottom = int(parts.right[heaviest]), int(parts.bottom[heaviest])
    chosen = np.zeros(len(parts), bool)
    chosen[heaviest] = True
    enough = parts.area > 0.01 * parts.area[heaviest]
    while True:
        long_side = max(right - left, bottom - top)
        reach = 0.12 * long_side
        gap_x = np.maximum(parts.left - right, left - parts.right)
        gap_y = np.maximum(parts.top - bottom, top - parts.bottom)
        beside = (gap_x > -0.2 * parts.width) & (parts.height > 0.6 * (bottom - top))
        close = (gap_x < reach) & (gap_y < reach) & enough & ~beside & (weight > 0)
        if not (close & ~chosen).any():
            return np.flatnonzero(chosen)
        chosen |= close
        left, top = int(parts.left[chosen].min()), int(parts.top[chosen].min())
        right, bottom = int(parts.right[chosen].max()), int(parts.bottom[chosen].max())
