"""Draws images that MNIST lacks: printed digits, digits in other handwriting, and non-digits.

The sources are the fonts of matplotlib and Pillow, strokes, random numbers and MNIST's own digits.
Equal seeds give equal images. The target of a non-digit is the same probability for every digit,
so that a low confidence marks a non-digit and the network needs no second output.

No kind of non-digit looks like a digit: a circle would be a 0, a single line a 1.
"""

import numpy as np
from numpy.typing import NDArray

from service.types import Images
from training.data.synthetic import fields, lines, strokes
from training.data.synthetic.fonts import FONTS, LETTERS, SYMBOLS, WITH_SYMBOLS, glyphs

DIGITS = "0123456789"
SHARES = {
    "letters": 0.12,
    "written letters": 0.11,
    "symbols": 0.07,
    "scribbles": 0.4,
    "shapes": 0.05,
    "filled outlines": 0.1,
    "two digits": 0.1,
    "textures": 0.025,
    "noise": 0.015,
    "flat fields": 0.01,
}
"""The share of each kind of non-digit in training, chosen on validation images."""


def printed_digits(fonts: tuple[str, ...] = FONTS) -> tuple[Images, NDArray[np.int64]]:
    """Returns an image of each digit in each font, (n, 28, 28) uint8, and the labels (n,)."""
    return glyphs(DIGITS, fonts), np.tile(np.arange(10), len(fonts))


def written_digits(seed: int, count: int = 10_000) -> tuple[Images, NDArray[np.int64]]:
    """Returns digits in handwriting that is rare in MNIST, (count, 28, 28) uint8, and labels."""
    return strokes.written_digits(count, np.random.default_rng(seed))


def non_digits(digits: Images, seed: int, count: int) -> Images:
    """Returns all kinds by their shares, (count, 28, 28); pairs ``digits`` (n, 28, 28)."""
    counts = {kind: round(share * count) for kind, share in SHARES.items()}
    return np.concatenate(list(_draw(digits, np.random.default_rng(seed), counts).values()))


def kinds(digits: Images, random: np.random.Generator, count: int) -> dict[str, Images]:
    """Returns ``count`` images of every kind of non-digit, (count, 28, 28) uint8 each."""
    return _draw(digits, random, dict.fromkeys(SHARES, count))


def _draw(digits: Images, random: np.random.Generator, counts: dict[str, int]) -> dict[str, Images]:
    letters, symbols = glyphs(LETTERS, FONTS), glyphs(SYMBOLS, WITH_SYMBOLS)
    return {
        "letters": letters[random.integers(0, len(letters), counts["letters"])],
        "written letters": strokes.letters(strokes.WRITTEN, counts["written letters"], random),
        "symbols": symbols[random.integers(0, len(symbols), counts["symbols"])],
        "scribbles": lines.scribbles(counts["scribbles"], random),
        "shapes": lines.shapes(counts["shapes"], random),
        "filled outlines": lines.filled_outlines(counts["filled outlines"], random),
        "two digits": fields.two(digits, counts["two digits"], random),
        "textures": fields.textures(counts["textures"], random),
        "noise": fields.noise(counts["noise"], random),
        "flat fields": fields.flat(counts["flat fields"], random),
    }
