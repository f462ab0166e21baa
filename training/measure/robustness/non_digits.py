"""Draws non-digits, and printed digits in fonts that training does not use, from fixed seeds.

The fonts are those of matplotlib, so that the images are the same everywhere. No non-digit looks
like a digit.
"""

import string

import numpy as np
from numpy.typing import NDArray

from service.types import SIDE, Images
from training.data import synthetic
from training.data.synthetic import fonts, strokes
from training.measure.robustness import drawings
from training.measure.robustness.corruptions import moved, turned

SEED = 7
MOST_MOVED, MOST_TURNED = 2, 10  # pixels, degrees
# Without what looks like a Latin or Greek capital, or like a 0 (o), 3 (ze, e), 4 (che, tse, shcha:
# an open 4), 6 (be, the soft sign), 7 (pe) or 8 (ve). Em and te resemble letters in training.
CYRILLIC = "ДЖИЙШЫЮЯджийлмтшюя"
# Without what looks like a 1 (a note), 3 (there exists), 5 (integral), 6 (flat), 7 (not) or 8.
SYMBOLS = "√≠≤∈⊂∩⇔↑↓♣♦♯☂☎☒⚓✈✓✗¥☕☚☜☞☢☥☪☮☰☴☺♍♏♒♔♖♘♚♜♞♡♨✌✎✒✖❂❏❝❧"


def printed_digits(count: int) -> tuple[Images, NDArray[np.int64]]:
    """Draws digits in the held-out fonts, slightly moved, (count, 28, 28), and labels (count,)."""
    random = np.random.default_rng(SEED)
    pictures, digits = synthetic.printed_digits(fonts.FONTS_HELD_OUT)
    chosen = random.integers(0, len(pictures), count)
    return _moved(pictures[chosen], random), digits[chosen]


def known(digits: Images) -> dict[str, Images]:
    """Draws the kinds of non-digits of the training data, as many of each as ``digits``."""
    drawn = synthetic.kinds(digits, np.random.default_rng(SEED), len(digits))
    return {**drawn, "blank": np.zeros((1, SIDE, SIDE), np.uint8)}


def new(digits: Images) -> dict[str, Images]:
    """Draws other kinds of non-digits, as many of each as ``digits`` (n, 28, 28)."""
    random, count = np.random.default_rng(SEED), len(digits)
    plain = "".join(sorted(set(string.ascii_letters) & set(fonts.LETTERS)))
    return {
        "letters of new fonts": _glyphs(plain, fonts.FONTS_HELD_OUT, count, random),
        "letters as strokes": strokes.letters(strokes.DESIGNS["never-trained"], count, random),
        "Cyrillic letters": _glyphs(CYRILLIC, fonts.WITH_SYMBOLS, count, random),
        "other symbols": _glyphs(SYMBOLS, fonts.WITH_SYMBOLS, count, random),
        "stars, crosses, arrows": drawings.shapes(count, random),
        "doodles": drawings.doodles(count, random),
        "faces, clocks, letters in a ring": drawings.faces(count, random),
        "hatchings": drawings.hatchings(count, random),
        "three digits": drawings.three(digits, random),
        "shuffled pixels": digits.reshape(count, -1)
        .take(random.permutation(SIDE**2), axis=1)
        .reshape(digits.shape),
        "shuffled tiles": _tiles(digits, random),
        "inverted digits": 255 - digits,
    }


def _glyphs(
    characters: str, names: tuple[str, ...], count: int, random: np.random.Generator
) -> Images:
    drawn = fonts.glyphs(characters, names)
    return _moved(drawn[random.integers(0, len(drawn), count)], random)


def _moved(pictures: Images, random: np.random.Generator) -> Images:
    """Rotates each image, then moves it along both axes and crops to the field."""
    pictures = turned(pictures, random.uniform(-MOST_TURNED, MOST_TURNED, len(pictures)))
    return moved(pictures, MOST_MOVED - random.integers(0, 2 * MOST_MOVED + 1, (len(pictures), 2)))


def _tiles(digits: Images, random: np.random.Generator) -> Images:
    """Cuts each image into 4x4 tiles of 7x7 pixels and shuffles them."""
    count = len(digits)
    tiles = digits.reshape(count, 4, 7, 4, 7).transpose(0, 1, 3, 2, 4).reshape(count, 16, 7, 7)
    places = random.permuted(np.tile(np.arange(16), (count, 1)), axis=1)
    moved = np.take_along_axis(tiles, places[..., np.newaxis, np.newaxis], axis=1)
    return moved.reshape(count, 4, 4, 7, 7).transpose(0, 1, 3, 2, 4).reshape(digits.shape)
