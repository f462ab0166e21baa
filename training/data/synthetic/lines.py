"""Non-digits drawn with lines: scribbles and plain shapes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from service.types import SIDE, Images
from training.data.synthetic.fonts import normal_form

Floats = NDArray[np.float64]

CANVAS = 112  # pixels, before scaling down
MARGIN = 12  # pixels of the canvas


def scribbles(count: int, random: np.random.Generator) -> Images:
    """Draws three to six random strokes, or one long zigzag, (count, 28, 28).

    One or two strokes could be a 1, a 4 or a 7, and so could more that are cut by the border.
    """
    pictures = []
    for index in range(count):
        picture = Image.new("L", (CANVAS, CANVAS))
        draw = ImageDraw.Draw(picture)
        several = bool(index % 2)
        for _ in range(random.integers(3, 7) if several else 1):
            course = _stroke(random) if several else _zigzag(random)
            width = int(random.integers(5, 15) if several else random.integers(2, 8))
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
    return points if random.random() < 0.5 else path(points, 12 * knots, 5)


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
