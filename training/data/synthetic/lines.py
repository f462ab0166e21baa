"""Drawings that mean nothing: scribbles and plain shapes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from service.types import SIDE, Images
from training.data.synthetic.fonts import normal_form

Floats = NDArray[np.float64]

CANVAS = 112  # pixels: drawn large, then shrunk
MARGIN = 12  # pixels of the canvas


def scribbles(count: int, random: np.random.Generator) -> Images:
    """Three to six strokes of random course and width, or one that is led to and fro for long.

    One or two could be a 1, a 4 or a 7, and so could what is left of more that leave the field.
    """
    pictures = []
    for index in range(count):
        picture = Image.new("L", (CANVAS, CANVAS))
        draw = ImageDraw.Draw(picture)
        several = bool(index % 3)
        for _ in range(random.integers(3, 7) if several else 1):
            course = _course(random) if several else _to_and_fro(random)
            width = int(random.integers(5, 15) if several else random.integers(3, 9))
            draw.line([tuple(point) for point in course], fill=255, width=width, joint="curve")
        soft = picture.filter(ImageFilter.GaussianBlur(2))
        pictures.append(_shrunk(soft) if several else normal_form(picture))
    return np.stack(pictures)


def shapes(count: int, random: np.random.Generator) -> Images:
    """Triangles, rectangles, rhombi, pentagons and hearts of any size and turn, outlined or filled.

    Half of them as large as they are, half brought to MNIST's form, as those in a picture are. None
    is slim: a slim one is a 1, or a narrow 0. More corners come near a circle, which is a 0.
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
            pictures.append(_shrunk(picture))
    return np.stack(pictures)


def _triangle(random: np.random.Generator) -> Floats:
    """Corners (3, 2) about the middle of a circle of radius 1, as of all shapes."""
    third = np.arange(3) * 2 * np.pi / 3
    return _on_circle(random.uniform(0, 2 * np.pi) + third + random.uniform(-0.3, 0.3, 3))


def _rectangle(random: np.random.Generator) -> Floats:
    half = random.uniform(0.45, np.pi / 4)
    corners = np.array([half, np.pi - half, np.pi + half, -half])
    return _on_circle(random.uniform(0, 2 * np.pi) + corners)


def _rhombus(random: np.random.Generator) -> Floats:
    """Upright, as on a playing card."""
    corners = _on_circle(np.arange(4) * np.pi / 2)
    return corners * (random.uniform(0.5, 1), 1) @ (np.eye(2) + random.normal(0, 0.1, (2, 2)))


def _pentagon(random: np.random.Generator) -> Floats:
    fifth = np.arange(5) * 2 * np.pi / 5
    return _on_circle(random.uniform(0, 2 * np.pi) + fifth)


def _heart(random: np.random.Generator) -> Floats:
    """Nearly upright; https://mathworld.wolfram.com/HeartCurve.html, the one with cosines."""
    time = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    across = 16 * np.sin(time) ** 3
    up = 13 * np.cos(time) - 5 * np.cos(2 * time) - 2 * np.cos(3 * time) - np.cos(4 * time)
    curve = np.stack([across, -up], axis=1) / 17
    return curve @ (np.eye(2) + random.normal(0, 0.1, (2, 2)))


OUTLINES = (_triangle, _rectangle, _rhombus, _pentagon, _heart)
MOST_CORNERS = 5


def _on_circle(angles: Floats) -> Floats:
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _to_and_fro(random: np.random.Generator) -> Floats:
    """The points of one long stroke (n, 2), from knot to knot, its corners rounded or not."""
    knots = int(random.integers(8, 16))
    points = CANVAS / 2 + random.normal(0, (random.uniform(12, 22), 17), (knots, 2))
    points = points.clip(MARGIN, CANVAS - MARGIN)
    if random.random() < 0.5:
        return points
    time, at = np.linspace(0, knots - 1, 12 * knots), np.arange(knots)
    return np.stack([_smooth(np.interp(time, at, points[:, axis])) for axis in (0, 1)], axis=1)


def _course(random: np.random.Generator) -> Floats:
    """The points of a stroke (40, 2), from knot to knot or smooth."""
    knots = int(random.integers(3, 8))
    points = random.uniform(14, 98, (knots, 2))
    if random.random() < 0.5:
        points = points[:1] + np.cumsum(random.normal(0, 18, (knots, 2)), axis=0)
    points = points.clip(MARGIN, CANVAS - MARGIN)
    time, at = np.linspace(0, knots - 1, 40), np.arange(knots)
    course = np.stack([np.interp(time, at, points[:, axis]) for axis in (0, 1)], axis=1)
    if random.random() < 0.7:
        course = np.stack([_smooth(course[:, axis]) for axis in (0, 1)], axis=1)
    return course


def _smooth(line: Floats) -> Floats:
    return np.convolve(np.pad(line, 5, mode="edge"), np.ones(11) / 11, "valid")


def _shrunk(picture: Image.Image) -> Images:
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX))
