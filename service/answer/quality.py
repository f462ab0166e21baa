"""Finds the reasons to doubt an answer: the model's probability, and the ink of the image."""

import re
from collections.abc import Sequence
from struct import iter_unpack
from typing import Any

import numpy as np

from service.inference.batch import BatchResult
from service.types import SIDE, Images, Probabilities

LEAST_CONFIDENCE = 0.78
"""The threshold for a version whose card states none: of 6,000 of MNIST's training images, fewer
than one in 100 are below it."""
SURE_ENOUGH = 0.5  # the share of the threshold that a digit of a number must reach
_INKED = bytes(b" x"[value > 127] for value in range(256))
"""Translates pixels: "x" where a pixel is above half, else a space."""
_FAINT = 64  # an image whose largest value is below this has low contrast; MNIST's all reach 254
_SHORT = 10
"""MNIST's digits are 20 pixels long; a shorter one than this was not brought to MNIST's form."""
_USUAL, _NARROW = (
    frozenset(
        b" " * first + b"x" * width + b" " * (SIDE - first - width)
        for width in widths
        for first in range(SIDE - width + 1)
    )
    for widths in (range(_SHORT, SIDE), range(1, _SHORT))
)
"""The translated columns of images with one stretch of ink, of the usual width or narrower."""
_STRETCH = re.compile(rb"x{5,}")
"""Each of two digits in one image is at least this wide, and blank columns separate them."""


def least_confidence(card: dict[str, Any]) -> float:
    """Returns the card's threshold of ``max_probability``, or ``LEAST_CONFIDENCE`` without one."""
    match card.get("doubt"):
        case {"score": "max_probability", "threshold": int() | float() as threshold}:
            return float(threshold)
    return LEAST_CONFIDENCE


def batch_doubts(least: float, batch: BatchResult) -> list[tuple[str, ...]]:
    """Returns the doubts of every image in a batch, see :func:`doubts`."""
    return doubts(batch.images, batch.probabilities, least)


def doubts(
    images: Images,
    probabilities: Probabilities,
    least: float,
    of_pictures: Sequence[tuple[str, ...] | None] | None = None,
) -> list[tuple[str, ...]]:
    """Returns for each image (n, 28, 28) the reasons to doubt its answer; most have none.

    ``least`` is the threshold for the largest of the probabilities (n, 10). An entry of
    ``of_pictures`` that is not None replaces the reasons that come from the ink of that image.
    """
    found: list[tuple[str, ...]] = [()] * len(images)
    for index in _unusual(images):
        found[index] = _doubts_of_ink(images[index])
    for index, known in enumerate(of_pictures or ()):
        if known is not None:
            found[index] = known
    # Reduced over digits: numpy reduces many short rows five times as slowly.
    largest = np.maximum.reduce(probabilities.T.copy())
    for index in (largest < least).nonzero()[0].tolist():
        if not {"blank", "not a digit"} & set(found[index]):
            found[index] = (*found[index], "not a digit")
    return found


def _unusual(images: Images) -> list[int]:
    """Returns the images that need a closer look: not one stretch of ink of the usual width."""
    unusual, narrow = list[int](), list[int]()
    for index, (columns,) in enumerate(iter_unpack(f"{SIDE}s", _columns(images))):
        if columns not in _USUAL:
            (narrow if columns in _NARROW else unusual).append(index)
    if narrow:
        # An upright 1 has ink in both of two rows that are ``_SHORT`` apart.
        ends = images[narrow][:, [9, 9 + _SHORT]].max(axis=2).min(axis=1).tolist()
        unusual += [index for index, end in zip(narrow, ends, strict=True) if end <= 127]
    return unusual


def _columns(images: Images) -> bytes:
    """Returns a character for each column of each image: "x" where it has ink."""
    # Eight pixels at a time, row upon row: a reduction of many short rows takes six times as long.
    words = images.reshape(len(images), SIDE * SIDE).view(np.uint64)
    for half in (49, 28, 14, 7):  # 14 pairs of rows, of 7 words each, become 7, 4, 2 and 1
        words = words[:, :half] | words[:, -half:]
    pairs = words.view(np.uint8)
    return (pairs[:, :SIDE] | pairs[:, SIDE:]).tobytes().translate(_INKED)


def _doubts_of_ink(image: Images) -> tuple[str, ...]:
    """Returns the reasons that the ink of one image (28, 28) gives."""
    columns = np.bitwise_or.reduce(image).tobytes().translate(_INKED)
    if columns.isspace():
        most = int(image.max())
        return ("blank",) if most == 0 else ("low contrast",) if most < _FAINT else ()
    if b" " not in columns:
        border = np.concatenate([image[0], image[-1], image[1:-1, 0], image[1:-1, -1]])
        return ("inverted",) if np.count_nonzero(border > 127) > len(border) // 2 else ()
    if len(columns.strip()) < _SHORT:
        return ("too small",) if _height(image) < _SHORT else ()
    wide = [match.span() for match in _STRETCH.finditer(columns)]
    tall = [_height(image[:, start:end]) >= _SHORT for start, end in wide]
    return ("several digits",) if sum(tall) > 1 else ()


def _height(image: Images) -> int:
    rows: bytes = np.bitwise_or.reduce(image, axis=1).tobytes().translate(_INKED)
    return len(rows.strip())
