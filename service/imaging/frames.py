"""Distinguish sheets, printed frames (quadrilaterals) and ruled lines from strokes."""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from service.imaging.components import Components, Ints, Mask, runs

_FULL, _DEVIATION = 0.7, 0.1  # least inked share of a sheet; most deviation from a quadrilateral
_PLATE_DEVIATION, _WHOLE = 0.03, 0.97  # the most of a plate that fills the picture
_HOLLOW = 0.35  # a frame is inked to a smaller share
_LEAST_FRAME, _FLATTEST = 0.15, 0.3
"""A frame's longer side in shorter sides of the picture; its shorter side in its longer sides."""
_MOST_FRAMES = 64  # only so many components, the largest, are checked


def solid_components(
    components: Components, border: NDArray[np.float64], breadth: NDArray[np.float64]
) -> Mask:
    """Returns which components (n,), by share of the border and stroke width, are blocks."""
    long_side, short_side = components.long_side, components.short_side
    height, width = components.shape
    solid: Mask = short_side > 0.6 * long_side
    solid &= components.area > 0.8 * long_side * short_side
    large = (components.area > 0.2 * height * width) & (breadth > 0.24 * short_side)
    fills = (components.width >= 0.9 * width) & (components.height >= 0.9 * height)
    for label in np.flatnonzero(large & (border == 0) & ~solid):
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

    That is the share of the filled area between it and the quadrilateral of its outermost points on
    the diagonals: little for a rotated sheet, half of its size for the ring of a 0.
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


_SLOPES = np.linspace(-0.16, 0.16, 65)  # up to nine degrees
_SHARE = 0.6  # the inked share of a line's length; faint lines and noise leave gaps
_SECTIONS, _LEAST_SHARE = 6, 0.3  # and of each sixth of it; a digit's bar does not reach so far
_EVERY, _COLUMNS = 3, 64  # the search samples every third column, or 64 of a wide picture
_SMALLEST = 64  # in a picture with a shorter side below this the bar of a 4 is as thin as a line
_MOST_INK = 0.4  # the share of ink above which a mask is no page with lines
_MOST_PIXELS = 2_000_000  # a mask with more along lines of all slopes is a texture


def remove_ruled_lines(mask: Mask) -> Mask:
    """Returns the mask (h, w) without horizontal and vertical lines; ``mask`` if it has none.

    A ruled line is thin, straight and crosses the picture. Ink stays where the vertical run is
    longer than the line is thick (staff line removal: Dalitz et al. 2008).
    """
    horizontal, vertical = _horizontal_lines(mask), _horizontal_lines(mask.T)
    if horizontal is not None:
        mask = mask & ~horizontal
    return mask if vertical is None else mask & ~vertical.T


def _horizontal_lines(mask: Mask) -> Mask | None:
    """Returns the pixels of lines without crossing strokes, None if there is no line."""
    height, width = mask.shape
    thickest = max(2, round(0.02 * min(height, width)))
    is_large = min(height, width) >= _SMALLEST and np.count_nonzero(mask.any(axis=0)) >= 0.9 * width
    if not is_large or np.count_nonzero(mask) > _MOST_INK * mask.size:
        return None
    every = max(_EVERY, width // _COLUMNS)
    sampled_rows, sampled_columns = np.nonzero(mask[:, ::every])
    across = np.arange(width) - width / 2
    section = (np.arange(0, width, every) * _SECTIONS // width)[sampled_columns]
    least = _SHARE * width / every
    outside = math.ceil(float(_SLOPES[-1]) * width / 2)  # rows where a sloping line may begin
    levels = height + 2 * outside
    compared, rows, columns, places = 0, sampled_rows, sampled_columns, sampled_rows
    found = np.zeros(mask.size, bool)
    for slope in _SLOPES:
        shift = outside - np.rint(slope * across).astype(np.intp)
        level = sampled_rows + shift[::every][sampled_columns]
        count = np.bincount(level, minlength=levels)[outside : outside + height]
        is_line = count + np.roll(count, 1) >= least
        if not is_line.any():
            continue
        bins = np.bincount(level * _SECTIONS + section, minlength=_SECTIONS * levels)
        sections = bins.reshape(-1, _SECTIONS)[outside : outside + height]
        sections = sections + np.roll(sections, 1, axis=0)
        is_line &= sections.min(axis=1) >= _LEAST_SHARE * width / every / _SECTIONS
        is_line |= np.roll(is_line, -1)
        is_line &= _run_lengths(is_line[None])[0] <= thickest + 2
        if is_line.any():
            if not compared:
                lengths = _run_lengths(mask.T).T
                places = np.flatnonzero(mask & (lengths <= thickest + 2))
                rows, columns = np.divmod(places, width)
            compared += len(rows)
            if compared > _MOST_PIXELS:
                return None
            near = np.pad(is_line | np.roll(is_line, 1) | np.roll(is_line, -1), outside)
            found[places[near[rows + shift[columns]]]] = True
    return found.reshape(mask.shape) if compared else None


def _run_lengths(mask: Mask) -> Ints:
    """Returns for each set pixel (h, w) the length of its run in its row, else 0."""
    starts, ends = runs(mask)
    lengths = np.zeros(mask.shape, np.int64)
    lengths[mask] = np.repeat(ends - starts, ends - starts)
    return lengths
