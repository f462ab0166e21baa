"""Estimates Shapley values of patches of ink, with their standard errors.

The value of a coalition is the digit's probability for an image with these patches alone. Shapley
values are the solution of a weighted regression on coalitions (Lundberg and Lee 2017, Kernel SHAP).
Coalitions come in pairs with their complements (Covert and Lee 2021): all of them if they are few,
else those of one patch and a sample of the others.
"""

from __future__ import annotations

from functools import lru_cache
from math import comb
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.background.large_work import give_way
from service.reasons.patches import Image, Patches, footprints, keep
from service.reasons.steps import Steps
from service.types import PIXELS, SIDE

Values = NDArray[np.float64]
_PIECE = 64
_TRIES = 20
"""How often a coalition that was sampled already is sampled anew."""


class Attributions(NamedTuple):
    """What each pixel (28, 28) adds to a digit's probability, with its standard error.

    They sum to the image's probability minus ``base``, the probability of a blank image.
    """

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
    images = [np.zeros((1, SIDE, SIDE), np.uint8)]
    for coalitions in (half, ~half):
        for first in range(0, len(half), _PIECE):
            images.append(keep(image, patches, coalitions[first : first + _PIECE]))
            give_way()
    probabilities = yield np.concatenate(images)
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

    If they are not all, the first n are those of one patch, the others a sample. It is the same
    every time, so that the same image has the same attributions.
    """
    if 2**count - 2 <= rows:
        numbers = np.arange(1, 2 ** (count - 1))
        half = (numbers[:, None] >> np.arange(count) & 1).astype(bool)
        sizes = half.sum(1).tolist()
        weights = [(count - 1) / (comb(count, s) * s * (count - s)) for s in sizes]
        return half, np.array(weights, np.float64)
    random = np.random.default_rng(count)
    further = rows // 2 - count
    sizes = np.arange(2, count // 2 + 1)
    mass = (count - 1) / (sizes * (count - sizes)) * np.where(2 * sizes == count, 0.5, 1.0)
    ends = np.cumsum(mass / mass.sum())
    chosen = [*np.eye(count, dtype=bool)]
    seen: set[bytes] = set()
    for at in (np.arange(further) + 0.5) / further:
        size = sizes[min(np.searchsorted(ends, at), len(sizes) - 1)]
        coalition = np.zeros(count, bool)
        for _ in range(_TRIES):
            coalition = random.permutation(count) < size
            if coalition.tobytes() not in seen:
                break
        seen.add(coalition.tobytes())
        chosen.append(coalition)
    weights = [1 / count] * count + [mass.sum() / further] * further
    return np.array(chosen), np.array(weights, np.float64)


def solve(
    half: NDArray[np.bool_], weights: Values, gains: Values, total: float
) -> tuple[Values, Values]:
    """Returns the Shapley values (n,), which sum to ``total``, and their standard errors.

    ``gains`` (m,) are the values of the coalitions minus those of their complements. The errors are
    those of the regression's residuals (White 1980); they are 0 if all pairs were asked about.
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
    freedom = len(half) / max(1, len(half) - count)
    return values, np.sqrt((scores**2).sum(1) * freedom)
