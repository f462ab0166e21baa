"""Distinguish sheets of paper and printed frames, which are quadrilaterals, from strokes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from service.imaging.components import Components, Mask

_FULL, _DEVIATION = 0.7, 0.1  # least inked share of a sheet; most deviation from a quadrilateral
_PLATE_DEVIATION, _WHOLE = 0.03, 0.97  # the most of a plate that fills the picture
_HOLLOW = 0.35  # a frame is inked to a smaller share
_LEAST_FRAME, _FLATTEST = 0.15, 0.3
"""A frame's longer side in shorter sides of the picture; its shorter side in its longer sides."""
_MOST_FRAMES = 64  # only so many components, the largest, are checked


def solid_components(components: Components, breadth: NDArray[np.float64]) -> Mask:
    """Returns which components (n,) with the stroke width ``breadth`` are blocks or sheets."""
    long_side, short_side = components.long_side, components.short_side
    height, width = components.shape
    solid: Mask = short_side > 0.6 * long_side
    solid &= components.area > 0.8 * long_side * short_side
    large = (components.area > 0.2 * height * width) & (breadth > 0.24 * short_side)
    fills = (components.width >= 0.9 * width) & (components.height >= 0.9 * height)
    for label in np.flatnonzero(large & (border_share(components) == 0) & ~solid):
        share, deviation = _quadrilateral_fit(components, int(label))
        most, allowed = (_WHOLE, _PLATE_DEVIATION) if fills[label] else (np.inf, _DEVIATION)
        solid[label] = _FULL < share < most and deviation < allowed
    return solid


def frame_components(components: Components) -> Mask:
    """Returns which components (n,) are frames: the rim of a plate, a box of a form."""
    long_side, short_side = components.long_side, components.short_side
    eligible = components.area < _HOLLOW * components.width * components.height
    eligible &= long_side > _LEAST_FRAME * min(components.shape)
    eligible &= short_side > _FLATTEST * long_side
    labels = np.flatnonzero(eligible)
    frame = np.zeros(len(components), bool)
    for label in labels[np.argsort(-long_side[labels], kind="stable")][:_MOST_FRAMES]:
        share, deviation = _quadrilateral_fit(components, int(label))
        frame[label] = share < _HOLLOW and deviation < _DEVIATION
    return frame


def _quadrilateral_fit(components: Components, label: int) -> tuple[float, float]:
    """Returns the inked share of a component with its holes filled, and its deviation.

    The deviation is the area between the filled component and the quadrilateral of its four
    outermost points on the diagonals, as a share of the filled area. A rotated sheet has little;
    the ring of a 0 extends half its size beyond.
    """
    chosen = components.run_label == label
    row = components.run_row[chosen]
    start, end = components.run_start[chosen], components.run_end[chosen]
    at = [(row + start).argmin(), (row - end).argmin(), (row + end).argmax()]
    at.append((row - start).argmax())
    columns = start[at[0]], end[at[1]] - 1, end[at[2]] - 1, start[at[3]]
    corners = [(int(x), int(y)) for x, y in zip(columns, row[at], strict=True)]
    firsts = np.flatnonzero(np.diff(row, prepend=-1))
    left, right = np.minimum.reduceat(start, firsts), np.maximum.reduceat(end, firsts)
    sheet = Image.new("1", (int(right.max()), int(row[-1]) + 1))
    ImageDraw.Draw(sheet).polygon(corners, fill=1)
    x = np.arange(sheet.width)
    filled = (x >= left[:, None]) & (x < right[:, None])
    size = np.count_nonzero(filled)
    deviation = np.count_nonzero(filled != np.asarray(sheet)[row[0] :])
    return float(components.area[label]) / size, deviation / size


def border_share(components: Components) -> NDArray[np.float64]:
    """Returns the share of the picture's border pixels that each component covers, (n,)."""
    height, width = components.shape
    length = components.run_end - components.run_start
    on_edge = (components.run_row == 0) | (components.run_row == height - 1)
    covered = np.where(on_edge, length, 0)
    covered += (components.run_start == 0).astype(np.int64) + (components.run_end == width)
    return np.bincount(components.run_label, covered, len(components)) / (2 * (height + width))
