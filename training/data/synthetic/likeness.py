"""Leaves out drawings that look like a digit: as no digits they would teach a wrong answer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from service.types import SIDE, Images

ALIKE = 0.915
"""Cosine similarity to the nearest digit. Nine of ten unseen digits of MNIST are nearer to one of
20,000 others; by eye, a drawing that is as near can be taken for a digit."""
MOST_DIGITS = 20_000
BLOCK = 1000  # drawings that are compared at once


def unlike(digits: Images, draw: Callable[[int], Images], count: int) -> Images:
    """Returns ``count`` drawings (count, 28, 28) that are unlike all ``digits`` (n, 28, 28).

    ``draw`` returns as many drawings as it is asked for, and is called again for those left out.
    """
    known = _blurred(digits[:MOST_DIGITS]).T
    kept: list[Images] = [np.empty((0, SIDE, SIDE), np.uint8)]
    while (missing := count - sum(map(len, kept))) > 0:
        drawn = draw(missing)
        blocks = [_blurred(drawn[at : at + BLOCK]) @ known for at in range(0, missing, BLOCK)]
        kept.append(drawn[np.concatenate([block.max(axis=1) for block in blocks]) < ALIKE])
    return np.concatenate(kept)


def _blurred(images: Images) -> NDArray[np.float32]:
    """Returns each image blurred, at half its size, as a vector of length 1, (n, 196)."""
    field = np.pad(images, ((0, 0), (1, 1), (1, 1))).astype(np.float32)
    for axis in (1, 2):
        weights = ((0, 1), (1, 2), (2, 1))
        field = sum(w * field.take(range(at, at + SIDE), axis) for at, w in weights)
    half = field.reshape(-1, SIDE // 2, 2, SIDE // 2, 2).mean(axis=(2, 4)).reshape(len(images), -1)
    vectors: NDArray[np.float32] = half / np.maximum(np.linalg.norm(half, axis=1), 1e-6)[:, None]
    return vectors
