"""Find the ink of a number: faint digits too, but no shadow, ruled line or frame."""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from service.imaging.components import Components, Ints, Mask, connected_components
from service.imaging.locate import FAINTEST_INK, Candidate, TextureError, find_digit, gradient_of
from service.imaging.pipeline import WIDEST_STROKES, search
from service.imaging.ruled_lines import remove_ruled_lines
from service.imaging.threshold import Grey, Ink, border_pixels, denoise, ink_on_uneven_background

MOST_BORDER = 0.1  # the share of the picture's border pixels that digits cover at most
_FAINTEST = 0.4  # the faintest ink beside bolder ink, as a share of the threshold
_LEAST_INSIDE, _HOLLOW = 0.2, 0.25
"""A frame has less ink than this share of its box, and holds a component of this share of its
height at least."""
_EDGE = 0.1  # at most this share of a frame's ink is farther than this share from its box's sides
_MOST_FRAMES = 400  # only so many components, the highest, can be frames


def ink_of_number(grey: Grey) -> tuple[Ink, Mask, int] | None:
    """Returns the ink in ``grey`` (h, w), its mask and its least amount; None for no digit."""
    seen = search(grey)
    if seen is None:
        return None
    ink, found = seen
    mask = ink.amount > found.threshold
    if ink.is_plain and border_pixels(mask).mean() > MOST_BORDER:  # a shadow counted as ink
        ink, found = _under_shadow(grey, ink) or seen
        mask = ink.amount > found.threshold
    if ink.is_plain:
        mask |= _fainter(ink, found.threshold, mask)
    return ink, _without_lines_and_frames(mask), found.threshold


def _under_shadow(grey: Grey, plain: Ink) -> tuple[Ink, Candidate] | None:
    """Returns the ink on an uneven background in the polarity of ``plain``, None for no digit."""
    smooth = denoise(grey)
    with suppress(TextureError):
        for ink in ink_on_uneven_background(smooth, WIDEST_STROKES[0] * min(grey.shape)):
            if ink.polarity == plain.polarity:
                found = find_digit(ink, gradient_of(smooth))
                if found is not None and found.is_stroke:
                    return ink, found
    return None


def _fainter(ink: Ink, threshold: int, mask: Mask) -> Mask:
    """Returns the components of ink below ``threshold`` without a pixel of ``mask`` (h, w)."""
    least = max(FAINTEST_INK, ink.noise, threshold * _FAINTEST)
    components = connected_components(ink.amount > least)
    return components.mask(components.sums(mask.view(np.uint8)) == 0)


def _without_lines_and_frames(mask: Mask) -> Mask:
    """Removes ruled lines from the mask (h, w), and frames of which a line was only a part."""
    unruled = remove_ruled_lines(mask)
    if unruled is mask:
        return mask
    components = connected_components(mask)
    frames = enclosing_frames(components, np.ones(len(components), bool))
    return unruled & ~components.mask(frames[_is_empty_frame(components)[frames]])


def _is_empty_frame(components: Components) -> Mask:
    """Returns which components (n,) lie along the sides of their box alone, without a digit."""
    label, row = components.run_label, components.run_row
    edge = _EDGE * np.minimum(components.width, components.height)
    left, right = (components.left + edge)[label], (components.right - edge)[label]
    inner = np.minimum(components.run_end, right) - np.maximum(components.run_start, left)
    inner[(row < (components.top + edge)[label]) | (row >= (components.bottom - edge)[label])] = 0
    inside = np.bincount(label, np.maximum(inner, 0), len(components))
    return np.asarray(inside < _EDGE * components.area)


def enclosing_frames(components: Components, eligible: Mask) -> Ints:
    """Returns the labels of components around others: the rim of a house number, a form's boxes."""
    large = np.flatnonzero(eligible)
    large = large[np.argsort(-components.height[large], kind="stable")][:_MOST_FRAMES]
    left, top = components.left[large], components.top[large]
    right, bottom = components.right[large], components.bottom[large]
    within = (left > left[:, None]) & (right < right[:, None])
    within &= (top > top[:, None]) & (bottom < bottom[:, None])
    within &= bottom - top > _LEAST_INSIDE * (bottom - top)[:, None]
    hollow = components.area[large] < _HOLLOW * (right - left) * (bottom - top)
    return large[within.any(axis=1) & hollow]
