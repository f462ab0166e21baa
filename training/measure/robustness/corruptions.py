"""Corruptions of the test images, each with a fixed strength.

``training.data.augment``, for training images, draws a random strength for every image.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.random import default_rng
from numpy.typing import NDArray
from PIL import Image

from service.types import SIDE, Images

SEED = 7
SHIFT = 4  # pixels
ALONG_ONE_AXIS = ((0, SHIFT), (0, -SHIFT), (SHIFT, 0), (-SHIFT, 0))
DIAGONALLY = ((SHIFT, SHIFT), (SHIFT, -SHIFT), (-SHIFT, SHIFT), (-SHIFT, -SHIFT))


def shift(images: Images, steps: tuple[tuple[int, int], ...]) -> Images:
    """Moves each image by a random one of ``steps``."""
    return moved(images, np.asarray(steps)[default_rng(SEED).integers(0, len(steps), len(images))])


def moved(images: Images, steps: NDArray[np.integer]) -> Images:
    """Moves each image by its steps (n, 2), rows down and columns right, of at most 4 pixels."""
    padded = np.pad(images, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT)))
    pairs = zip(padded, SHIFT - steps, strict=True)
    return np.stack([picture[y : y + SIDE, x : x + SIDE] for picture, (y, x) in pairs])


def turned(images: Images, degrees: NDArray[np.floating]) -> Images:
    """Rotates each image by its angle (n,), counter-clockwise, bilinearly."""
    bilinear = Image.Resampling.BILINEAR
    pairs = zip(images, degrees, strict=True)
    return np.stack([np.asarray(Image.fromarray(i).rotate(float(a), bilinear)) for i, a in pairs])


def dilate(images: Images) -> Images:
    """Replaces each pixel by the largest of the 3x3 pixels around it."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    thick: Images = sliding_window_view(padded, (3, 3), axis=(1, 2)).max(axis=(3, 4))
    return thick


def erode(images: Images) -> Images:
    """Replaces each pixel by the smallest of itself and those left, above and left above."""
    padded = np.pad(images, ((0, 0), (1, 0), (1, 0)), constant_values=255)
    thin: Images = sliding_window_view(padded, (2, 2), axis=(1, 2)).min(axis=(3, 4))
    return thin


def roughen(images: Images) -> Images:
    """Adds normal noise with a standard deviation of 0.25 of full ink, and clips."""
    return to_bytes(images + default_rng(SEED).normal(0, 0.25 * 255, images.shape))


def speck(images: Images) -> Images:
    """Sets ten percent of the pixels, half of them to blank and half to full ink."""
    draw = default_rng(SEED).random(images.shape)
    return to_bytes(np.where(draw < 0.05, 0, np.where(draw < 0.1, 255, images)))


def blur(images: Images) -> Images:
    """Blurs with a Gaussian of 1 pixel."""
    kernel = np.exp(-(np.arange(-4, 5) ** 2) / 2)
    kernel /= kernel.sum()
    padded = np.pad(images.astype(np.float32), ((0, 0), (4, 4), (4, 4)))
    rows = sum(k * padded[:, i : i + SIDE] for i, k in enumerate(kernel))
    return to_bytes(sum(k * rows[:, :, i : i + SIDE] for i, k in enumerate(kernel)))


CORRUPTIONS: dict[str, Callable[[Images], Images]] = {
    "shift 4 pixels, one axis": partial(shift, steps=ALONG_ONE_AXIS),
    "shift 4 pixels, diagonally": partial(shift, steps=DIAGONALLY),
    "rotation 25 degrees": lambda images: turned(
        images, default_rng(SEED).choice([-25.0, 25.0], len(images))
    ),
    "dilation 3x3": dilate,
    "erosion 2x2": erode,
    "contrast x 0.5": lambda images: to_bytes(images * 0.5),
    "normal noise 0.25": roughen,
    "salt and pepper 10 %": speck,
    "blur 1 pixel": blur,
}


def to_bytes(pixels: NDArray[Any]) -> Images:
    """Rounds, and clips to 0..255."""
    rounded: Images = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    return rounded
