"""Brings a digit's ink into the form of MNIST's makers (LeCun et al. 1998, section III.A).

Strokes fitted into 20x20 with their aspect kept, grey by averaging the area, and the centre of mass
in the middle of 28x28. Theirs were black and white before; here the grey of a blurred or coarse
picture is kept in part, since it tells where a thin stroke is. MNIST's strokes came from one kind
of pen, so a stroke far thinner or thicker than any of them is first brought to their range.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from service.imaging.components import Mask
from service.imaging.threshold import Grey, sliding
from service.types import SIDE

Share = NDArray[np.float32]
"""Shape (h, w): 0 for bare ground, 1 for a full stroke."""

FIELD = 20
_FAINT = 0.25
"""Ink below this share of a stroke is left out of the box that is fitted."""
_WIDEST = 1.5
"""What is wider than so many heights is several digits: their height tells how large one is."""
FINE = 4
"""Strokes are made sharper, thinner or thicker on a grid at least this many times finer."""
_SHARPER = 100
"""How much of the difference from the ink around, within a pixel of MNIST's, is added; in per cent.

It opens the small loops and bays of a bold or blurred digit.
"""
THINNEST, THIN = 1.8, 2.2
THICKEST, THICK = 4.4, 3.8
"""Stroke widths in pixels of 28x28: nine in ten of MNIST's digits are between 1.7 and 4.0."""


def normalise(amount: Grey, mask: Mask, threshold: int) -> Grey:
    """The image (28, 28) of the ``amount`` of ink (h, w) in and around ``mask``.

    Where the mask has no pixel the image is empty.
    """
    return as_image(strokes_of(amount, mask, threshold))


def strokes_of(amount: Grey, mask: Mask, threshold: int) -> Share:
    """The strokes in ``mask``, of one digit or several in a row, cut out and large enough to cut.

    Empty, (0, 0), where there is none.
    """
    ink, pixel = share_of_ink(amount, mask, threshold)
    strokes = with_common_stroke(ink, pixel)
    inked = strokes > _FAINT
    if not (strokes >= 0.5).any():
        return np.zeros((0, 0), np.float32)
    rows, columns = np.flatnonzero(inked.any(axis=1)), np.flatnonzero(inked.any(axis=0))
    return strokes[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def as_image(strokes: Share) -> Grey:
    """The image (28, 28) of one digit's strokes (h, w); empty where there is none."""
    if not (strokes >= 0.5).any():
        return np.zeros((SIDE, SIDE), np.uint8)
    return centred(fitted(strokes, FIELD))


def share_of_ink(amount: Grey, mask: Mask, threshold: int) -> tuple[Share, float]:
    """How much of a full stroke is where, 0 to 1, and how many pixels of it make one of MNIST.

    It is 0.5 where there is half of the ink that the stroke has around there, since a pen presses
    here more, there less. A small digit is enlarged, to 80 pixels, before the edges are made
    sharper. What lies beside the mask is left out, so that a neighbour does not come along.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, bottom = max(0, rows[0] - 2), min(len(mask), rows[-1] + 3)
    left, right = max(0, columns[0] - 2), min(mask.shape[1], columns[-1] + 3)
    mask, amount = mask[top:bottom, left:right], amount[top:bottom, left:right]
    around = sliding(mask.view(np.uint8), 5, np.maximum)
    padded = np.pad(amount * around, 1)
    reach = 2 * round(stroke_width(mask)) + 1
    full = np.maximum(sliding(padded, reach, np.maximum), min(2 * threshold, 254))
    share = Image.fromarray(np.minimum(padded * (255 / full), 255).astype(np.uint8))
    high, wide = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    longest = max(high, min(wide, _WIDEST * high), 0.3 * wide)
    scale = max(1.0, FIELD * FINE / longest)
    if scale > 1:
        size = round(share.width * scale), round(share.height * scale)
        share = share.resize(size, Image.Resampling.BICUBIC)
    pixel = float(longest * scale / FIELD)
    sharp = share.filter(ImageFilter.UnsharpMask(pixel, _SHARPER, 0))
    return np.asarray(sharp, np.float32) / np.float32(255), pixel


def stroke_width(strokes: Mask) -> float:
    """The mean width of the strokes, in pixels: twice their area over their outline's length.

    The outline's length comes from its crossings with the grid (Cauchy and Crofton's formula for
    two directions). 0 where there is no ink.
    """
    padded = np.pad(strokes, 1)
    crossings = np.count_nonzero(padded[1:] != padded[:-1])
    crossings += np.count_nonzero(padded[:, 1:] != padded[:, :-1])
    if crossings == 0:
        return 0.0
    return 2 * np.count_nonzero(strokes) / (np.pi / 4 * crossings)


def with_common_stroke(ink: Share, pixel: float) -> Share:
    """Thickens strokes below MNIST's range and thins those above it, to its edge.

    ``pixel`` is how many pixels of ``ink`` make one of MNIST's.
    """
    strokes = ink >= 0.5
    width = stroke_width(strokes) / pixel
    if width < THINNEST:
        return _grown(strokes, round((THIN - width) * pixel / 2)).astype(np.float32)
    if width > THICKEST:
        return (~_grown(~strokes, round((width - THICK) * pixel / 2))).astype(np.float32)
    return ink


def _grown(mask: Mask, steps: int) -> Mask:
    """Grows by so many pixels on each side, round rather than square."""
    grown = np.pad(mask, steps, constant_values=bool(mask[0, 0]))
    for step in range(steps):
        wide = np.pad(grown, 1, mode="edge")
        cross = wide[1:-1, 1:-1] | wide[:-2, 1:-1] | wide[2:, 1:-1]
        grown = cross | wide[1:-1, :-2] | wide[1:-1, 2:]
        if step % 2:  # a cross and a square in turn make an octagon
            grown |= wide[:-2, :-2] | wide[:-2, 2:] | wide[2:, :-2] | wide[2:, 2:]
    return grown


def fitted(ink: Share, field: int) -> Grey:
    """The ink's box with its longer side ``field`` pixels, grey by area."""
    inked = ink > _FAINT
    rows, columns = np.flatnonzero(inked.any(axis=1)), np.flatnonzero(inked.any(axis=0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    scale = field / max(bottom - top, right - left)
    size = max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))
    box = Image.fromarray(np.ascontiguousarray(ink[top:bottom, left:right]))
    small = np.asarray(box.resize(size, Image.Resampling.BOX))
    grey: Grey = np.rint(small * 255).astype(np.uint8)
    return grey


def centred(field: NDArray[np.uint8]) -> Grey:
    """The field in 28x28, its centre of mass in the middle, as far as it stays inside."""
    image = np.zeros((SIDE, SIDE), np.uint8)
    height, width = field.shape
    total = max(1, int(field.sum(dtype=np.int64)))
    down = float(field.sum(axis=1, dtype=np.int64) @ np.arange(height)) / total
    across = float(field.sum(axis=0, dtype=np.int64) @ np.arange(width)) / total
    top = min(max(0, round((SIDE - 1) / 2 - down)), SIDE - height)
    left = min(max(0, round((SIDE - 1) / 2 - across)), SIDE - width)
    image[top : top + height, left : left + width] = field
    return image
