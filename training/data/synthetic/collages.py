"""Non-digits made of several digits side by side."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.types import SIDE, Images
from training.data.synthetic.fonts import normal_form

NEAR, FAR = 5, 9  # pixels from the middle


def two(digits: Images, count: int, random: np.random.Generator) -> Images:
    """Draws two of ``digits`` (n, 28, 28) side by side: cropped, or in normal form, in turn."""
    pictures = []
    for index in range(count):
        pair = digits[random.integers(0, len(digits), 2)]
        apart = random.integers(NEAR, FAR + 1, 2)
        wide = side_by_side(pair, random.integers(-2, 3, 2), int(apart.sum()))
        if index % 2:
            pictures.append(normal_form(Image.fromarray(wide)))
        else:
            left = SIDE // 2 + apart[0]  # the margin and the first digit's distance
            pictures.append(wide[SIDE : 2 * SIDE, left : left + SIDE])
    return np.stack(pictures)


def side_by_side(digits: Images, down: NDArray[np.integer], apart: int) -> Images:
    """Draws digits (k, 28, 28), each ``apart`` pixels right of the last and ``down`` (k,) lower.

    The canvas is three digits high and has margins of half a digit left and right.
    """
    canvas = np.zeros((3 * SIDE, 2 * SIDE + apart * (len(digits) - 1)), np.uint8)
    for index, (digit, lower) in enumerate(zip(digits, down, strict=True)):
        top, left = SIDE + lower, SIDE // 2 + index * apart
        field = canvas[top : top + SIDE, left : left + SIDE]
        np.maximum(field, digit, out=field)
    return canvas
