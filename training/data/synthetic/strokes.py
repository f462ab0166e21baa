"""Draws the designs of strokes.toml with a round pen, in MNIST's normal form."""

import tomllib
from collections.abc import Mapping, Sequence
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
        width, curve = int(random.integers(6, 25)), int(random.integers(2, 7))
        narrow = random.uniform(LEAST_WIDTH, 1)
        drawn = _written(DIGITS[name], width, random, curve=curve, astray=0.35, narrow=narrow)
        pictures.append(drawn)
    return np.stack(pictures), np.array([int(name[0]) for name in names])


def letters(designs: Designs, count: int, random: np.random.Generator) -> Images:
    """Draws letters (count, 28, 28), all designs equally often."""
    each = list(designs.values())
    chosen, widths = random.integers(0, len(each), count), random.integers(8, 15, count)
    pairs = zip(chosen, widths.tolist(), strict=True)
    return np.stack([_written(each[index], width, random) for index, width in pairs])


def _written(
    design: Sequence[str],
    width: int,
    random: np.random.Generator,
    *,
    curve: int = 3,
    astray: float = 0.45,
    narrow: float = 1,
) -> Images:
    """Draws one design (28, 28), with displaced knots and rounded, slanted strokes.

    The pen has ``width`` pixels of the canvas. Knots move by a deviation of ``astray`` tenths of
    the field; ``curve`` points on either side are averaged, of 12 between two knots.
    """
    picture = Image.new("L", (CANVAS, CANVAS))
    draw = ImageDraw.Draw(picture)
    slant = (np.eye(2) + random.normal(0, 0.15, (2, 2))) * (narrow, 1)
    # Strokes that share a knot keep sharing it, so that a loop stays closed.
    names = dict.fromkeys(knot for stroke in design for knot in stroke.split())
    places = (np.array([name.split(",") for name in names], float) - 5) @ slant.T
    places += random.normal(0, astray, places.shape)
    place_of = dict(zip(names, places, strict=True))
    for stroke in design:
        knots = np.array([place_of[knot] for knot in stroke.split()])
        course = path(knots, 12 * len(knots), curve) * 9 + CANVAS / 2
        draw.line([tuple(point) for point in course], fill=255, width=width, joint="curve")
        for x, y in (course[0], course[-1]):
            draw.circle((x, y), width / 2, fill=255)
    return normal_form(picture)
