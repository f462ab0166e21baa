"""Pictures beside MNIST's: digits printed and of other hands, and what is no digit at all.

Drawn from fonts that come with matplotlib and Pillow, from strokes and random numbers, and from
MNIST's own digits: the same seed gives the same pictures. Digits are learnt as the digits they
are. Non-digits are learnt as "any digit is as likely": the network's confidence then tells
them from digits, and needs no second output for it.

What looks like a digit is left out everywhere: a circle is a zero, one line is a one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.types import Images
from training.data.synthetic import collages, fields, lines, strokes
from training.data.synthetic.fonts import FONTS, LETTERS, SYMBOLS, WITH_SYMBOLS, glyphs

DIGITS = "0123456789"
SHARES = {
    "letters": 0.19,
    "written letters": 0.17,
    "symbols": 0.1,
    "scribbles": 0.24,
    "shapes": 0.07,
    "two digits": 0.16,
    "textures": 0.04,
    "noise": 0.02,
    "flat fields": 0.01,
}
"""Of each kind of non-digit among those that are learnt, chosen on validation images."""


def printed_digits(fonts: tuple[str, ...] = FONTS) -> tuple[Images, NDArray[np.int64]]:
    """One picture of each digit in each font, (n, 28, 28) uint8, and their digits (n,)."""
    return glyphs(DIGITS, fonts), np.tile(np.arange(10), len(fonts))


def written_digits(seed: int, count: int = 10_000) -> tuple[Images, NDArray[np.int64]]:
    """Digits as strokes of hands that MNIST has few of, (count, 28, 28) uint8, and (count,)."""
    return strokes.written_digits(count, np.random.default_rng(seed))


def non_digits(digits: Images, seed: int, count: int = 10_000) -> Images:
    """Every kind by its share, (count, 28, 28); ``digits`` (n, 28, 28) are what is put together."""
    counts = {kind: round(share * count) for kind, share in SHARES.items()}
    return np.concatenate(list(_draw(digits, np.random.default_rng(seed), counts).values()))


def kinds(digits: Images, random: np.random.Generator, count: int) -> dict[str, Images]:
    """``count`` pictures of every kind of non-digit, (count, 28, 28) uint8 each."""
    return _draw(digits, random, dict.fromkeys(SHARES, count))


def _draw(digits: Images, random: np.random.Generator, counts: dict[str, int]) -> dict[str, Images]:
    letters, symbols = glyphs(LETTERS, FONTS), glyphs(SYMBOLS, WITH_SYMBOLS)
    return {
        "letters": letters[random.integers(0, len(letters), counts["letters"])],
        "written letters": strokes.letters(strokes.WRITTEN, counts["written letters"], random),
        "symbols": symbols[random.integers(0, len(symbols), counts["symbols"])],
        "scribbles": lines.scribbles(counts["scribbles"], random),
        "shapes": lines.shapes(counts["shapes"], random),
        "two digits": collages.two(digits, counts["two digits"], random),
        "textures": fields.textures(counts["textures"], random),
        "noise": fields.noise(counts["noise"], random),
        "flat fields": fields.flat(counts["flat fields"], random),
    }
