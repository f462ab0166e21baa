"""Takes ruled lines out of a mask: the lines and squares of writing paper.

A ruled line is thin, straight and goes from one side of the picture to the other; no stroke of a
digit does all three. Where a stroke crosses a line the ink stays (as staff lines are taken out of
sheet music: Dalitz et al. 2008, "skeleton" aside, by the length of the vertical run).
"""

from __future__ import annotations

import math

import numpy as np

from service.imaging.components import Mask

_SLOPES = np.linspace(-0.16, 0.16, 65)
"""Slants of a line that are tried: up to some nine degrees."""
_SHARE = 0.6
"""The share of a line's length that must be inked: faint lines and noise leave gaps."""
_STRETCHES, _LEAST_SHARE = 6, 0.3
"""A line has ink in each of so many stretches of its length; a digit's bar does not go so far."""
_EVERY, _COLUMNS = 3, 64
"""Lines are looked for in every third column, or in so many if those are fewer: they are long."""
_SMALLEST = 64
"""In a picture with a shorter side below this the bar of a 4 is no thicker than a line may be."""
_MOST_INK = 0.4
"""A mask with a larger share of ink than this is no page with lines."""
_MOST_PIXELS = 2_000_000
"""How many pixels are held against lines; what has more along lines of many slants is a texture."""


def without_rules(mask: Mask) -> Mask:
    """The mask (h, w) less its lines, across and upright."""
    across = _rules_across(mask)
    upright = _rules_across(mask.T)
    if across is None and upright is None:
        return mask
    kept = mask.copy()
    if across is not None:
        kept &= ~across
    if upright is not None:
        kept &= ~upright.T
    return kept


def _rules_across(mask: Mask) -> Mask | None:
    """The pixels of lines that go across, less those where a stroke crosses; None for no line."""
    height, width = mask.shape
    thickest = max(2, round(0.02 * min(height, width)))
    if min(height, width) < _SMALLEST or np.count_nonzero(mask.any(axis=0)) < 0.9 * width:
        return None
    if np.count_nonzero(mask) > _MOST_INK * mask.size:
        return None
    every = max(_EVERY, width // _COLUMNS)
    few_rows, few_columns = np.nonzero(mask[:, ::every])
    across = np.arange(width) - width / 2
    stretch = (np.arange(0, width, every) * _STRETCHES // width)[few_columns]
    least = _SHARE * width / every
    beyond = math.ceil(float(_SLOPES[-1]) * width / 2)  # rows outside that a line may begin in
    rows, columns, places = few_rows, few_columns, few_rows
    looked_at = 0
    found = np.zeros(mask.size, bool)
    for slope in _SLOPES:
        shift = beyond - np.rint(slope * across).astype(np.intp)
        level = few_rows + shift[::every][few_columns]
        count = np.bincount(level, minlength=height + 2 * beyond)[beyond : beyond + height]
        is_line = count + np.roll(count, 1) >= least
        if not is_line.any():
            continue
        bins = np.bincount(
            level * _STRETCHES + stretch, minlength=_STRETCHES * (height + 2 * beyond)
        )
        parts = bins.reshape(-1, _STRETCHES)[beyond : beyond + height]
        parts = parts + np.roll(parts, 1, axis=0)
        is_line &= parts.min(axis=1) >= _LEAST_SHARE * width / every / _STRETCHES
        is_line |= np.roll(is_line, -1)
        _drop_thick(is_line, thickest)
        if is_line.any():
            if not looked_at:
                places = np.flatnonzero(mask & (_upright_runs(mask) <= thickest + 2))
                rows, columns = np.divmod(places, width)
            looked_at += len(rows)
            if looked_at > _MOST_PIXELS:
                return None
            near = np.pad(is_line | np.roll(is_line, 1) | np.roll(is_line, -1), beyond)
            found[places[near[rows + shift[columns]]]] = True
    return found.reshape(mask.shape) if looked_at else None


def _drop_thick(is_line: Mask, thickest: int) -> None:
    """Takes out runs of more rows than a line is thick."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], is_line.view(np.int8), [0]])))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if end - start > thickest + 2:
            is_line[start:end] = False


def _upright_runs(mask: Mask) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """For each set pixel the length of the unbroken upright run it is part of, else 0."""
    columns = np.zeros((mask.shape[1], mask.shape[0] + 1), np.int8)
    columns[:, :-1] = mask.T
    flat = np.concatenate([np.zeros(1, np.int8), columns.ravel()])
    changes = np.flatnonzero(np.diff(flat))
    starts, ends = changes[::2], changes[1::2]
    lengths = np.zeros(columns.size, np.int64)
    lengths[columns.ravel() > 0] = np.repeat(ends - starts, ends - starts)
    return lengths.reshape(columns.shape)[:, :-1].T
