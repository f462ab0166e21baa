"""Non-digits drawn with lines: scribbles, plain shapes, and outlines with something in them.

A ring alone is a 0, and so is one with a dot or a slash, as in many fonts: each ring holds more.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFilter

from service.types import SIDE, Images
from training.data.synthetic.fonts import normal_form

Floats = NDArray[np.float64]
Random = np.random.Generator

CANVAS = 112  # pixels, before scaling down
MARGIN = 12  # pixels of the canvas
MIDDLE, TURN = CANVAS / 2, 2 * np.pi


class Sheet:
    """A canvas and a pen of some pixels; a place is its distance from the middle, in radii (2,)."""

    def __init__(self, width: int = 0, radii: ArrayLike = (1, 1)) -> None:
        self.picture = Image.new("L", (CANVAS, CANVAS))
        self.pen = ImageDraw.Draw(self.picture)
        self.width, self.radii = width, np.asarray(radii)

    def line(self, *places: ArrayLike, width: int = 0) -> None:
        """Draws a line through places, (2,) each."""
        points = MIDDLE + self.radii * np.asarray(places)
        self.pen.line(points.ravel().tolist(), 255, width or self.width, "curve")

    def dot(self, place: ArrayLike, pixels: float) -> None:
        """Draws a disc with a radius of some pixels."""
        self.pen.circle((MIDDLE + self.radii * place).tolist(), pixels, 255)


def scribbles(count: int, random: Random) -> Images:
    """Draws one long zigzag, or for a third of them three to six random strokes, (count, 28, 28).

    One or two strokes could be a 1, a 4 or a 7, and so could more that are cut by the border.
    """
    pictures = []
    for index in range(count):
        sheet, several = Sheet(), index % 3 == 0
        for _ in range(random.integers(3, 7) if several else 1):
            course = _stroke(random) if several else _zigzag(random)
            width = int(random.integers(5, 15) if several else random.integers(2, 11))
            sheet.pen.line(course.ravel().tolist(), 255, width, "curve")
        soft = sheet.picture.filter(ImageFilter.GaussianBlur(2))
        pictures.append(shrunk(soft) if several else normal_form(sheet.picture))
    return np.stack(pictures)


def _zigzag(random: Random) -> Floats:
    knots = int(random.integers(6, 16))
    points = MIDDLE + random.normal(0, (random.uniform(12, 22), 17), (knots, 2))
    points = points.clip(MARGIN, CANVAS - MARGIN)
    return points if random.random() < 0.7 else path(points, 12 * knots, 5)


def _stroke(random: Random) -> Floats:
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


def shapes(count: int, random: Random) -> Images:
    """Draws triangles, rectangles, rhombi, pentagons and hearts, outlined or filled.

    Half keep their size, half are scaled to MNIST's normal form. None is slim, which could be a 1,
    or has more corners, which would be nearly a circle: a 0.
    """
    pictures = []
    for index in range(count):
        sheet, corners = Sheet(), shape(SHAPES[index % len(SHAPES)], random)
        points = MIDDLE + random.uniform(22, 46) * corners
        points += random.normal(0, 2, 2 if len(points) > MOST_CORNERS else points.shape)
        fill, width = 255 * int(random.random() < 0.2), int(random.integers(3, 13))
        sheet.pen.polygon(points.ravel().tolist(), fill=fill, outline=255, width=width)
        scaled = normal_form if random.random() < 0.5 else shrunk
        pictures.append(scaled(sheet.picture))
    return np.stack(pictures)


SHAPES = ("triangle", "rectangle", "rhombus", "pentagon", "heart")
MOST_CORNERS = 5


def shape(kind: str, random: Random) -> Floats:
    """Returns the corners (n, 2) of a shape of radius 1 about the origin."""
    match kind:
        case "triangle":
            angles = random.uniform(0, TURN) + np.arange(3) * TURN / 3
            return _on_circle(angles + random.uniform(-0.3, 0.3, 3))
        case "rectangle":
            half = random.uniform(0.45, np.pi / 4)
            angles = np.array([half, np.pi - half, np.pi + half, -half])
            return _on_circle(random.uniform(0, TURN) + angles)
        case "pentagon":
            return _on_circle(random.uniform(0, TURN) + np.arange(5) * TURN / 5)
        case "rhombus":
            curve = _on_circle(np.arange(4) * np.pi / 2) * (random.uniform(0.5, 1), 1)
        case _:  # https://mathworld.wolfram.com/HeartCurve.html
            t = np.linspace(0, TURN, 60, endpoint=False)
            up = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
            curve = np.stack([16 * np.sin(t) ** 3, -up], axis=1) / 17
    bent: Floats = curve @ (np.eye(2) + random.normal(0, 0.1, (2, 2)))
    return bent


def _on_circle(angles: ArrayLike) -> Floats:
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def filled_outlines(count: int, random: Random) -> Images:
    """Draws faces, clocks and rings with marks or a sign in them, (count, 28, 28).

    The outline is an unsteady ellipse or rounded box; half are scaled to MNIST's normal form.
    """
    pictures = []
    for index in range(count):
        width = int(random.integers(3, 11))
        radii = random.uniform(28, 46) * np.array([random.uniform(0.75, 1.2), 1])
        sheet = Sheet(max(3, width - 2), radii)
        sheet.line(*ring(random.choice([2, 2, 3, 4]), random), width=width)
        CONTENTS[index % len(CONTENTS)](sheet, random)
        soft = sheet.picture.filter(ImageFilter.GaussianBlur(random.uniform(0, 2)))
        pictures.append(shrunk(soft) if index % 2 else normal_form(soft))
    return np.stack(pictures)


def ring(power: float, random: Random) -> Floats:
    """Returns the places (60, 2) of a closed curve: a superellipse, from 2, an ellipse, to a box.

    Its ends need not meet, as in a drawing.
    """
    gap = random.normal(0, 0.15)
    angles = random.uniform(0, TURN) + np.linspace(0, TURN + gap, 60)
    across, down = np.cos(angles), np.sin(angles)
    reach = (np.abs(across) ** power + np.abs(down) ** power) ** (-1 / power)
    reach = reach + 0.04 * np.sin(2 * angles + random.uniform(0, 6))
    drawn: Floats = (reach * [across, down]).T
    return drawn


def _face(sheet: Sheet, random: Random) -> None:
    apart, height, size = random.uniform(0.25, 0.45), random.uniform(0.15, 0.4), sheet.width * 0.8
    up = np.array([0, size]) / sheet.radii
    for eye in (np.array([-apart, -height]), np.array([apart, -height])):
        if random.random() < 0.7:
            sheet.dot(eye, size)
        else:
            sheet.line(eye - 1.5 * up, eye + 1.5 * up)
    bend, wide = random.uniform(-0.25, 0.35), random.uniform(0.3, 0.55)
    along = np.linspace(-1, 1, 15)
    mouth = np.stack([wide * along, random.uniform(0.3, 0.5) + bend * (0.5 - along**2)], axis=1)
    sheet.line(*mouth)
    if random.random() < 0.3:
        nose = np.array([0, 0.05])
        sheet.line(nose - up, nose + up)


def _clock(sheet: Sheet, random: Random) -> None:
    first = random.uniform(0, TURN)
    second = first + random.choice([-1, 1]) * random.uniform(0.5, 2.5)
    for angle, reach in ((first, random.uniform(0.35, 0.55)), (second, random.uniform(0.5, 0.85))):
        sheet.line((0, 0), reach * _on_circle(angle))
    hours = int(random.choice([0, 4, 12]))
    for way in _on_circle(TURN * np.arange(hours) / max(1, hours)):
        sheet.line(0.75 * way, 0.9 * way, width=max(2, sheet.width - 2))


def _marks(sheet: Sheet, random: Random) -> None:
    for _ in range(random.integers(3, 7)):
        start = random.uniform(-0.6, 0.6, 2)
        end = start + random.uniform(-0.45, 0.45, 2)
        if random.random() < 0.4:
            sheet.dot(start, sheet.width / 2)
        else:
            sheet.line(start, end)


def _sign(sheet: Sheet, random: Random) -> None:
    """Draws an upright or slanting cross, a star, bars, or a smaller outline."""
    kind, reach = random.integers(4), random.uniform(0.45, 0.95)
    if kind == 0:
        size = random.uniform(0.3, 0.6)
        sheet.line(*(size * ring(random.choice([2, 4]), random)))
    elif kind == 1:
        for height in (-0.25, 0.25):
            sheet.line((-0.6 * reach, height), (0.6 * reach, height))
    else:
        for angle in random.uniform(0, np.pi) + np.arange(kind) * np.pi / kind:
            way = reach * _on_circle(angle)
            sheet.line(-way, way)


CONTENTS = (_face, _clock, _marks, _sign)
