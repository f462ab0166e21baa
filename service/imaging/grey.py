"""Convert a decoded picture to grey, reduced to a workable size, and composite transparency.

Many operations of Pillow and NumPy hold the GIL, so these work on bands of a few rows. No step
copies the whole of a large picture.
"""

from collections.abc import Iterator

import numpy as np
from PIL import Image

_BAND_ROWS = 64
_REDUCIBLE = {"L", "RGB", "RGBX", "CMYK", "YCbCr", "LAB"}  # by Pillow, without a copy
_TO_8_BITS = ((np.arange(1 << 16, dtype=np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
_ONE_COLOUR = 80  # opaque pixels whose grey values span less are ink of one colour


def shrink(picture: Image.Image, side: int) -> Image.Image:
    """Reduces a picture by a whole factor to at most ``side`` pixels a side, and 16 bits to 8."""
    factor = -(-max(picture.size) // side)
    is_16_bit = picture.mode.startswith("I;16")
    if factor == 1 and not is_16_bit:
        return picture
    if picture.mode in _REDUCIBLE:
        return picture.reduce(factor)
    width, height = picture.size
    smaller: Image.Image | None = None
    for box in _bands(picture.size, _BAND_ROWS * factor):
        band = picture.crop(box)
        if band.mode in {"1", "P"}:
            band = band.convert("RGBA" if picture.has_transparency_data else "L")
        if is_16_bit:
            band = Image.fromarray(_TO_8_BITS[np.asarray(band)])
        band = band.reduce(factor)
        smaller = smaller or Image.new(band.mode, (-(-width // factor), -(-height // factor)))
        smaller.paste(band, (0, box[1] // factor))
    assert smaller is not None
    smaller.info = picture.info
    return smaller


def _bands(size: tuple[int, int], rows: int) -> Iterator[tuple[int, int, int, int]]:
    """Returns the boxes of bands of ``rows`` rows."""
    width, height = size
    for top in range(0, height, rows):
        yield 0, top, width, min(height, top + rows)


def to_grey(picture: Image.Image) -> Image.Image:
    """Converts a picture of any mode of 8 bits to the mode L."""
    if picture.mode == "L" and "transparency" not in picture.info:
        return picture
    if picture.has_transparency_data:
        return _composite(picture)
    if picture.mode in {"CMYK", "YCbCr", "LAB"}:
        picture = picture.convert("RGB")  # Pillow cannot convert these to L directly
    return picture.convert("L")


def _composite(picture: Image.Image) -> Image.Image:
    """Composites a picture that is partly transparent onto a background.

    If the opaque pixels are of one colour, they are ink: dark ink gets a white background, light
    ink a black one. Otherwise they show ink on paper, and the background continues the paper.
    """
    grey, alpha = Image.new("L", picture.size), Image.new("L", picture.size)
    histogram = np.zeros(256, np.int64)
    for box in _bands(picture.size, _BAND_ROWS):
        band, opacity = picture.crop(box).convert("LA").split()
        histogram += np.array(band.histogram(opacity.point(lambda a: 255 if a > 127 else 0)))
        grey.paste(band, box)
        alpha.paste(opacity, box)
    total = histogram.sum()
    if total == 0:
        return Image.new("L", picture.size, 0)
    cumulative = np.cumsum(histogram) / total
    low, median, high = (int(np.searchsorted(cumulative, part)) for part in (0.03, 0.5, 0.97))
    background = median if high - low > _ONE_COLOUR else 255 * (median < 128)
    return Image.composite(grey, Image.new("L", picture.size, background), alpha)
