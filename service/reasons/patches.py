"""Divides the ink of an image into patches, which stay or go as a whole."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.types import SIDE

Patches = NDArray[np.int64]
"""Shape (28, 28): the patch of each pixel with ink, from 0 without gaps; -1 for the others."""
Image = NDArray[np.uint8]
"""Shape (28, 28)."""

_CELL = 4
_ROUNDS = 5


def cells(image: Image) -> Patches:
    """Returns the squares of a grid of 7 x 7 that have ink."""
    row = np.arange(SIDE) // _CELL
    return _numbered(image, (row[:, None] * SIDE + row)[image > 0])


def clusters(image: Image, most: int) -> Patches:
    """Returns at most ``most`` patches that follow the ink: k-means of its pixels (Lloyd 1982)."""
    pixels = np.argwhere(image).astype(np.float64)
    if len(pixels) <= most:
        return _numbered(image, np.arange(len(pixels)))
    ink = image[image > 0].astype(np.float64)
    chosen, distance = [0], np.full(len(pixels), np.inf)
    for _ in range(most - 1):  # the first centres are far apart, so that none is left without ink
        distance = np.minimum(distance, ((pixels - pixels[chosen[-1]]) ** 2).sum(1))
        chosen.append(int(distance.argmax()))
    centres = pixels[chosen]
    nearest = np.zeros(len(pixels), np.int64)
    for _ in range(_ROUNDS):
        nearest = (centres @ (-2 * pixels.T) + (centres**2).sum(1)[:, None]).argmin(0)
        mass = np.bincount(nearest, ink, most)
        moved = [np.bincount(nearest, ink * axis, most) for axis in pixels.T]
        centres = np.where(mass > 0, moved / np.maximum(mass, 1), centres.T).T
    return _numbered(image, nearest)


def keep(image: NDArray[Any], patches: Patches, coalitions: NDArray[np.bool_]) -> NDArray[Any]:
    """Returns the image (28, 28) with the patches of each coalition (m, n) alone: (m, 28, 28)."""
    padded = np.zeros((len(coalitions), coalitions.shape[1] + 1), image.dtype)
    padded[:, :-1] = coalitions
    kept: NDArray[Any] = padded.take(patches, axis=1) * image  # C-contiguous, unlike [:, patches]
    return kept


def footprints(image: Image, patches: Patches) -> NDArray[np.float64]:
    """Returns how each patch's value is spread over the pixels, (n, 28, 28); each sums to 1.

    It follows the square root of the ink: grey edges count, but less than the middle of a stroke.
    """
    count = int(patches.max()) + 1
    spread = keep(np.sqrt(image.astype(np.float64)), patches, np.eye(count, dtype=bool))
    shares: NDArray[np.float64] = spread / spread.sum((1, 2), keepdims=True)
    return shares


def _numbered(image: Image, names: NDArray[np.int64]) -> Patches:
    """Returns the patches whose ``names`` the pixels with ink have, in their order."""
    patches = np.full(image.shape, -1)
    patches[image > 0] = np.unique(names, return_inverse=True)[1]
    return patches
