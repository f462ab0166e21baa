"""A decoded picture to grey pixels: no larger than is worked on, on a ground where it has none.

Much of what Pillow and NumPy do to a picture stops all other threads, so that it is done to a band
of few rows at a time; and no copy of a large one is made whole.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_BAND = 64
"""Rows of a band."""
_PLAIN = {"L", "RGB", "RGBX", "CMYK", "YCbCr", "LAB"}
"""Modes that are made smaller as they are; the others are copied for it."""
_TO_8_BITS = ((np.arange(1 << 16, dtype=np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
_ONE_COLOUR = 80
"""Grey values no farther apart than this are ink of one colour."""


def not_larger(picture: Image.Image, side: int) -> Image.Image:
    """Halves or quarters a huge picture before it is worked on, and brings 16 bits to 8."""
    factor = -(-max(picture.size) // side)
    if picture.mode in _PLAIN:
        return picture if factor == 1 else picture.reduce(factor)
    is_wide = picture.mode.startswith("I;16")
    if factor == 1 and not is_wide:
        return picture
    width, height = picture.size
    smaller: Image.Image | None = None
    for box in _bands(picture.size, _BAND * factor):
        band = picture.crop(box)
        if band.mode in {"1", "P"}:
            band = band.convert("RGBA" if picture.has_transparency_data else "L")
        if is_wide:
            band = Image.fromarray(_TO_8_BITS[np.asarray(band)])
        band = band.reduce(factor)
        smaller = smaller or Image.new(band.mode, (-(-width // factor), -(-height // factor)))
        smaller.paste(band, (0, box[1] // factor))
    assert smaller is not None
    smaller.info = picture.info
    return smaller


def _bands(size: tuple[int, int], rows: int) -> Iterator[tuple[int, int, int, int]]:
    """The boxes of a picture's parts of so many rows."""
    width, height = size
    for top in range(0, height, rows):
        yield 0, top, width, min(height, top + rows)


def to_grey(picture: Image.Image) -> Image.Image:
    """The picture in the mode L, whatever mode of 8 bits it has."""
    if picture.mode == "L" and "transparency" not in picture.info:
        return picture
    if picture.has_transparency_data:
        return _on_ground(picture)
    if picture.mode in {"CMYK", "YCbCr", "LAB"}:
        picture = picture.convert("RGB")  # they have no way to grey but this
    return picture.convert("L")


def _on_ground(picture: Image.Image) -> Image.Image:
    """Lays a picture that is partly transparent on a ground.

    Ink of one colour alone is drawn to be seen on something else: dark ink is laid on white, light
    ink on black. A picture of ink and paper is continued by its paper.
    """
    grey, alpha = Image.new("L", picture.size), Image.new("L", picture.size)
    counts = np.zeros(256, np.int64)
    for box in _bands(picture.size, _BAND):
        part, opacity = picture.crop(box).convert("LA").split()
        counts += np.array(part.histogram(opacity.point(lambda a: 255 if a > 127 else 0)))
        grey.paste(part, box)
        alpha.paste(opacity, box)
    total = counts.sum()
    if total == 0:
        return Image.new("L", picture.size, 0)
    share = np.cumsum(counts) / total
    low, middle, high = (int(np.searchsorted(share, part)) for part in (0.03, 0.5, 0.97))
    ground = middle if high - low > _ONE_COLOUR else 255 * (middle < 128)
    return Image.composite(grey, Image.new("L", picture.size, ground), alpha)


def pixels(grey: Image.Image) -> NDArray[np.uint8]:
    """The pixels (h, w) of a picture in the mode L."""
    if grey.height <= _BAND:
        return np.frombuffer(grey.tobytes(), np.uint8).reshape(grey.size[::-1])
    array = np.empty(grey.size[::-1], np.uint8)
    for box in _bands(grey.size, _BAND):
        array[box[1] : box[3]] = np.asarray(grey.crop(box))
    return array
