"""Digits side by side: each is a digit, together they are none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.types import SIDE, Images
from training.data.synthetic.fonts import normal_form

NEAR, FAR = 5, 9  # pixels from the middle


def two(digits: Images, count: int, random: np.random.Generator) -> Images:
    """Two of ``digits`` (n, 28, 28) side by side, (count, 28, 28).

    Half of them as large as they are, what leaves the field being lost; half brought to MNIST's
    form, as a number is that nobody has cut into digits.
    """
    pictures = []
    for index in range(count):
        pair = digits[random.integers(0, len(digits), 2)]
        apart = random.integers(NEAR, FAR + 1, 2)
        wide = side_by_side(pair, random.integers(-2, 3, 2), int(apart.sum()))
        if index % 2:
            pictures.append(normal_form(Image.fromarray(wide)))
        else:
            left = SIDE // 2 + apart[0]  # of the canvas's margin and the first digit's way
            pictures.append(wide[SIDE : 2 * SIDE, left : left + SIDE])
    return np.stack(pictures)


def side_by_side(digits: Images, down: NDArray[np.integer], apart: int) -> Images:
    """Digits (k, 28, 28), each ``apart`` pixels right of the one before, ``down`` (k,) lower.

    On a canvas of three digits' height, half a digit of margin left and right.
    """
    canvas = np.zeros((3 * SIDE, 2 * SIDE + apart * (len(digits) - 1)), np.uint8)
    for index, (digit, lower) in enumerate(zip(digits, down, strict=True)):
        top, left = SIDE + lower, SIDE // 2 + index * apart
        field = canvas[top : top + SIDE, left : left + SIDE]
        np.maximum(field, digit, out=field)
    return canvas
