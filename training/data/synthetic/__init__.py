"""Draws images that MNIST lacks: printed digits, digits in other handwriting, and non-digits.

Equal seeds give equal images. The target of a non-digit is the same probability for every digit,
so that a low confidence marks it. No kind looks like a digit: a circle would be a 0, a line a 1.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from service.types import Images
from training.data.synthetic import fields, lines, strokes
from training.data.synthetic.fonts import FONTS, LETTERS, SYMBOLS, WITH_SYMBOLS, glyphs, printed

DIGITS = "0123456789"
Draw = Callable[[Images, int, np.random.Generator], Images]


KINDS: dict[str, tuple[float, Draw]] = {
    "letters": (0.12, lambda _, *how: printed(LETTERS, FONTS, *how)),
    "written letters": (0.11, lambda _, *how: strokes.letters(strokes.WRITTEN, *how)),
    "symbols": (0.07, lambda _, *how: printed(SYMBOLS, WITH_SYMBOLS, *how)),
    "scribbles": (0.4, lambda _, *how: lines.scribbles(*how)),
    "shapes": (0.05, lambda _, *how: lines.shapes(*how)),
    "filled outlines": (0.1, lambda _, *how: lines.filled_outlines(*how)),
    "two digits": (0.1, fields.two),
    "textures": (0.025, lambda _, *how: fields.textures(*how)),
    "noise": (0.015, lambda _, *how: fields.noise(*how)),
    "flat fields": (0.01, lambda _, *how: fields.flat(*how)),
}
"""The kinds of non-digits: the share of each in training, chosen on validation images."""


def printed_digits(fonts: tuple[str, ...] = FONTS) -> tuple[Images, NDArray[np.int64]]:
    """Returns an image of each digit in each font, (n, 28, 28) uint8, and the labels (n,)."""
    return glyphs(DIGITS, fonts), np.tile(np.arange(10), len(fonts))


def written_digits(seed: int, count: int = 10_000) -> tuple[Images, NDArray[np.int64]]:
    """Returns digits in handwriting that is rare in MNIST, (count, 28, 28) uint8, and labels."""
    return strokes.written_digits(count, np.random.default_rng(seed))


def non_digits(digits: Images, seed: int, count: int) -> Images:
    """Returns all kinds by their shares, (count, 28, 28); pairs ``digits`` (n, 28, 28)."""
    random = np.random.default_rng(seed)
    drawn = [draw(digits, round(share * count), random) for share, draw in KINDS.values()]
    return np.concatenate(drawn)


def kinds(digits: Images, random: np.random.Generator, count: int) -> dict[str, Images]:
    """Returns ``count`` images of every kind of non-digit, (count, 28, 28) uint8 each."""
    return {name: draw(digits, count, random) for name, (_, draw) in KINDS.items()}
