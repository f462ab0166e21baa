"""Non-digits drawn with lines: scribbles, plain shapes, and outlines with something in them.

A ring alone is a 0, and so is one with a dot or a slash, as in many fonts: each ring holds more.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from service.types import SIDE, Images
from training.data.synthetic.fonts import normal_form

Floats = NDArray[np.float64]

CANVAS = 112  # pixels, before scaling down
MARGIN = 12  # pixels of the canvas


def scribbles(count: int, random: np.random.Generator) -> Images:
    """Draws one long zigzag, or for a third of them three to six random strokes, (count, 28, 28).

    One or two strokes could be a 1, a 4 or a 7, and so could more that are cut by the border.
    """
    pictures = []
    for index in range(count):
        picture = Image.new("L", (CANVAS, CANVAS))
        draw = ImageDraw.Draw(picture)
        several = index % 3 == 0
        for _ in range(random.integers(3, 7) if several else 1):
            course = _stroke(random) if several else _zigzag(random)
            width = int(random.integers(5, 15) if several else random.integers(2, 11))
            draw.line([tuple(point) for point in course], fill=255, width=width, joint="curve")
        soft = picture.filter(ImageFilter.GaussianBlur(2))
        pictures.append(shrunk(soft) if several else normal_form(picture))
    return np.stack(pictures)


def shapes(count: int, random: np.random.Generator) -> Images:
    """Draws triangles, rectangles, rhombi, pentagons and hearts, outlined or filled.

    Size and rotation are random. Half of the shapes keep their size, half are scaled to MNIST's
    normal form. None is slim, which could be a 1 or a narrow 0, or has more corners, which would be
    nearly a circle: a 0.
    """
    pictures = []
    for index in range(count):
        picture = Image.new("L", (CANVAS, CANVAS))
        corners = OUTLINES[index % len(OUTLINES)](random)
        points = CANVAS / 2 + random.uniform(22, 46) * corners
        points += random.normal(0, 2, 2 if len(points) > MOST_CORNERS else points.shape)
        fill, width = 255 * int(random.random() < 0.2), int(random.integers(3, 13))
        outline = [tuple(point) for point in points]
        ImageDraw.Draw(picture).polygon(outline, fill=fill, outline=255, width=width)
        if random.random() < 0.5:
            pictures.append(normal_form(picture))
        else:
            pictures.append(shrunk(picture))
    return np.stack(pictures)


def _triangle(random: np.random.Generator) -> Floats:
    """Returns corners (3, 2) on a circle of radius 1 about the origin."""
    third = np.arange(3) * 2 * np.pi / 3
    return _on_circle(random.uniform(0, 2 * np.pi) + third + random.uniform(-0.3, 0.3, 3))


def _rectangle(random: np.random.Generator) -> Floats:
    half = random.uniform(0.45, np.pi / 4)
    corners = np.array([half, np.pi - half, np.pi + half, -half])
    return _on_circle(random.uniform(0, 2 * np.pi) + corners)


def _rhombus(random: np.random.Generator) -> Floats:
    """Returns an upright rhombus, as on a playing card."""
    corners = _on_circle(np.arange(4) * np.pi / 2)
    return corners * (random.uniform(0.5, 1), 1) @ (np.eye(2) + random.normal(0, 0.1, (2, 2)))


def _pentagon(random: np.random.Generator) -> Floats:
    fifth = np.arange(5) * 2 * np.pi / 5
    return _on_circle(random.uniform(0, 2 * np.pi) + fifth)


def _heart(random: np.random.Generator) -> Floats:
    """Returns a nearly upright heart (https://mathworld.wolfram.com/HeartCurve.html, cosines)."""
    time = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    across = 16 * np.sin(time) ** 3
    up = 13 * np.cos(time) - 5 * np.cos(2 * time) - 2 * np.cos(3 * time) - np.cos(4 * time)
    curve = np.stack([across, -up], axis=1) / 17
    return curve @ (np.eye(2) + random.normal(0, 0.1, (2, 2)))


OUTLINES = (_triangle, _rectangle, _rhombus, _pentagon, _heart)
MOST_CORNERS = 5


def _on_circle(angles: Floats) -> Floats:
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _zigzag(random: np.random.Generator) -> Floats:
    """Returns the points (n, 2) of one long zigzag, with sharp or rounded corners."""
    knots = int(random.integers(6, 16))
    points = CANVAS / 2 + random.normal(0, (random.uniform(12, 22), 17), (knots, 2))
    points = points.clip(MARGIN, CANVAS - MARGIN)
    return points if random.random() < 0.7 else path(points, 12 * knots, 5)


def _stroke(random: np.random.Generator) -> Floats:
    """Returns the points (40, 2) of a stroke, with straight segments or smooth."""
    knots = int(random.integers(3, 8))
    points = random.uniform(14, 98, (knots, 2))
    if random.random() < 0.5:
        points = points[:1] + np.cumsum(random.normal(0, 18, (knots, 2)), axis=0)
    points = points.clip(MARGIN, CANVAS - MARGIN)
    return path(points, 40, 5 if random.random() < 0.7 else 0)


def path(knots: Floats, count: int, half: int) -> Floats:
    """Returns ``count`` points (count, 2) on the way through the knots (n, 2).

    Each is the mean of itself and ``half`` points on either side, which rounds the corners.
    """
    time, at = np.linspace(0, len(knots) - 1, count), np.arange(len(knots))
    ways = [np.pad(np.interp(time, at, axis), half, mode="edge") for axis in knots.T]
    mean = np.ones(2 * half + 1) / (2 * half + 1)
    return np.stack([np.convolve(way, mean, "valid") for way in ways], axis=1)


def shrunk(picture: Image.Image) -> Images:
    """Scales a canvas down to (28, 28) uint8."""
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX))


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
