"""Estimates Shapley values of patches of ink, with their standard errors.

They are a weighted regression's on the digit's probability for images with some patches alone
(Kernel SHAP, Lundberg and Lee 2017): all such coalitions, or those of one patch and a sample of the
others, in pairs with their complements (Covert and Lee 2021).
"""

from functools import lru_cache
from math import comb
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.background.large_work import give_way
from service.reasons.steps import Steps
from service.types import PIXELS, SIDE

Patches = NDArray[np.int64]
"""Shape (28, 28): the patch of each pixel with ink, from 0 without gaps; -1 for the others."""
Image = NDArray[np.uint8]  # shape (28, 28)
Values = NDArray[np.float64]

_CELL, _ROUNDS, _PIECE = 4, 5, 64


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
    return np.asarray(padded.take(patches, axis=1) * image)  # C-contiguous, unlike [:, patches]


def footprints(image: Image, patches: Patches) -> NDArray[np.float64]:
    """Returns how each patch's value spreads over the pixels, (n, 28, 28), by root of ink."""
    count = int(patches.max()) + 1
    spread = keep(np.sqrt(image.astype(np.float64)), patches, np.eye(count, dtype=bool))
    return np.asarray(spread / spread.sum((1, 2), keepdims=True))


def _numbered(image: Image, names: NDArray[np.int64]) -> Patches:
    """Returns the patches whose ``names`` the pixels with ink have, in their order."""
    patches = np.full(image.shape, -1)
    patches[image > 0] = np.unique(names, return_inverse=True)[1]
    return patches


class Attributions(NamedTuple):
    """What each pixel (28, 28) adds to a probability over ``base``, with its standard error."""

    values: NDArray[np.float32]
    errors: NDArray[np.float32]
    base: float
    method: str


def attribute(
    image: Image, digit: int, confidence: float, patches: Patches, rows: int
) -> Steps[Attributions]:
    """Attributes the ``confidence`` of ``digit`` to the patches, with about ``rows`` questions."""
    count = int(patches.max()) + 1
    if not count:
        nothing = np.zeros((SIDE, SIDE), np.float32)
        return Attributions(nothing, nothing, confidence, "a blank image has no patches")
    half, weights = plan(count, rows)
    coalitions = np.vstack([np.zeros((1, count), bool), half, ~half])
    images = np.empty((len(coalitions), SIDE, SIDE), np.uint8)
    for first in range(0, len(images), _PIECE):
        images[first : first + _PIECE] = keep(image, patches, coalitions[first : first + _PIECE])
        give_way()
    probabilities = yield images
    asked = probabilities[:, digit].astype(np.float64)
    inside, outside = np.split(asked[1:], 2)
    base = float(asked[0])
    values, errors = solve(half, weights, inside - outside, confidence - base)
    spread = footprints(image, patches).reshape(count, PIXELS)
    asked_for = "all" if 2**count - 2 <= rows else f"{2 * len(half)}"
    method = f"Shapley values of {count} patches, from {asked_for} coalitions"
    pixels, of_pixels = (np.vstack([values, errors]) @ spread).reshape(2, SIDE, SIDE)
    return Attributions(pixels.astype(np.float32), of_pixels.astype(np.float32), base, method)


@lru_cache(maxsize=128)
def plan(count: int, rows: int) -> tuple[NDArray[np.bool_], Values]:
    """The coalitions to ask about: one of each pair (m, n), and the pairs' weights (m,).

    All, or those of one patch and a sample, the same every time.
    """
    if 2**count - 2 <= rows:
        half = (np.arange(1, 2 ** (count - 1))[:, None] >> np.arange(count) & 1).astype(bool)
        sizes = half.sum(1).tolist()
        weights = [(count - 1) / (comb(count, s) * s * (count - s)) for s in sizes]
        return half, np.array(weights, np.float64)
    further = rows // 2 - count
    several = np.arange(2, count // 2 + 1)
    mass = (count - 1) / (several * (count - several)) * np.where(2 * several == count, 0.5, 1.0)
    at = (np.arange(further) + 0.5) / further
    drawn = several[np.searchsorted(np.cumsum(mass / mass.sum())[:-1], at)]
    places = np.tile(np.arange(count), (further, 1))
    sample = np.random.default_rng(count).permuted(places, axis=1) < drawn[:, None]
    weights = [1 / count] * count + [mass.sum() / further] * further
    return np.vstack([np.eye(count, dtype=bool), sample]), np.array(weights, np.float64)


def solve(
    half: NDArray[np.bool_], weights: Values, gains: Values, total: float
) -> tuple[Values, Values]:
    """Returns the Shapley values (n,), which sum to ``total``, and their standard errors.

    ``gains`` (m,) are the coalitions' values minus their complements'. The errors are White's
    (1980), or 0 if all pairs were asked about.
    """
    count = half.shape[1]
    last = half[:, -1:]
    x = half[:, :-1].astype(np.float64) - last
    y = (gains - total * (2.0 * last[:, 0] - 1)) / 2
    give_way()
    inverse = np.linalg.inv(x.T @ (x * weights[:, None]))
    phi = inverse @ (x.T @ (weights * y))
    values = np.append(phi, total - phi.sum())
    if len(half) == 2 ** (count - 1) - 1:
        return values, np.zeros(count)
    scores = inverse @ (x * (weights * (y - x @ phi))[:, None]).T
    scores = np.vstack([scores, -scores.sum(0)])[:, count:]  # those of one patch are no sample
    return values, np.sqrt((scores**2).sum(1) * (len(half) / max(1, len(half) - count)))
