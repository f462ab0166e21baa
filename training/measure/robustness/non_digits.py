"""Draws non-digits, and printed digits in fonts that training does not use, from fixed seeds.

The fonts are those of matplotlib, so that the images are the same everywhere.
"""

import string

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from service.types import SIDE, Images
from training.data import synthetic
from training.data.synthetic import strokes
from training.data.synthetic.fonts import FONTS_HELD_OUT, LETTERS, WITH_SYMBOLS, printed
from training.data.synthetic.lines import CANVAS, shrunk
from training.measure.robustness.corruptions import moved, turned


def doodles(count: int, random: np.random.Generator) -> Images:
    """Draws closed curves with lobes, filled or hatched; an outline alone could be a 0."""
    pictures = []
    for index in range(count):
        around = np.linspace(0, 2 * np.pi, 120, endpoint=False)
        reach = np.ones_like(around)
        for lobes in (3, 4, 5):
            reach += random.uniform(0.1, 0.3) * np.sin(lobes * around + random.uniform(0, 6))
        points = CANVAS / 2 + random.uniform(20, 30) * (reach * [np.cos(around), np.sin(around)]).T
        outline, width = [tuple(point) for point in points], int(random.integers(3, 8))
        picture, inside = Image.new("L", (CANVAS, CANVAS)), Image.new("L", (CANVAS, CANVAS))
        ImageDraw.Draw(inside).polygon(outline, fill=255)
        fill = inside if index % 2 else _hatched(random)
        picture.paste(fill, mask=inside)
        ImageDraw.Draw(picture).polygon(outline, outline=255, width=width)
        pictures.append(shrunk(picture))
    return np.stack(pictures)


def faces(count: int, random: np.random.Generator) -> Images:
    """Draws round faces, clocks with three hands, and letters in a ring, (count, 28, 28)."""
    letter = ImageFont.load_default(40)
    pictures = []
    for index in range(count):
        picture, width = Image.new("L", (CANVAS, CANVAS)), int(random.integers(4, 10))
        pen, kind = ImageDraw.Draw(picture), index % 3
        x, y = CANVAS / 2 + random.uniform(-6, 6, 2)
        across, down = random.uniform(30, 46) * np.array([random.uniform(0.85, 1.1), 1])
        pen.ellipse((x - across, y - down, x + across, y + down), outline=255, width=width)
        if kind == 0:
            for left in (-0.4, 0.4):
                pen.circle((x + left * across, y - 0.25 * down), random.uniform(3, 7), 255)
            mouth = (x - 0.5 * across, y - 0.4 * down, x + 0.5 * across, y + 0.6 * down)
            pen.arc(mouth, random.uniform(10, 40), random.uniform(140, 170), 255, width)
        elif kind == 1:
            angle = random.uniform(0, 2 * np.pi)
            for reach in (0.4, 0.6, 0.75):
                angle += random.uniform(1, 2.5)
                tip = x + reach * across * np.cos(angle), y + reach * down * np.sin(angle)
                pen.line((x, y, *tip), 255, width - 1)
        else:
            pen.text((x, y), str(random.choice(list("AEFHKMNRTXWZ"))), 255, letter, "mm")
        pictures.append(shrunk(picture))
    return np.stack(pictures)


def _hatched(random: np.random.Generator) -> Image.Image:
    picture = Image.new("L", (CANVAS, CANVAS))
    draw = ImageDraw.Draw(picture)
    angle, width = random.uniform(0, np.pi), int(random.integers(4, 9))
    along = np.array([np.cos(angle), np.sin(angle)]) * CANVAS
    step = np.array([-np.sin(angle), np.cos(angle)]) * random.uniform(12, 24)
    for index in range(-10, 11):
        middle = CANVAS / 2 + index * step
        draw.line([*(middle - along), *(middle + along)], fill=255, width=width)
    return picture


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
    pictures, digits = synthetic.printed_digits(FONTS_HELD_OUT)
    chosen = random.integers(0, len(pictures), count)
    return _moved(pictures[chosen], random), digits[chosen]


def known(digits: Images) -> dict[str, Images]:
    """Draws the kinds of non-digits of the training data, as many of each as ``digits``."""
    drawn = synthetic.kinds(digits, np.random.default_rng(SEED), len(digits))
    return {**drawn, "blank": np.zeros((1, SIDE, SIDE), np.uint8)}


def new(digits: Images) -> dict[str, Images]:
    """Draws other kinds of non-digits, as many of each as ``digits`` (n, 28, 28)."""
    random, count = np.random.default_rng(SEED), len(digits)
    flat = digits.reshape(count, -1)
    plain = "".join(sorted(set(string.ascii_letters) & set(LETTERS)))
    return {
        "letters of new fonts": _moved(printed(plain, FONTS_HELD_OUT, count, random), random),
        "letters as strokes": strokes.letters(strokes.DESIGNS["never-trained"], count, random),
        "Cyrillic letters": _moved(printed(CYRILLIC, WITH_SYMBOLS, count, random), random),
        "other symbols": _moved(printed(SYMBOLS, WITH_SYMBOLS, count, random), random),
        "doodles": doodles(count, random),
        "faces, clocks, letters in a ring": faces(count, random),
        "shuffled pixels": flat.take(random.permutation(SIDE**2), axis=1).reshape(digits.shape),
        "inverted digits": 255 - digits,
    }


def _moved(pictures: Images, random: np.random.Generator) -> Images:
    pictures = turned(pictures, random.uniform(-MOST_TURNED, MOST_TURNED, len(pictures)))
    return moved(pictures, MOST_MOVED - random.integers(0, 2 * MOST_MOVED + 1, (len(pictures), 2)))
