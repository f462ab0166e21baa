"""Convert a decoded picture to grey of a workable size, and grey to a PNG file.

Many operations of Pillow and NumPy hold the GIL, so these work on bands of a few rows. No step
copies the whole of a large picture.
"""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_BAND_ROWS = 64
_TO_8_BITS = ((np.arange(1 << 16, dtype=np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
_ONE_COLOUR = 80  # opaque pixels whose grey values span less are ink of one colour


def to_grey(picture: Image.Image, side: int) -> Image.Image:
    """Converts a picture to the mode L, reduced by a whole factor to at most ``side`` a side.

    A transparent picture is composited. If its opaque pixels are of one colour, they are ink: dark
    ink gets a white background, light ink a black one. Otherwise they show ink on paper, and the
    background continues the paper.
    """
    factor = -(-max(picture.size) // side)
    is_transparent = picture.has_transparency_data
    if picture.mode == "L" and factor == 1 and not is_transparent:
        return picture
    width, height = picture.size
    grey = Image.new("L", (-(-width // factor), -(-height // factor)))
    alpha, of_opaque = grey.copy(), np.zeros(256, np.int64)
    for top in range(0, height, _BAND_ROWS * factor):
        band = picture.crop((0, top, width, min(height, top + _BAND_ROWS * factor)))
        if band.mode.startswith("I;16"):
            band = Image.fromarray(_TO_8_BITS[np.asarray(band)])
        elif band.mode in {"CMYK", "YCbCr", "LAB"}:
            band = band.convert("RGB")  # Pillow cannot convert these to L directly
        band = band.convert("LA" if is_transparent else "L").reduce(factor)
        if is_transparent:
            band, opacity = band.split()
            opaque = opacity.point(lambda a: 255 if a > 127 else 0)
            of_opaque += np.array(band.histogram(opaque))
            alpha.paste(opacity, (0, top // factor))
        grey.paste(band, (0, top // factor))
    if not is_transparent:
        return grey
    if not of_opaque.any():
        return Image.new("L", grey.size, 0)
    cumulative = np.cumsum(of_opaque) / of_opaque.sum()
    low, median, high = (int(np.searchsorted(cumulative, part)) for part in (0.03, 0.5, 0.97))
    background = median if high - low > _ONE_COLOUR else 255 * (median < 128)
    return Image.composite(grey, Image.new("L", grey.size, background), alpha)


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """Encodes the image (h, w) as a grey PNG file."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", compress_level=1)
    return file.getvalue()
