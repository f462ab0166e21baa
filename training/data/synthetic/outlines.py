"""Non-digits that an outline holds together: faces, clocks, and rings with marks in them.

A ring alone is a 0, and so is one with a dot or a slash, as in many fonts. Each ring therefore
holds more than that.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from service.types import Images
from training.data.synthetic.fonts import normal_form
from training.data.synthetic.lines import CANVAS, Floats, shrunk

MIDDLE = CANVAS / 2
REACH = 0.45  # of a mark along each axis, in radii


def filled_outlines(count: int, random: np.random.Generator) -> Images:
    """Draws faces, clocks and rings with marks or a sign in them, (count, 28, 28).

    The outline is a ring, an ellipse or a rounded box by an unsteady hand. Half of the pictures
    keep their size, half are scaled to MNIST's normal form.
    """
    pictures = []
    for index in range(count):
        picture = Image.new("L", (CANVAS, CANVAS))
        pen, width = ImageDraw.Draw(picture), int(random.integers(3, 11))
        radii = random.uniform(28, 46) * np.array([random.uniform(0.75, 1.2), 1])
        outline = ring(radii, random.choice([2, 2, 3, 4]), random)
        pen.line([tuple(point) for point in outline], 255, width, "curve")
        CONTENTS[index % len(CONTENTS)](pen, radii, max(3, width - 2), random)
        soft = picture.filter(ImageFilter.GaussianBlur(random.uniform(0, 2)))
        pictures.append(shrunk(soft) if index % 2 else normal_form(soft))
    return np.stack(pictures)


def ring(radii: Floats, power: float, random: np.random.Generator) -> Floats:
    """Returns the points (60, 2) of a closed curve: a superellipse, from 2, an ellipse, to a box.

    Its ends need not meet, as in a drawing.
    """
    gap = random.normal(0, 0.15)
    angles = random.uniform(0, 2 * np.pi) + np.linspace(0, 2 * np.pi + gap, 60)
    across, down = np.cos(angles), np.sin(angles)
    reach = (np.abs(across) ** power + np.abs(down) ** power) ** (-1 / power)
    reach = reach + 0.04 * np.sin(2 * angles + random.uniform(0, 6))
    drawn: Floats = MIDDLE + radii * (reach * [across, down]).T
    return drawn


def _face(pen: ImageDraw.ImageDraw, radii: Floats, width: int, random: np.random.Generator) -> None:
    """Draws two eyes and a mouth, sometimes a nose."""
    apart, height, size = random.uniform(0.25, 0.45), random.uniform(0.15, 0.4), width * 0.8
    for side in (-1, 1):
        x, y = MIDDLE + radii * (side * apart, -height)
        if random.random() < 0.7:
            pen.ellipse((x - size, y - size, x + size, y + size), 255)
        else:
            pen.line((x, y - 1.5 * size, x, y + 1.5 * size), 255, width)
    bend, wide = random.uniform(-0.25, 0.35), random.uniform(0.3, 0.55)
    along = np.linspace(-1, 1, 15)
    mouth = np.stack([wide * along, random.uniform(0.3, 0.5) + bend * (0.5 - along**2)], axis=1)
    pen.line([tuple(point) for point in MIDDLE + radii * mouth], 255, width, "curve")
    if random.random() < 0.3:
        x, y = MIDDLE + radii * (0, 0.05)
        pen.line((x, y - size, x, y + size), 255, width)


def _clock(
    pen: ImageDraw.ImageDraw, radii: Floats, width: int, random: np.random.Generator
) -> None:
    """Draws two hands from the middle, at an angle, and mostly the marks of the hours."""
    first = random.uniform(0, 2 * np.pi)
    second = first + random.choice([-1, 1]) * random.uniform(0.5, 2.5)
    for angle, reach in ((first, random.uniform(0.35, 0.55)), (second, random.uniform(0.5, 0.85))):
        tip = MIDDLE + radii * reach * (np.cos(angle), np.sin(angle))
        pen.line((MIDDLE, MIDDLE, *tip), 255, width)
    hours = int(random.choice([0, 4, 12]))
    for angle in 2 * np.pi * np.arange(hours) / max(1, hours):
        way = radii * (np.cos(angle), np.sin(angle))
        pen.line((*(MIDDLE + 0.75 * way), *(MIDDLE + 0.9 * way)), 255, max(2, width - 2))


def _marks(
    pen: ImageDraw.ImageDraw, radii: Floats, width: int, random: np.random.Generator
) -> None:
    """Draws three to six short strokes or dots."""
    for _ in range(random.integers(3, 7)):
        start = MIDDLE + radii * random.uniform(-0.6, 0.6, 2)
        end = start + radii * random.uniform(-REACH, REACH, 2)
        if random.random() < 0.4:
            pen.ellipse((*(start - width / 2), *(start + width / 2)), 255)
        else:
            pen.line((*start, *end), 255, width)


def _sign(pen: ImageDraw.ImageDraw, radii: Floats, width: int, random: np.random.Generator) -> None:
    """Draws an upright or slanting cross, a star, bars, or a smaller outline."""
    kind, reach = random.integers(4), random.uniform(0.45, 0.95)
    if kind == 0:
        inner = ring(radii * random.uniform(0.3, 0.6), random.choice([2, 4]), random)
        pen.line([tuple(point) for point in inner], 255, width, "curve")
        return
    if kind == 1:
        for height in (-0.25, 0.25):
            half = radii * (0.6 * reach, 0)
            at = MIDDLE + radii * (0, height)
            pen.line((*(at - half), *(at + half)), 255, width)
        return
    turn = random.uniform(0, np.pi)
    for index in range(kind):
        angle = turn + index * np.pi / kind
        way = radii * reach * (np.cos(angle), np.sin(angle))
        pen.line((*(MIDDLE - way), *(MIDDLE + way)), 255, width)


CONTENTS = (_face, _clock, _marks, _sign)
