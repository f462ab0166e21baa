"""Normalise a digit's ink as the makers of MNIST did (LeCun et al. 1998, section III.A).

The strokes are resized into 20x20 with their aspect ratio kept, and their centre of mass is moved
to the middle of 28x28. Strokes far thinner or thicker than MNIST's first become like those.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from service.imaging.components import Mask, bounding_box
from service.imaging.threshold import Grey, dilate
from service.types import SIDE

Coverage = NDArray[np.float32]
"""The ink at each pixel (h, w): 0 for background, 1 for a full stroke."""

_FIELD = 20
_FAINT = 0.25  # the bounding box leaves out fainter ink
_WIDEST = 1.5  # wider strokes, in heights, are several digits, whose height is that of one digit
_FINE = 4  # strokes are processed at this resolution, in pixels for each of MNIST's
_SHARPEN_PERCENT = 100  # opens the small loops and bays of a bold or blurred digit
_THINNEST, _THIN, _THICK, _THICKEST = 1.8, 2.2, 3.8, 4.4
"""Stroke widths in pixels of 28x28. 90 % of MNIST's digits are between 1.7 and 4.0. A stroke below
the thinnest becomes thin, one above the thickest thick."""


def normalise(amount: Grey, mask: Mask, threshold: int) -> Grey:
    """Returns the image (28, 28), uint8, of the ink ``amount`` (h, w) in a ``mask`` with pixels."""
    return to_image(extract_strokes(amount, mask, threshold))


def extract_strokes(amount: Grey, mask: Mask, threshold: int) -> Coverage:
    """Returns the strokes (h, w) in ``mask``, cropped and enlarged; (0, 0) if none remains."""
    strokes = limit_stroke_width(*ink_coverage(amount, mask, threshold))
    if not (strokes >= 0.5).any():
        return np.zeros((0, 0), np.float32)
    return strokes[bounding_box(strokes > _FAINT).slices]


def to_image(strokes: Coverage) -> Grey:
    """Returns the image (28, 28), uint8, of one digit's strokes (h, w), empty for no stroke."""
    image = np.zeros((SIDE, SIDE), np.uint8)
    if not (strokes >= 0.5).any():
        return image
    box = bounding_box(strokes > _FAINT)
    scale = _FIELD / max(box.width, box.height)
    size = max(1, round(box.width * scale)), max(1, round(box.height * scale))
    cropped = Image.fromarray(np.ascontiguousarray(strokes[box.slices]))
    small = np.asarray(cropped.resize(size, Image.Resampling.BOX))  # by area
    field = np.asarray(np.rint(small * 255), np.uint8)
    total, place = max(1, int(field.sum(dtype=np.int64))), []
    for axis, length in enumerate(field.shape):  # the centre of mass in the middle, or near it
        mean = float(field.sum(axis=1 - axis, dtype=np.int64) @ np.arange(length)) / total
        first = min(max(0, round((SIDE - 1) / 2 - mean)), SIDE - length)
        place.append(slice(first, first + length))
    image[tuple(place)] = field
    return image


def ink_coverage(amount: Grey, mask: Mask, threshold: int) -> tuple[Coverage, float]:
    """Returns the coverage around ``mask`` and the size of one of MNIST's pixels in it.

    It is 0.5 at half of the ink nearby, because a pen's pressure varies. A small digit is enlarged
    to 80 pixels before sharpening; a neighbour's ink is left out.
    """
    box = bounding_box(mask)
    around = box.grown(2).slices
    mask, amount = mask[around], amount[around]
    padded = np.pad(amount * dilate(mask.view(np.uint8), 5), 1)
    reach = 2 * round(stroke_width(mask)) + 1
    full = np.maximum(dilate(padded, reach), min(2 * threshold, 254))
    coverage = Image.fromarray(np.minimum(padded * (255 / full), 255).astype(np.uint8))
    longest = max(box.height, min(box.width, _WIDEST * box.height), 0.3 * box.width)
    scale = max(1.0, _FIELD * _FINE / longest)
    if scale > 1:
        size = round(coverage.width * scale), round(coverage.height * scale)
        coverage = coverage.resize(size, Image.Resampling.BICUBIC)
    pixel = float(longest * scale / _FIELD)
    sharp = coverage.filter(ImageFilter.UnsharpMask(pixel, _SHARPEN_PERCENT, 0))
    return np.asarray(sharp, np.float32) / np.float32(255), pixel


def stroke_width(strokes: Mask) -> float:
    """Returns the mean stroke width in pixels, 2 * area / perimeter; 0 for no ink."""
    # The perimeter comes from its crossings with the grid (formula of Cauchy and Crofton).
    padded = np.pad(strokes, 1)
    crossings = np.count_nonzero(padded[1:] != padded[:-1])
    crossings += np.count_nonzero(padded[:, 1:] != padded[:, :-1])
    if crossings == 0:
        return 0.0
    return 2 * np.count_nonzero(strokes) / (np.pi / 4 * crossings)


def limit_stroke_width(coverage: Coverage, pixel: float) -> Coverage:
    """Brings the stroke width into MNIST's range; ``pixel`` is the size of one of its pixels."""
    strokes = coverage >= 0.5
    width = stroke_width(strokes) / pixel
    if width < _THINNEST:
        return _grow(strokes, round((_THIN - width) * pixel / 2)).astype(np.float32)
    if width > _THICKEST:
        return (~_grow(~strokes, round((width - _THICK) * pixel / 2))).astype(np.float32)
    return coverage


def _grow(mask: Mask, steps: int) -> Mask:
    """Dilates by an octagon of the radius ``steps``, and pads the mask by it."""
    grown = np.pad(mask, steps, constant_values=bool(mask[0, 0]))
    for step in range(steps):
        wide = np.pad(grown, 1, mode="edge")
        cross = wide[1:-1, 1:-1] | wide[:-2, 1:-1] | wide[2:, 1:-1]
        grown = cross | wide[1:-1, :-2] | wide[1:-1, 2:]
        if step % 2:  # crosses and squares in turn make an octagon
            grown |= wide[:-2, :-2] | wide[:-2, 2:] | wide[2:, :-2] | wide[2:, 2:]
    return grown
