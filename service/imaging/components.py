"""Connected parts of a mask, found run by run.

A run is an unbroken stretch of set pixels in one row. A picture has few runs, so joining runs
instead of pixels (Rosenfeld and Pfaltz 1966, the first pass) needs no library beyond NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Parts:
    """The 8-connected parts of a mask; all arrays but the runs' have one entry a part.

    ``left`` to ``bottom`` bound a part: the last two are one past its last column and row.
    """

    shape: tuple[int, int]
    area: Whole
    left: Whole
    top: Whole
    right: Whole
    bottom: Whole
    part_of_run: Whole
    run_row: Whole
    run_start: Whole
    run_end: Whole

    def __len__(self) -> int:
        return len(self.area)

    @property
    def width(self) -> Whole:
        """Columns from each part's first to its last."""
        return self.right - self.left

    @property
    def height(self) -> Whole:
        """Rows from each part's first to its last."""
        return self.bottom - self.top

    def sums(self, values: NDArray[np.uint8]) -> Whole:
        """The sum of ``values``, of the mask's shape, over each part."""
        length = self.run_end - self.run_start
        ends = np.cumsum(length)
        first = self.run_row * self.shape[1] + self.run_start - (ends - length)
        inked = values.ravel()[np.repeat(first, length) + np.arange(ends[-1] if len(ends) else 0)]
        running = np.zeros(len(inked) + 1, np.int64)
        np.cumsum(inked, dtype=np.int64, out=running[1:])
        of_runs = running[ends] - running[ends - length]
        return np.bincount(self.part_of_run, of_runs, len(self)).astype(np.int64)

    def mask(self, wanted: Mask | Whole) -> Mask:
        """The pixels of the ``wanted`` parts, given as their numbers or as a mask of the parts."""
        chosen = np.zeros(len(self), bool)
        chosen[wanted] = True
        runs = chosen[self.part_of_run]
        height, width = self.shape
        steps = np.zeros((height, width + 1), np.int8)
        steps[self.run_row[runs], self.run_start[runs]] = 1
        steps[self.run_row[runs], self.run_end[runs]] = -1
        filled: Mask = np.cumsum(steps, axis=1, dtype=np.int8)[:, :-1] > 0
        return filled

    def numbers(self) -> NDArray[np.int32]:
        """The number of the part that each pixel belongs to, of the mask's shape; -1 for none."""
        height, width = self.shape
        steps = np.zeros((height, width + 1), np.int32)
        steps[self.run_row, self.run_start] = self.part_of_run + 1
        steps[self.run_row, self.run_end] -= self.part_of_run.astype(np.int32) + 1
        found: NDArray[np.int32] = np.cumsum(steps, axis=1, dtype=np.int32)[:, :-1] - 1
        return found


def connected_parts(mask: Mask) -> Parts:
    """Finds the parts of ``mask`` (h, w), pixels touching by a side or a corner."""
    height, width = mask.shape
    stride = width + 1  # one empty column between the rows, so that no run goes over their end
    padded = np.zeros((height, stride), np.int8)
    padded[:, :-1] = mask
    flat = np.concatenate([np.zeros(1, np.int8), padded.ravel()])
    changes = np.flatnonzero(np.diff(flat))
    starts, ends = changes[::2], changes[1::2]
    part = _join(starts, ends, stride)
    row = starts // stride
    start, end = starts - row * stride, ends - row * stride
    count = int(part.max()) + 1 if len(part) else 0
    left, top = np.full(count, width), np.full(count, height)
    right, bottom = np.zeros(count, np.int64), np.zeros(count, np.int64)
    np.minimum.at(left, part, start)
    np.minimum.at(top, part, row)
    np.maximum.at(right, part, end)
    np.maximum.at(bottom, part, row + 1)
    area = np.bincount(part, end - start, count).astype(np.int64)
    return Parts((height, width), area, left, top, right, bottom, part, row, start, end)


def _join(starts: Whole, ends: Whole, stride: int) -> Whole:
    """The number of the part that each run belongs to, from 0 without gaps."""
    first = np.searchsorted(ends, starts + stride, "left")
    last = np.searchsorted(starts, ends + stride, "right")
    touching = np.maximum(last - first, 0)
    above = np.repeat(np.arange(len(starts)), touching)
    offset = np.arange(len(above)) - np.repeat(np.cumsum(touching) - touching, touching)
    below = np.repeat(first, touching) + offset
    label = np.arange(len(starts))
    while True:
        lower = np.minimum(label[above], label[below])
        joined = label.copy()
        np.minimum.at(joined, label[above], lower)
        np.minimum.at(joined, label[below], lower)
        while not np.array_equal(joined[joined], joined):
            joined = joined[joined]
        if np.array_equal(joined, label):
            return np.unique(label, return_inverse=True)[1]
        label = joined
