"""Cuts strokes that may be several digits touching each other.

A cut goes from top to bottom where it crosses the least ink, leaning as it must (the path is the
cheapest one, found by dynamic programming, as seams are in Avidan and Shamir 2007). Which cuts are
real is not decided here: the model's confidence in the pieces tells.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.picture.parts import Mask

_LEAN = 0.6
"""What a step aside costs, in pixels of ink."""
_MOST_INK = 0.5
"""The most ink that a cut may cross, in heights of the mask."""
_LEAST_SHARE = 0.06
"""The least share of the ink on either side of a cut."""


def cuts(mask: Mask, most: int) -> list[NDArray[np.int64]]:
    """Up to ``most`` ways down through ``mask`` (h, w), from left to right.

    Each gives for every row the column that it passes before. They end at least a sixth of
    the height apart.
    """
    height = len(mask)
    apart = max(2, height // 6)
    if most < 1:
        return []
    paths, crossed = _cheapest_paths(mask)
    before = np.cumsum(mask, axis=1)
    rows = np.arange(height)
    chosen: list[int] = []
    for end in np.argsort(crossed, kind="stable"):
        if len(chosen) == most or crossed[end] > _MOST_INK * height:
            break
        left = int(before[rows, paths[:, end]].sum())
        if not _LEAST_SHARE < left / before[:, -1].sum() < 1 - _LEAST_SHARE:
            continue
        if all(abs(int(end) - other) >= apart for other in chosen):
            chosen.append(int(end))
    return [paths[:, end] for end in sorted(chosen)]


def between(mask: Mask, left: NDArray[np.int64] | None, right: NDArray[np.int64] | None) -> Mask:
    """What of ``mask`` lies between two cuts, or between one and the mask's side."""
    columns = np.arange(mask.shape[1])
    part = mask.copy()
    if left is not None:
        part &= columns >= left[:, None]
    if right is not None:
        part &= columns < right[:, None]
    return part


def _cheapest_paths(mask: Mask) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For each column of the last row the cheapest way to it, (h, w), and its cost (w,)."""
    height, width = mask.shape
    ink = mask.astype(np.float64)
    cost = ink[0].copy()
    came = np.zeros((height, width), np.int64)
    columns = np.arange(width)
    for row in range(1, height):
        wide = np.pad(cost, 1, constant_values=np.inf)
        ways = np.stack([wide[1:-1], wide[:-2] + _LEAN, wide[2:] + _LEAN])
        best = ways.argmin(axis=0)
        came[row] = np.array([0, -1, 1])[best]
        cost = ways[best, columns] + ink[row]
    paths = np.empty((height, width), np.int64)
    paths[-1] = columns
    for row in range(height - 1, 0, -1):
        paths[row - 1] = paths[row] + came[row, paths[row]]
    return paths, cost
