"""Looks at a picture: the steps from grey pixels to the 28x28 image, in their order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from service.imaging.load import Picture
from service.imaging.locate import Box
from service.imaging.normalise import normalise, stroke_width
from service.imaging.search import search
from service.imaging.threshold import Grey, Polarity
from service.types import SIDE

OVERVIEW = 640
"""The longer side, in pixels, of the reduced picture in which the digit is searched."""
CLOSE_UP = 160
"""The longest side of a digit in the close-up from which its strokes are taken."""
DARK_BORDER = 32
"""The mean of the outermost pixels below which 28x28 pixels are taken as they are.

No image of MNIST's has more than 9.
"""
LOW_CONTRAST = 28
"""Strokes with less ink than this, of 255, are faint."""
_STOUT, _BLOT, _FULL = 0.6, 0.42, 0.7
"""A blot is so wide for its height, its stroke so broad for its width, so much of its box is ink.

A round dot fills 0.79 of it.
"""
_THROUGH, _LONG, _NARROW = 0.95, 3, 0.15
"""A line goes so far along a picture, or is so long for its breadth, and so narrow across it."""
HALF_INK = 127
TOO_SMALL = 8
"""A digit below this many pixels has lost its form."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen in a picture: the image (28, 28) for the model, and how it came about."""

    image: Grey
    polarity: Literal["as given"] | Polarity
    box: Box | None = None
    """Where in the upright original the digit is; None for one taken as given, or none found."""
    doubts: tuple[str, ...] = ()


def look(picture: Picture) -> Seen:
    """The digit in a picture, in MNIST's form; an empty image, and a doubt, where there is none."""
    given = as_given(picture)
    if given is not None:
        return given
    grey = picture.grey
    overview, factor = reduced(grey, OVERVIEW)
    first = search(overview)
    if first is None:
        return _nothing(grey)
    ink, found = first
    box = scaled(found.box, factor, grey.shape)
    others = found.others
    close_up, corner, zoom = _close_up(grey, box)
    near = _within(box, corner, zoom)
    second = search(close_up, [0.5 * max(near[2:])], ink.polarity, near)
    if second is not None and _share(second[1].box, near) > 0.5:
        ink, found = second
        left, top, width, height = found.box
        box = (
            corner[0] + round(left * zoom),
            corner[1] + round(top * zoom),
            max(1, round(width * zoom)),
            max(1, round(height * zoom)),
        )
    doubts = []
    if others:
        doubts.append("several digits")
    width, height = picture.original
    box = scaled(box, width / grey.shape[1], (height, width))
    if max(box[2:]) < TOO_SMALL:
        doubts.append("too small")
    if np.percentile(ink.amount[found.mask], 75) < LOW_CONTRAST:
        doubts.append("low contrast")
    image = normalise(ink.amount, found.mask, found.threshold)
    if found.is_solid or _is_blot(image) or _is_line(box, picture.original):
        doubts.append("not a digit")
    return Seen(image, ink.polarity, box, tuple(doubts))


def _is_blot(image: Grey) -> bool:
    """Whether what was found is a dot or a stain: the model takes a full round for a 0."""
    ink = image > HALF_INK
    if not ink.any():
        return False
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    short, long = sorted((rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1))
    is_full = np.count_nonzero(ink) > _FULL * short * long
    return bool(is_full) and short > _STOUT * long and stroke_width(ink) > _BLOT * short


def _is_line(box: Box, size: tuple[int, int]) -> bool:
    """Whether what was found in a picture (w, h) is a line: from edge to edge, or along one."""
    for along, across in ((0, 1), (1, 0)):
        length, breadth = box[2 + along], box[2 + across]
        beside = box[across] <= 1 or box[across] + breadth >= size[across] - 1
        is_long = length > _THROUGH * size[along] or (beside and length > _LONG * breadth)
        if is_long and breadth < _NARROW * size[across]:
            return True
    return False


def as_given(picture: Picture) -> Seen | None:
    """The picture as it is, where it is already in MNIST's form: 28x28 with a dark border."""
    if picture.grey.shape == (SIDE, SIDE) and has_dark_border(picture.grey):
        return Seen(picture.grey, "as given")
    return None


def has_dark_border(grey: Grey) -> bool:
    """Whether the outermost pixels of a 28x28 image are ground as MNIST has it, near black."""
    pixels = grey.tobytes()
    upright = pixels[SIDE:-SIDE]
    total = sum(pixels[:SIDE]) + sum(pixels[-SIDE:])
    total += sum(upright[::SIDE]) + sum(upright[SIDE - 1 :: SIDE])
    return total < DARK_BORDER * 4 * (SIDE - 1)


def _share(box: Box, other: Box) -> float:
    """The intersection of two boxes over their union."""
    wide = min(box[0] + box[2], other[0] + other[2]) - max(box[0], other[0])
    high = min(box[1] + box[3], other[1] + other[3]) - max(box[1], other[1])
    both = max(0, wide) * max(0, high)
    return both / (box[2] * box[3] + other[2] * other[3] - both)


def reduced(grey: Grey, longest: int) -> tuple[Grey, int]:
    """The picture with its longer side at most so many pixels, and by how much it is reduced."""
    factor = -(-max(grey.shape) // longest)
    if factor == 1:
        return grey, 1
    return np.asarray(Image.fromarray(grey).reduce(factor)), factor


def _close_up(grey: Grey, box: Box) -> tuple[Grey, tuple[int, int], int]:
    """The digit with half its size around it, where that begins, and by how much it is reduced."""
    left, top, width, height = box
    margin = max(4, max(width, height) // 2)
    right, bottom = (
        min(grey.shape[1], left + width + margin),
        min(grey.shape[0], top + height + margin),
    )
    left, top = max(0, left - margin), max(0, top - margin)
    part = np.ascontiguousarray(grey[top:bottom, left:right])
    zoom = max(1, max(width, height) // CLOSE_UP)
    if zoom > 1:
        part = np.asarray(Image.fromarray(part).reduce(zoom))
    return part, (left, top), zoom


def _within(box: Box, corner: tuple[int, int], zoom: int) -> Box:
    left, top, width, height = box
    return (
        (left - corner[0]) // zoom,
        (top - corner[1]) // zoom,
        max(1, width // zoom),
        max(1, height // zoom),
    )


def scaled(box: Box, factor: float, shape: tuple[int, ...]) -> Box:
    """The box in a picture ``factor`` times as large, of ``shape`` (h, w)."""
    left, top = round(box[0] * factor), round(box[1] * factor)
    width = min(round(box[2] * factor), shape[1] - left)
    height = min(round(box[3] * factor), shape[0] - top)
    return left, top, max(1, width), max(1, height)


def _nothing(grey: Grey) -> Seen:
    is_dark = int(np.median(grey)) < 128
    return Seen(
        np.zeros((SIDE, SIDE), np.uint8),
        "light on dark" if is_dark else "dark on light",
        None,
        ("blank",),
    )
