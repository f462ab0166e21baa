"""Finds a small change of strokes that makes the model read another digit.

The pieces of strokes by which a training image of that digit differs are put in, those first that
do most for their ink, until the model reads the digit; then what is not needed is taken out again.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.background.large_work import give_way
from service.imaging.components import connected_components
from service.reasons.shapley import Image, Patches, keep
from service.reasons.steps import Steps, together
from service.types import SIDE

_ENOUGH = 0.5001
"""Confidence in the other digit: a batch may differ from the image alone in the last bits."""
_SHIFT = 2
_FAINT = 32  # differences up to this much are no strokes
_SMALL = 60  # nor are pieces whose differences sum to less
_PIECE = 7  # pieces end at the squares of a grid of this many pixels
_ROUNDS = 2


class Otherwise(NamedTuple):
    """The changed image (28, 28), its confidence in the other digit, and the ink that changed."""

    image: Image
    confidence: float
    changed: float  # the sum of the differences, in pixels of full ink


def search(image: Image, digit: int, examples: Sequence[Image]) -> Steps[Otherwise | None]:
    """Searches for the smallest change to ``digit``; ``examples`` are images of it."""
    found = yield from together([_towards(image, digit, example) for example in examples])
    return min(filter(None, found), key=lambda each: each.changed, default=None)


def _towards(image: Image, digit: int, example: Image) -> Steps[Otherwise | None]:
    difference, pieces = _pieces(image, example)
    count = int(pieces.max()) + 1
    if not count:
        return None
    every = np.eye(count, dtype=bool)
    ink = np.array([np.abs(difference[pieces == piece]).sum() for piece in range(count)]) / 255
    best: Otherwise | None = None

    def ask(masks: NDArray[np.bool_]) -> Steps[NDArray[np.float64]]:
        """The confidence in the digit with the pieces of each mask (m, n)."""
        give_way()
        probabilities = yield (keep(difference, pieces, masks) + image).astype(np.uint8)
        return probabilities[:, digit].astype(np.float64)

    alone = np.vstack([np.zeros(count, bool), every])
    bounded = np.clip((yield from ask(np.vstack([alone, ~alone]))), 1e-6, 1 - 1e-6)
    added, taken = np.split(np.log(bounded / (1 - bounded)), 2)  # put in or taken out alone
    gain = added[1:] - added[0] + taken[0] - taken[1:]  # in logits of the other digit
    masks = np.tri(count, dtype=bool)[:, np.argsort(np.argsort(-gain / ink))]
    for _ in range(_ROUNDS + 1):
        confidence = yield from ask(masks)
        chosen = int(np.where(confidence >= _ENOUGH, masks @ ink, np.inf).argmin())
        if confidence[chosen] < _ENOUGH:
            break
        mask = masks[chosen]
        changed = keep(difference, pieces, masks[chosen : chosen + 1])[0] + image
        best = Otherwise(changed.astype(np.uint8), float(confidence[chosen]), float(mask @ ink))
        put_in = np.flatnonzero(mask)
        loose = put_in[(yield from ask(mask & ~every[put_in])) >= _ENOUGH]
        loose = loose[np.argsort(-ink[loose])]
        masks = mask & ~(np.tri(len(loose) + 1, len(loose), -1, dtype=bool) @ every[loose])
    return best


def _pieces(image: Image, example: Image) -> tuple[NDArray[Any], Patches]:
    """The difference (28, 28) to the example, moved to where it is least, and its pieces."""
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
    large = (known >= 0) & (np.bincount(inverse.ravel(), np.abs(difference).ravel()) >= _SMALL)
    return difference, np.where(large, np.cumsum(large) - 1, -1)[inverse].reshape(names.shape)
