"""Find the connected components of a mask by joining the runs of its rows.

A run is an unbroken stretch of set pixels in one row. A picture has few runs, so joining runs
instead of pixels (Rosenfeld and Pfaltz 1966, first pass) is fast in NumPy alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Ints = NDArray[np.int64]


class Box(NamedTuple):
    """A bounding box, in pixels; ``right`` and ``bottom`` are one past the last pixel."""

    left: int
    top: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """The column after the last."""
        return self.left + self.width

    @property
    def bottom(self) -> int:
        """The row after the last."""
        return self.top + self.height

    @property
    def slices(self) -> tuple[slice, slice]:
        """The rows and columns, to index an array (h, w)."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def grown(self, margin: int) -> "Box":
        """Returns the box with a margin, which ends at the top and left of the picture."""
        left, top = max(0, self.left - margin), max(0, self.top - margin)
        return Box(left, top, self.right + margin - left, self.bottom + margin - top)

    def times(self, factor: float, shape: tuple[int, ...] = (1 << 31, 1 << 31)) -> "Box":
        """Returns the box in a picture ``factor`` times as large, cut off at ``shape`` (h, w)."""
        left, top, width, height = (round(side * factor) for side in self)
        width, height = min(width, shape[1] - left), min(height, shape[0] - top)
        return Box(left, top, max(1, width), max(1, height))

    def moved(self, left: int, top: int) -> "Box":
        """Returns the box ``left`` columns further right and ``top`` rows further down."""
        return self._replace(left=self.left + left, top=self.top + top)


def bounding_box(mask: Mask) -> Box:
    """Returns the box around the set pixels of ``mask`` (h, w), which has at least one."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    left, top = int(columns[0]), int(rows[0])
    return Box(left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top)


def union(boxes: Iterable[Box]) -> Box:
    """Returns the box around all ``boxes``."""
    sides = zip(*((box.left, box.top, -box.right, -box.bottom) for box in boxes), strict=True)
    left, top, right, bottom = map(min, sides)
    return Box(left, top, -right - left, -bottom - top)


@dataclass(frozen=True, slots=True)
class Components:
    """The n 8-connected components of a mask, (n,) each, and its runs with one entry a run."""

    shape: tuple[int, ...]  # (h, w)
    area: Ints
    left: Ints
    top: Ints
    right: Ints  # one past the last column
    bottom: Ints
    width: Ints
    height: Ints
    long_side: Ints  # the larger of width and height
    short_side: Ints
    run_label: Ints  # the component of each run
    run_row: Ints
    run_start: Ints
    run_end: Ints

    def __len__(self) -> int:
        return len(self.area)

    def box(self, chosen: Mask | Ints) -> Box:
        """Returns the box around the ``chosen`` components together."""
        left, top = int(self.left[chosen].min()), int(self.top[chosen].min())
        right, bottom = int(self.right[chosen].max()), int(self.bottom[chosen].max())
        return Box(left, top, right - left, bottom - top)

    def sums(self, values: NDArray[np.uint8]) -> Ints:
        """Returns the sum of ``values`` (h, w) over each component, (n,)."""
        cumulative = np.zeros(values.size + 1, np.int64)
        np.cumsum(values, dtype=np.int64, out=cumulative[1:])
        row = self.run_row * self.shape[1]
        of_runs = cumulative[row + self.run_end] - cumulative[row + self.run_start]
        return np.bincount(self.run_label, of_runs, len(self)).astype(np.int64)

    def mask(self, chosen: Mask | Ints) -> Mask:
        """Returns the pixels (h, w) of the ``chosen`` components, given by labels or by a mask."""
        values = np.zeros(len(self), np.int8)
        values[chosen] = 1
        return self._paint(values) > 0

    def labels(self) -> NDArray[np.int32]:
        """Returns the component of each pixel (h, w), -1 for the background."""
        return self._paint(np.arange(1, len(self) + 1, dtype=np.int32)) - 1

    def _paint(self, values: NDArray[Any]) -> NDArray[Any]:
        """Returns the value of each pixel's component (h, w), 0 for the background."""
        height, width = self.shape
        steps = np.zeros((height, width + 1), values.dtype)
        steps[self.run_row, self.run_start] = values[self.run_label]
        steps[self.run_row, self.run_end] -= values[self.run_label]
        return np.cumsum(steps, axis=1, dtype=values.dtype)[:, :-1]


def connected_components(mask: Mask) -> Components:
    """Labels the components of ``mask`` (h, w). Pixels touch by a side or a corner."""
    stride = mask.shape[1] + 1  # an empty column between the rows ends every run
    starts, ends = runs(mask)
    label = _label_runs(starts, ends, stride)
    row = starts // stride
    start, end = starts - row * stride, ends - row * stride
    count = int(label.max()) + 1 if len(label) else 0
    left, top = np.full(count, mask.shape[1]), np.full(count, mask.shape[0])
    right, bottom = np.zeros(count, np.int64), np.zeros(count, np.int64)
    np.minimum.at(left, label, start)
    np.minimum.at(top, label, row)
    np.maximum.at(right, label, end)
    np.maximum.at(bottom, label, row + 1)
    area = np.bincount(label, end - start, count).astype(np.int64)
    wide, high = right - left, bottom - top
    sides = wide, high, np.maximum(wide, high), np.minimum(wide, high)
    return Components(mask.shape, area, left, top, right, bottom, *sides, label, row, start, end)


def runs(mask: Mask) -> tuple[Ints, Ints]:
    """Returns the starts and ends of the runs of ``mask`` (h, w), in rows of w + 1 pixels."""
    padded = np.zeros((mask.shape[0], mask.shape[1] + 1), np.int8)
    padded[:, :-1] = mask
    changes = np.flatnonzero(np.diff(padded.ravel(), prepend=np.int8(0)))
    return changes[::2], changes[1::2]


def _label_runs(starts: Ints, ends: Ints, stride: int) -> Ints:
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
