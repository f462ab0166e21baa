"""Finds a small change of strokes that makes the model read another digit.

It starts from training images of that digit that resemble the image. The pieces of strokes by which
one differs from the image are put in, those first that do most for their ink, until the model reads
the digit; then every piece that is not needed is taken out again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.background.large_work import give_way
from service.imaging.components import connected_components
from service.reasons.patches import Image, keep
from service.reasons.steps import Steps
from service.types import SIDE, Images

Masks = NDArray[np.bool_]
_ENOUGH = 0.5001
"""Confidence in the other digit: a batch may differ from the image alone in the last bits."""
_SHIFT = 2
_FAINT = 32
"""Differences up to this much are no strokes."""
_SMALL = 60
"""Nor are pieces whose differences sum to less."""
_PIECE = 7
"""Pieces end at the squares of a grid of this many pixels."""
_KEPT = 4
_ROUNDS = 2


class Otherwise(NamedTuple):
    """The changed image (28, 28), its confidence in the other digit, and the ink that changed."""

    image: Image
    confidence: float
    changed: float
    """The sum of the differences, in pixels of full ink."""


@dataclass(slots=True)
class _Way:
    """A way to the other digit: the pieces (28, 28) of the difference to a training image."""

    image: Image
    difference: NDArray[np.int16]
    pieces: NDArray[np.int64]
    ink: NDArray[np.float64]
    """Of each piece (n,)."""
    chosen: Masks
    """The pieces (n,) that are put in."""
    confidence: float = 0.0

    def images(self, chosen: Masks) -> Images:
        """The images (m, 28, 28) with the pieces ``chosen`` (m, n)."""
        give_way()
        return (keep(self.difference, self.pieces, chosen) + self.image).astype(np.uint8)

    @property
    def changed(self) -> float:
        return float(self.ink[self.chosen].sum())


def search(image: Image, digit: int, examples: Sequence[Image]) -> Steps[Otherwise | None]:
    """Searches for the smallest change to ``digit``; ``examples`` are images of it."""
    ways = [way for example in examples if len((way := _way(image, example)).ink)]
    if not ways:
        return None
    count = [len(way.ink) for way in ways]
    single = [np.vstack([np.zeros(n, bool), np.eye(n, dtype=bool)]) for n in count]
    found = yield from _ask(ways, [np.vstack([each, ~each]) for each in single], digit)
    orders = [np.argsort(-_gain(p) / way.ink) for way, p in zip(ways, found, strict=True)]
    growing = [np.tri(n, dtype=bool)[:, np.argsort(o)] for n, o in zip(count, orders, strict=True)]
    found = yield from _ask(ways, growing, digit)
    for way, masks, p in zip(ways, growing, found, strict=True):
        _choose(way, masks, p)
    ways = sorted((way for way in ways if way.confidence), key=lambda way: way.changed)[:_KEPT]
    for _ in range(_ROUNDS if ways else 0):
        yield from _shrink(ways, digit)
    best = min(ways, key=lambda way: way.changed, default=None)
    if best is None:
        return None
    return Otherwise(best.images(best.chosen[None])[0], best.confidence, best.changed)


def _shrink(ways: list[_Way], digit: int) -> Steps[None]:
    """Takes out the pieces that are not needed, the largest first."""
    without = [way.chosen & ~np.eye(len(way.ink), dtype=bool)[way.chosen] for way in ways]
    found = yield from _ask(ways, without, digit)
    fewer = []
    for way, p in zip(ways, found, strict=True):
        loose = np.flatnonzero(way.chosen)[p >= _ENOUGH]
        loose = loose[np.argsort(-way.ink[loose])]
        masks = np.repeat(way.chosen[None], len(loose) + 1, 0)
        for taken, piece in enumerate(loose.tolist(), 1):
            masks[taken:, piece] = False
        fewer.append(masks)
    found = yield from _ask(ways, fewer, digit)
    for way, masks, p in zip(ways, fewer, found, strict=True):
        _choose(way, masks, p)


def _choose(way: _Way, masks: Masks, confidence: NDArray[np.float64]) -> None:
    """Chooses the pieces with the least ink of those ``masks`` (m, n) that are enough."""
    ink = np.where(confidence >= _ENOUGH, masks @ way.ink, np.inf)
    best = int(ink.argmin())
    if np.isfinite(ink[best]):
        way.chosen, way.confidence = masks[best], float(confidence[best])


def _ask(ways: list[_Way], masks: list[Masks], digit: int) -> Steps[list[NDArray[np.float64]]]:
    """The confidence in the digit of each way with each of its masks (m, n)."""
    images = [way.images(each) for way, each in zip(ways, masks, strict=True)]
    probabilities = yield np.concatenate(images)
    ends = np.cumsum([len(each) for each in images])[:-1]
    return np.split(probabilities[:, digit].astype(np.float64), ends)


def _way(image: Image, example: Image) -> _Way:
    """The way to the example, moved to where it differs least from the image."""
    around = range(-_SHIFT, _SHIFT + 1)
    moved = np.array([np.roll(example, (dy, dx), (0, 1)) for dy in around for dx in around])
    difference = moved.astype(np.int16) - image
    give_way()
    difference = difference[np.abs(difference).sum((1, 2)).argmin()]
    names = np.full((SIDE, SIDE), -1)
    square = np.arange(SIDE) // _PIECE
    for sign in (1, -1):
        component = connected_components(sign * difference > _FAINT).labels().astype(np.int64)
        name = (component * 2 + (sign > 0)) * SIDE * SIDE + square[:, None] * SIDE + square
        names = np.where(component >= 0, name, names)
    known, inverse = np.unique(names, return_inverse=True)
    ink = np.bincount(inverse.ravel(), np.abs(difference).ravel())
    large = (known >= 0) & (ink >= _SMALL)
    pieces = np.where(large, np.cumsum(large) - 1, -1)[inverse].reshape(names.shape)
    return _Way(image, difference, pieces, ink[large] / 255, np.zeros(large.sum(), bool))


def _gain(confidence: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each piece does for the other digit, in logits: put in alone, and taken out alone.

    ``confidence`` is that without any piece, with each alone, with all, and without each.
    """
    bounded = np.clip(confidence, 1e-6, 1 - 1e-6)
    added, taken = np.split(np.log(bounded / (1 - bounded)), 2)
    gain: NDArray[np.float64] = added[1:] - added[0] + taken[0] - taken[1:]
    return gain
