"""Draws the designs of strokes.toml with a round pen, in MNIST's normal form."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from service.types import Images
from training.data.synthetic.fonts import normal_form
from training.data.synthetic.lines import path

Designs = Mapping[str, Sequence[str]]

CANVAS = 224  # pixels, before scaling down
DESIGNS: dict[str, Designs] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
WRITTEN, DIGITS = DESIGNS["trained"], DESIGNS["digits"]
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
    astray: float  # the standard deviation of each knot, in tenths of the field


def _written(design: Sequence[str], pen: Pen, narrow: float, random: np.random.Generator) -> Images:
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
