"""What is no digit, and printed digits that training has nothing of; the seeds are fixed.

Fonts are those that ``training.synthetic`` holds out: they come with matplotlib, so the same
pictures are drawn everywhere.
"""

from __future__ import annotations

import string

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from service.decode import SIDE, Images
from training import synthetic
from training.robustness.corruptions import turned

SEED = 7
MOST_MOVED, MOST_TURNED = 2, 10  # pixels, degrees
CANVAS = 112  # pixels: drawn large, then shrunk
# Letters as one would write them, on a field of 10 by 10 with y downwards: strokes, each of knots.
# Those that are written like a digit are left out.
STROKES = {
    "A": ("0,10 5,0 10,10", "2,6 8,6"),
    "C": ("9,1 5,0 1,2 0,5 1,8 5,10 9,9",),
    "E": ("9,0 0,0 0,10 9,10", "0,5 7,5"),
    "F": ("9,0 0,0 0,10", "0,5 7,5"),
    "H": ("0,0 0,10", "9,0 9,10", "0,5 9,5"),
    "K": ("0,0 0,10", "9,0 0,6", "3,4 9,10"),
    "M": ("0,10 1,0 5,7 9,0 10,10",),
    "N": ("0,10 0,0 9,10 9,0",),
    "P": ("0,10 0,0 6,0 8,2 6,5 0,5",),
    "R": ("0,10 0,0 6,0 8,2 6,5 0,5", "4,5 9,10"),
    "T": ("0,0 10,0", "5,0 5,10"),
    "V": ("0,0 5,10 10,0",),
    "W": ("0,0 3,10 5,4 7,10 10,0",),
    "X": ("0,0 9,10", "9,0 0,10"),
    "a": ("8,3 4,2 0,5 1,9 4,10 8,7", "8,2 8,9 10,10"),
    "d": ("8,6 5,4 1,6 1,9 4,10 8,8", "8,0 8,10"),
    "e": ("1,7 8,6 7,3 3,3 1,6 2,9 5,10 9,9",),
    "f": ("8,1 5,0 4,3 4,10", "1,4 8,4"),
    "k": ("1,0 1,10", "7,4 1,7", "3,6 8,10"),
    "m": ("0,10 0,4", "0,5 3,4 4,6 4,10", "4,6 7,4 9,6 9,10"),
    "n": ("1,10 1,4", "1,6 4,4 7,5 8,10"),
    "w": ("0,4 2,10 5,5 8,10 10,4",),
}

Floats = NDArray[np.float64]


def printed_digits(count: int) -> tuple[Images, NDArray[np.int64]]:
    """Digits of the fonts held out, moved and turned a little, (count, 28, 28), and (count,)."""
    random = _random()
    pictures, digits = synthetic.printed_digits(synthetic.FONTS_HELD_OUT)
    chosen = random.integers(0, len(pictures), count)
    return _moved(pictures[chosen], random), digits[chosen]


def known(count: int) -> dict[str, Images]:
    """The kinds of non-digits that training has, drawn anew, (count, 28, 28) each."""
    return {**synthetic.kinds(_random(), count), "blank": np.zeros((1, SIDE, SIDE), np.uint8)}


