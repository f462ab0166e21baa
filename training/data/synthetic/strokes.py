"""Draws handwritten letters and digits: strokes of a round pen, in MNIST's normal form.

A design is a list of strokes on a field of 10 by 10 with y downwards, each a list of knots "x,y".
The digits include shapes that are rare in MNIST: a 1 with a flag or a foot, an open 4 with a low
bar, a 9 with a hook, a 7 with a bar.

There are no letters that look like a digit (``LOOK_ALIKES`` of ``training.data.synthetic.fonts``)
or do so when written fast: J and j (1), t, U, u, Y and y (an open 4), an angular n (7). Training on
them cost accuracy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from service.types import Images
from training.data.synthetic.fonts import normal_form
from training.data.synthetic.lines import path

Designs = Mapping[str, tuple[str, ...]]

CANVAS = 224  # pixels, before scaling down
# For training. A key begins with its letter. K, M, T, X, e, f, k and w, and other ways to write the
# rest, are reserved for training.measure.robustness.
WRITTEN: Designs = {
    "A": ("0,10 4,1 6,1 10,10", "2,7 8,7"),
    "A2": ("5,0 0,10", "5,0 10,10", "1,6 9,6"),
    "C": ("9,2 7,0 3,0 0,4 0,7 3,10 8,10 10,8",),
    "E": ("9,0 2,0 0,2 0,8 2,10 9,10", "0,5 8,5"),
    "E2": ("9,1 3,0 1,3 5,5 1,7 3,10 9,9",),
    "F": ("1,10 1,0 9,0", "1,4 7,4"),
    "H": ("1,0 0,10", "9,0 10,10", "0,5 10,5"),
    "H2": ("2,0 2,10", "8,0 8,10", "2,4 8,6"),
    "L": ("1,0 1,10 9,10",),
    "N": ("0,10 2,0 8,10 10,0",),
    "P": ("1,10 1,0", "1,0 7,0 9,3 7,5 1,6"),
    "R": ("1,10 1,0", "1,0 7,0 9,2 7,5 1,5 9,10"),
    "V": ("0,0 3,6 5,10 7,6 10,0",),
    "W": ("0,0 2,10 5,2 8,10 10,0",),
    "a": ("9,4 5,3 1,5 1,9 5,10 9,6 9,10",),
    "a2": ("1,2 5,0 8,2 8,10", "8,5 3,5 0,8 3,10 8,8"),
    "d": ("9,7 6,5 2,5 0,8 2,10 6,10 9,7", "9,0 9,10"),
    "d2": ("8,5 3,5 1,8 4,10 8,8 9,0 9,10 10,10",),
    "h": ("1,0 1,10", "1,6 4,4 8,5 8,10"),
    "m": ("0,4 0,10 0,5 3,4 5,6 5,10 5,6 8,4 10,6 10,10",),
    "n": ("0,3 0,10 1,5 5,3 9,5 9,10",),
    "r": ("1,2 1,10", "1,5 4,2 8,2"),
}
# A key begins with its digit.
DIGITS: Designs = {
    "0": ("5,0 2,1 0,4 0,7 2,10 5,10 8,9 9,6 9,3 7,0 5,0",),
    "0 from above": ("6,1 3,0 1,2 0,6 2,9 5,10 8,8 9,4 7,1 4,0",),
    "1 with a flag": ("3,4 6,0 6,10",),
    "1 with a short flag": ("3,2 5,0 5,10",),
    "1 with a long flag": ("2,5 6,0 6,10",),
    "1 with a flag and a foot": ("2,3 5,0 5,10", "2,10 5,10 8,10"),
    "1 with a steep flag": ("3,6 6,0 6,10",),
    "1 with a thick flag": ("3,5 6,0 6,10", "4,5 6,2"),
    "1 with a bent flag": ("2,3 4,2 6,0 6,5 6,10",),
    "1": ("5,0 5,10",),
    "2": ("1,3 2,0 7,0 8,3 5,7 1,10 9,10",),
    "2 with a loop": ("1,2 4,0 8,2 7,5 3,9 1,9 2,7 5,9 9,10",),
    "3": ("1,1 5,0 8,2 4,5 8,7 6,10 1,9",),
    "3 with a flat top": ("1,0 8,0 4,4 8,6 7,10 1,9",),
    "4": ("6,0 0,7 9,7", "6,4 6,10"),
    "4 open": ("2,0 1,6 9,6", "7,1 6,10"),
    "4 open and slanted": ("5,0 1,5 2,7 8,6", "8,3 5,10"),
    "4 with a round corner": ("5,0 1,6 3,7 9,6", "7,4 4,10"),
    "4 with a short stem": ("5,0 0,6 1,8 8,7", "7,4 6,10"),
    "4 with a low bar": ("5,0 2,4 1,7 3,8 8,6", "8,3 6,7 5,10"),
    "4 closed": ("7,10 7,0 0,7 10,7",),
    "5": ("8,0 2,0 1,4 5,4 8,6 7,9 4,10 1,9",),
    "5 with a bar apart": ("2,1 1,5 5,4 8,7 5,10 1,9", "2,0 9,0"),
    "6": ("6,0 2,3 1,7 3,10 7,9 7,6 4,5 1,7",),
    "6 with a low loop": ("7,0 3,3 1,8 4,10 7,8 5,6 2,8",),
    "7": ("1,0 8,0 4,10",),
    "7 with a bar": ("1,0 8,0 3,10", "2,5 8,5"),
    "7 with a hook": ("1,3 1,0 8,1 5,5 4,10",),
    "8": ("7,2 4,0 2,2 4,5 7,8 4,10 2,8 4,5 7,2",),
    "8 of two rounds": ("4,5 2,3 4,0 7,2 4,5 1,7 4,10 8,8 4,5",),
    "9": ("8,3 8,1 5,0 2,2 3,5 6,5 8,2 7,10",),
    "9 with a hook": ("8,4 8,1 5,0 2,2 3,5 6,5 8,3 8,7 6,10 2,9",),
    "9 with a round hook": ("8,3 7,1 4,0 2,2 4,5 7,4 8,2 8,7 6,10 3,10 2,8",),
    "9 with a hook, in a swing": ("8,3 8,1 5,0 3,3 5,5 8,4 8,2 8,8 5,10 1,9",),
    "9 upright": ("7,3 4,5 2,3 4,0 7,1 7,10",),
}
LEAST_WIDTH = 0.6
"""The narrowest digit, as a share of the field's width; MNIST's writers vary as much."""


def written_digits(count: int, random: np.random.Generator) -> tuple[Images, NDArray[np.int64]]:
    """Draws digits (count, 28, 28), all designs equally often; returns the labels (count,) too."""
    names = random.choice(list(DIGITS), count)
    pictures = []
    for name in names:
        pen = Pen(int(random.integers(6, 25)), round=int(random.integers(2, 7)), astray=0.35)
        pictures.append(_written(DIGITS[name], pen, random.uniform(LEAST_WIDTH, 1), random))
    return np.stack(pictures), np.array([int(name[0]) for name in names])


def letters(designs: Designs, count: int, random: np.random.Generator) -> Images:
    """Draws letters (count, 28, 28), all designs equally often."""
    names = list(designs)
    chosen = random.integers(0, len(names), count)
    pens = [Pen(int(width), round=3, astray=0.45) for width in random.integers(8, 15, count)]
    pairs = zip(chosen, pens, strict=True)
    return np.stack([_written(designs[names[index]], pen, 1, random) for index, pen in pairs])


@dataclass(frozen=True, slots=True)
class Pen:
    """The pen's width in pixels of the canvas, and how far the hand deviates from the design."""

    width: int
    round: int
    """Half of the points in the moving average of a stroke; 12 points lie between two knots."""
    astray: float
    """The standard deviation of each knot, in tenths of the field."""


def _written(
    design: tuple[str, ...], pen: Pen, narrow: float, random: np.random.Generator
) -> Images:
    """Draws one design (28, 28), with displaced knots and rounded, slanted strokes."""
    picture = Image.new("L", (CANVAS, CANVAS))
    draw = ImageDraw.Draw(picture)
    slant = (np.eye(2) + random.normal(0, 0.15, (2, 2))) * (narrow, 1)
    # Strokes that share a knot keep sharing it, so that a loop stays closed.
    names = dict.fromkeys(knot for stroke in design for knot in stroke.split())
    places = (np.array([name.split(",") for name in names], float) - 5) @ slant.T
    places += random.normal(0, pen.astray, places.shape)
    place_of = dict(zip(names, places, strict=True))
    for stroke in design:
        knots = np.array([place_of[knot] for knot in stroke.split()])
        course = path(knots, 12 * len(knots), pen.round) * 9 + CANVAS / 2
        spots = [tuple(point) for point in course]
        draw.line(spots, fill=255, width=pen.width, joint="curve")
        for x, y in (course[0], course[-1]):
            draw.circle((x, y), pen.width / 2, fill=255)
    return normal_form(picture)
