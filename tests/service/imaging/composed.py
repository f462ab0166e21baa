"""Numbers composed from MNIST's test images, for the tests and for the table of accuracies."""

from __future__ import annotations

import numpy as np
from PIL import Image

from service.imaging.load import Picture
from service.types import Images
from tests.service.decode.samples import digits, labels


def composed(chosen: list[int], gaps: list[int] | None, random: np.random.Generator) -> Images:
    """Test images side by side on a black strip, each a pixel or two up or down.

    ``gaps`` are the bare columns before each but the first; without them each digit is moved
    until it touches the one before, overlapping by at most four columns.
    """
    strip = np.zeros((60, 40 + 28 * len(chosen) + 12 * len(chosen)), np.uint8)
    right = 10
    for place, index in enumerate(chosen):
        image = digits()[index]
        columns = np.flatnonzero(image.any(axis=0))
        ink = image[:, columns[0] : columns[-1] + 1]
        top = 16 + int(random.integers(-2, 3))
        left = right + (gaps[place - 1] if gaps and place else 0)
        if gaps is None and place:
            left = _touching(strip, ink, left, top)
        field = strip[top : top + 28, left : left + ink.shape[1]]
        np.maximum(field, ink, out=field)
        right = left + ink.shape[1]
    return strip[:, : right + 10]


def _touching(strip: Images, ink: Images, left: int, top: int) -> int:
    """Where the ink touches what is on the strip already; at most four columns to the left."""
    tall = np.pad(ink, ((1, 1), (0, 0)))
    for start in range(left, left - 5, -1):
        field = strip[top - 1 : top + 29, start : start + ink.shape[1]]
        if (np.minimum(field, tall) > 100).any():
            return start
    return left - 4


def as_picture(strip: Images, scale: int = 4) -> Picture:
    """The strip as dark ink on a light sheet, enlarged."""
    image = Image.fromarray(strip)
    size = image.width * scale, image.height * scale
    grey = 255 - np.asarray(image.resize(size, Image.Resampling.BICUBIC))
    return Picture(grey, size)


def text_of(chosen: list[int]) -> str:
    """The digits as they should be read."""
    return "".join(str(labels()[index]) for index in chosen)
