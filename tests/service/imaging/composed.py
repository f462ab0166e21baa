"""Numbers composed from MNIST's test images, for the tests and for the table of accuracies."""

from __future__ import annotations

import numpy as np
from PIL import Image

from service.imaging.components import bounding_box
from service.imaging.load import Picture
from service.types import Images
from tests.service.decode.samples import digits, labels


def composed(chosen: list[int], gaps: list[int] | None, random: np.random.Generator) -> Images:
    """Test images side by side on a black strip, each a pixel or two up or down.

    ``gaps`` are the bare columns before each but the first; without them each digit is moved
    until it touches the one before, overlapping by at most four columns.
    """
    strip = np.zeros((60, 40 + 40 * len(chosen)), np.uint8)
    right = 10
    for place, index in enumerate(chosen):
        box = bounding_box(digits()[index] > 0)
        ink = digits()[index][:, box.left : box.right]
        top = 16 + int(random.integers(-2, 3))
        left = right + (gaps[place - 1] if gaps and place else 0)
        if gaps is None and place:
            left = _touching(strip, ink, left, top)
        field = strip[top : top + 28, left : left + ink.shape[1]]
        np.maximum(field, ink, out=field)
        right = left + ink.shape[1]
    return strip[:, : right + 10]


def _touching(strip: Images, ink: Images, left: int, top: int) -> int:
    """Returns where the ink touches the strip's; at most four columns to the left."""
    for start in range(left, left - 4, -1):
        if (np.minimum(strip[top : top + 28, start : start + ink.shape[1]], ink) > 100).any():
            return start
    return left - 4


def as_picture(strip: Images, scale: int = 4) -> Picture:
    """The strip as dark ink on a light sheet, enlarged."""
    size = strip.shape[1] * scale, strip.shape[0] * scale
    grey = 255 - np.asarray(Image.fromarray(strip).resize(size, Image.Resampling.BICUBIC))
    return Picture(grey, size)


def text_of(chosen: list[int]) -> str:
    """The digits as they should be read."""
    return "".join(str(labels()[index]) for index in chosen)