def new(digits: Images) -> dict[str, Images]:
    """Kinds that training has nothing of, as many of each as ``digits`` (n, 28, 28), or so."""
    random, count = _random(), len(digits)
    plain = [letter for letter in synthetic.LETTERS if letter.isalpha()]
    return {
        "letters of new fonts": _letters(string.ascii_letters, count, random),
        "letters without look-alikes": _letters("".join(plain), count, random),
        "letters as strokes": np.stack([_written(random) for _ in range(count)]),
        "shapes": np.stack([_shape(index, random) for index in range(count)]),
        "shuffled pixels": digits.reshape(count, -1)
        .take(random.permutation(SIDE**2), axis=1)
        .reshape(digits.shape),
        "shuffled tiles": _tiles(digits, random),
        "inverted digits": 255 - digits,
        "two digits": np.maximum(
            np.roll(digits, -SIDE // 4, axis=2), np.roll(digits[::-1], SIDE // 4, axis=2)
        ),
    }


def _letters(letters: str, count: int, random: np.random.Generator) -> Images:
    drawn = synthetic.glyphs(letters, synthetic.FONTS_HELD_OUT)
    return _moved(drawn[random.integers(0, len(drawn), count)], random)


def _moved(pictures: Images, random: np.random.Generator) -> Images:
    """Each turned, then moved along both axes; what leaves the field on one side is lost."""
    pictures = turned(pictures, random.uniform(-MOST_TURNED, MOST_TURNED, len(pictures)))
    steps = random.integers(0, 2 * MOST_MOVED + 1, (len(pictures), 2))
    padded = np.pad(pictures, ((0, 0), (MOST_MOVED,) * 2, (MOST_MOVED,) * 2))
    pairs = zip(padded, steps, strict=True)
    return np.stack([picture[y : y + SIDE, x : x + SIDE] for picture, (y, x) in pairs])


def _written(random: np.random.Generator) -> Images:
    """One letter drawn with a round pen, its knots displaced, its strokes rounded and slanted."""
    picture = Image.new("L", (2 * CANVAS, 2 * CANVAS))
    draw = ImageDraw.Draw(picture)
    width = int(random.integers(8, 15))
    slant = np.eye(2) + random.normal(0, 0.15, (2, 2))
    letter = list(STROKES)[random.integers(0, len(STROKES))]
    for stroke in STROKES[letter]:
        knots = np.array([knot.split(",") for knot in stroke.split()], float)
        knots = (knots - 5) @ slant.T + random.normal(0, 0.45, knots.shape)
        course = _rounded(knots) * 9 + CANVAS
        draw.line([tuple(point) for point in course], fill=255, width=width, joint="curve")
        for x, y in (course[0], course[-1]):
            draw.circle((x, y), width / 2, fill=255)
    return synthetic.normal_form(picture)


def _rounded(knots: Floats) -> Floats:
    """The way through the knots (n, 2), 12 points for each, its corners rounded."""
    time, at = np.linspace(0, len(knots) - 1, 12 * len(knots)), np.arange(len(knots))
    way = [np.interp(time, at, knots[:, axis]) for axis in (0, 1)]
    mean = np.ones(7) / 7
    return np.stack([np.convolve(np.pad(w, 3, mode="edge"), mean, "valid") for w in way], axis=1)


def _shape(index: int, random: np.random.Generator) -> Images:
    """An outline of a triangle, a rectangle or a star, or a cross, of any size and width."""
    picture = Image.new("L", (CANVAS, CANVAS))
    draw = ImageDraw.Draw(picture)
    width, radius, centre = int(random.integers(4, 10)), random.uniform(25, 40), CANVAS / 2
    match index % 4:
        case 0:
            corners = random.uniform(0, 1) + np.arange(3) * 2 * np.pi / 3
            reach = np.full(3, radius)
        case 1:
            corner = random.uniform(0.55, 0.8)
            corners = np.array([corner, np.pi - corner, np.pi + corner, -corner])
            reach = np.full(4, radius)
        case 2:
            corners = random.uniform(0, 1) + np.arange(10) * np.pi / 5
            reach = radius * np.where(np.arange(10) % 2, 1, 0.4)
        case _:
            draw.line((centre - radius, centre, centre + radius, centre), 255, width)
            draw.line((centre, centre - radius, centre, centre + radius), 255, width)
            corners = reach = np.empty(0)
    points = centre + reach[:, np.newaxis] * np.stack([np.cos(corners), np.sin(corners)], axis=1)
    if len(points):
        draw.polygon([tuple(point) for point in points], outline=255, width=width)
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX))


def _tiles(digits: Images, random: np.random.Generator) -> Images:
    """Cut into 4x4 tiles of 7x7 pixels, which change places; other places in each image."""
    count = len(digits)
    tiles = digits.reshape(count, 4, 7, 4, 7).transpose(0, 1, 3, 2, 4).reshape(count, 16, 7, 7)
    places = random.permuted(np.tile(np.arange(16), (count, 1)), axis=1)
    moved = np.take_along_axis(tiles, places[..., np.newaxis, np.newaxis], axis=1)
    return moved.reshape(count, 4, 4, 7, 7).transpose(0, 1, 3, 2, 4).reshape(digits.shape)


def _random() -> np.random.Generator:
    return np.random.default_rng(SEED)
