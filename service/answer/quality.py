"""Says when an answer should not be trusted, and why.

``not a digit`` comes from the model: its largest probability is below the operating point that the
version's card states. The others come from the ink: of an array from its own, at next to no cost,
of a picture from what was seen when it was brought to the model's form.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from struct import iter_unpack
from typing import Any

import numpy as np

from service.imaging.pipeline import Seen
from service.types import SIDE, Images, Probabilities

LEAST_CONFIDENCE = 0.78
"""The operating point for a version whose card states none.

Chosen on 6,000 of MNIST's training images, most of which the network has seen in training: fewer
than one in 100 are below it. A card can state a better one.
"""
_INKED = bytes(b" x"[value > 127] for value in range(256))
"""Makes words of rows or columns, with spaces for those where no pixel is above half."""
_BLANK: tuple[str, ...] = ("blank",)
_NONE: tuple[str, ...] = ()
_FAINT = 64
"""An image whose largest value is below this is of low contrast; MNIST's all reach 254."""
_SHORT = 10
"""Digits of MNIST are 20 pixels long; one shorter than this was not brought to its form."""
_USUAL, _NARROW = (
    frozenset(
        b" " * first + b"x" * width + b" " * (SIDE - first - width)
        for width in widths
        for first in range(SIDE - width + 1)
    )
    for widths in (range(_SHORT, SIDE), range(1, _SHORT))
)
"""The columns of images that are inked in one stretch, of the usual width or of less."""
_STRETCH = re.compile(rb"x{5,}")
"""Two digits in one image are each at least this wide, and bare columns are between them."""


def least_confidence(card: dict[str, Any]) -> float:
    """The largest probability below which a version's answer is no digit, from its card.

    The card's ``doubt`` is ``{"score": "max_probability", "threshold": ...}``.
    """
    stated = card.get("doubt")
    if isinstance(stated, dict) and stated.get("score") == "max_probability":
        threshold = stated.get("threshold")
        if isinstance(threshold, int | float):
            return float(threshold)
    return LEAST_CONFIDENCE


def doubts(
    images: Images, probabilities: Probabilities, least: float, seen: Sequence[Seen] | None = None
) -> list[tuple[str, ...]]:
    """For each image (n, 28, 28) the reasons to doubt its answer; none is the rule.

    ``least`` is the smallest largest probability, of (n, 10), that still tells a digit. ``seen``
    is what was seen where the images came from pictures.
    """
    found = [_NONE] * len(images)
    for index in _odd_ones(images):
        found[index] = _doubts_of_ink(images[index])
    for index, one in enumerate(seen or ()):
        if one.polarity != "as given":
            found[index] = one.doubts
    # Digit by digit: a reduction of short rows takes five times as long.
    surest = np.maximum.reduce(probabilities.T.copy())
    for index in (surest < least).nonzero()[0].tolist():
        if found[index] != _BLANK and "not a digit" not in found[index]:
            found[index] = (*found[index], "not a digit")
    return found


def _odd_ones(images: Images) -> list[int]:
    """Those that need a closer look: their inked columns are not one stretch of the usual width."""
    odd: list[int] = []
    narrow: list[int] = []
    for index, (columns,) in enumerate(iter_unpack(f"{SIDE}s", _columns(images))):
        if columns not in _USUAL:
            (narrow if columns in _NARROW else odd).append(index)
    if narrow:
        # Inked in two rows that are far enough apart, as any upright 1 is.
        ends = images[narrow][:, [9, 9 + _SHORT]].max(axis=2).min(axis=1).tolist()
        odd += [index for index, end in zip(narrow, ends, strict=True) if end <= 127]
    return odd


def _columns(images: Images) -> bytes:
    """A character for each column of each image, "x" where it is inked."""
    # Row upon row, eight pixels at a time: a reduction of many short rows takes six times as long.
    words = images.reshape(len(images), SIDE * SIDE).view(np.uint64)
    for half in (49, 28, 14, 7):  # 14 pairs of rows, of 7 words each, become 7, 4, 2 and 1
        words = words[:, :half] | words[:, -half:]
    pairs = words.view(np.uint8)
    return (pairs[:, :SIDE] | pairs[:, SIDE:]).tobytes().translate(_INKED)


def _doubts_of_ink(image: Images) -> tuple[str, ...]:
    """The doubts that the ink of one image (28, 28) gives by itself."""
    columns = np.bitwise_or.reduce(image).tobytes().translate(_INKED)
    if columns.isspace():
        most = int(image.max())
        return _BLANK if most == 0 else ("low contrast",) if most < _FAINT else _NONE
    if b" " not in columns:
        border = np.concatenate([image[0], image[-1], image[1:-1, 0], image[1:-1, -1]])
        return ("inverted",) if np.count_nonzero(border > 127) > len(border) // 2 else _NONE
    if len(columns.strip()) < _SHORT:
        return ("too small",) if len(_rows(image)) < _SHORT else _NONE
    wide = [match.span() for match in _STRETCH.finditer(columns)]
    tall = [len(_rows(image[:, start:end])) >= _SHORT for start, end in wide]
    return ("several digits",) if sum(tall) > 1 else _NONE


def _rows(image: Images) -> bytes:
    """The rows from the first that is inked to the last."""
    rows: bytes = np.bitwise_or.reduce(image, axis=1).tobytes().translate(_INKED)
    return rows.strip()
