"""Tells sheets and the frames drawn on them, which are four-cornered, from strokes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from service.imaging.components import Mask, Parts

_FULL, _ASKEW = 0.7, 0.1
"""What a digit leaves of its sheet at least; how much of a sheet is beside its four corners."""
_SQUARE, _WHOLE = 0.03, 0.97
"""What fills the picture is a plate rather than a bold digit where less is beside its corners, and
where something is left out of it."""
_HOLLOW = 0.35
"""A frame has less ink than that share of what it goes around."""
_LEAST_FRAME, _FLATTEST = 0.15, 0.3
"""A frame's longer side, as a share of the picture's shorter; its shorter as one of its longer."""
_MOST_FRAMES = 64
"""So many parts, the largest, may be frames."""


def is_solid(parts: Parts, breadth: NDArray[np.float64]) -> Mask:
    """Which parts are blocks rather than strokes: a stain, or the sheet itself on a desk.

    ``breadth`` is how broad each part is, as a stroke.
    """
    long_side = np.maximum(parts.width, parts.height)
    short_side = np.minimum(parts.width, parts.height)
    stout = short_side > 0.6 * long_side
    solid: Mask = stout & (parts.area > 0.8 * long_side * short_side)
    large = parts.area > 0.2 * parts.shape[0] * parts.shape[1]
    large &= breadth > 0.24 * short_side
    fills = (parts.width >= 0.9 * parts.shape[1]) & (parts.height >= 0.9 * parts.shape[0])
    for part in np.flatnonzero(large & (on_frame(parts) == 0) & ~solid):
        share, beside = _four_cornered(parts, int(part))
        if fills[part]:
            solid[part] = _FULL < share < _WHOLE and beside < _SQUARE
        else:
            solid[part] = share > _FULL and beside < _ASKEW
    return solid


def is_frame(parts: Parts) -> Mask:
    """Which parts are hollow and four-cornered: the rim of a plate, a box of a form."""
    long_side = np.maximum(parts.width, parts.height)
    short_side = np.minimum(parts.width, parts.height)
    able = parts.area < _HOLLOW * parts.width * parts.height
    able &= long_side > _LEAST_FRAME * min(parts.shape)
    able &= short_side > _FLATTEST * long_side
    largest = np.flatnonzero(able)
    largest = largest[np.argsort(-long_side[largest], kind="stable")][:_MOST_FRAMES]
    frame = np.zeros(len(parts), bool)
    for part in largest:
        share, beside = _four_cornered(parts, int(part))
        frame[part] = share < _HOLLOW and beside < _ASKEW
    return frame


def _four_cornered(parts: Parts, part: int) -> tuple[float, float]:
    """How much of a part, its holes filled, is ink, and is not between its outermost points.

    They are the four that are outermost in the diagonals. A sheet is what lies between them,
    whichever way it is turned; the ring of a 0 reaches half as far again beyond.
    """
    runs = parts.part_of_run == part
    row, start, end = parts.run_row[runs], parts.run_start[runs], parts.run_end[runs]
    corners = [
        (int(ends[at]), int(row[at]))
        for ends, at in (
            (start, (row + start).argmin()),
            (end - 1, (row - end).argmin()),
            (end - 1, (row + end).argmax()),
            (start, (row - start).argmax()),
        )
    ]
    firsts = np.flatnonzero(np.diff(row, prepend=-1))
    left, right = np.minimum.reduceat(start, firsts), np.maximum.reduceat(end, firsts)
    sheet = Image.new("1", (int(right.max()), int(row[-1]) + 1))
    ImageDraw.Draw(sheet).polygon(corners, fill=1)
    columns = np.arange(sheet.width)
    filled = (columns >= left[:, None]) & (columns < right[:, None])
    beside = np.count_nonzero(filled != np.asarray(sheet)[row[0] :])
    size = np.count_nonzero(filled)
    return float(parts.area[part]) / size, beside / size


def on_frame(parts: Parts) -> NDArray[np.float64]:
    """The share of the picture's outermost pixels that each part covers."""
    height, width = parts.shape
    length = parts.run_end - parts.run_start
    on_edge = (parts.run_row == 0) | (parts.run_row == height - 1)
    covered = np.where(on_edge, length, 0)
    covered += (parts.run_start == 0).astype(np.int64) + (parts.run_end == width)
    return np.bincount(parts.part_of_run, covered, len(parts)) / (2 * (height + width))
