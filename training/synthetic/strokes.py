"""Letters as one would write them: strokes of a round pen, in MNIST's form.

A design is on a field of 10 by 10 with y downwards: strokes, each of knots "x,y". Letters that are
written like a digit are left out (:data:`LOOK_ALIKES <training.synthetic.fonts.LOOK_ALIKES>`), and
so are those that a hurried hand makes one: J and j (1), t, U, u, Y and y (an open 4), an angular n
(7). Learning them cost accuracy.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from service.decode import Images
from training.synthetic.fonts import normal_form

Designs = Mapping[str, tuple[str, ...]]
Floats = NDArray[np.float64]

CANVAS = 224  # pixels: drawn large, then shrunk
# What is learnt; a second way to write a letter has a key that begins with it. No K, M, T, X, e, f,
# k and w: these, and other ways to write the rest, are for training.robustness.
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


def letters(designs: Designs, count: int, random: np.random.Generator) -> Images:
    """``count`` letters (count, 28, 28), each of a design drawn evenly."""
    names = list(designs)
    chosen = random.integers(0, len(names), count)
    return np.stack([_written(designs[names[index]], random) for index in chosen])


def _written(design: tuple[str, ...], random: np.random.Generator) -> Images:
    """One letter (28, 28), its knots displaced, its strokes rounded and slanted."""
    picture = Image.new("L", (CANVAS, CANVAS))
    draw = ImageDraw.Draw(picture)
    width = int(random.integers(8, 15))
    slant = np.eye(2) + random.normal(0, 0.15, (2, 2))
    for stroke in design:
        knots = np.array([knot.split(",") for knot in stroke.split()], float)
        knots = (knots - 5) @ slant.T + random.normal(0, 0.45, knots.shape)
        course = _rounded(knots) * 9 + CANVAS / 2
        draw.line([tuple(point) for point in course], fill=255, width=width, joint="curve")
        for x, y in (course[0], course[-1]):
            draw.circle((x, y), width / 2, fill=255)
    return normal_form(picture)


def _rounded(knots: Floats) -> Floats:
    """The way through the knots (n, 2), 12 points for each, its corners rounded."""
    time, at = np.linspace(0, len(knots) - 1, 12 * len(knots)), np.arange(len(knots))
    way = [np.interp(time, at, knots[:, axis]) for axis in (0, 1)]
    mean = np.ones(7) / 7
    return np.stack([np.convolve(np.pad(w, 3, mode="edge"), mean, "valid") for w in way], axis=1)
