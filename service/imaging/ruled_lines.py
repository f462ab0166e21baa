"""Remove the ruled lines of writing paper from a mask.

A ruled line is thin, straight and crosses the whole picture. No stroke of a digit does all three.
Where a stroke crosses a line the ink stays, because the vertical run there is longer than the line
is thick (staff line removal in sheet music: Dalitz et al. 2008).
"""

from __future__ import annotations

import math

import numpy as np

from service.imaging.components import Ints, Mask, runs

_SLOPES = np.linspace(-0.16, 0.16, 65)  # up to nine degrees
_SHARE = 0.6  # the inked share of a line's length; faint lines and noise leave gaps
_SECTIONS, _LEAST_SHARE = 6, 0.3  # and of each sixth of it; a digit's bar does not reach so far
_EVERY, _COLUMNS = 3, 64  # the search samples every third column, or 64 of a wide picture
_SMALLEST = 64  # in a picture with a shorter side below this the bar of a 4 is as thin as a line
_MOST_INK = 0.4  # the share of ink above which a mask is no page with lines
_MOST_PIXELS = 2_000_000  # a mask with more along lines of all slopes is a texture


def remove_ruled_lines(mask: Mask) -> Mask:
    """Returns the mask (h, w) without horizontal and vertical lines; ``mask`` if it has none."""
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
