"""Pictures without a digit. A function draws each from random numbers, as a file's bytes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tests.corpus import kinds
from tests.corpus.kinds import Light, Random, as_bytes, clouds, on_paper
from tests.corpus.strings import LETTERS

_SIZE = 480, 360


def letter(random: Random) -> bytes:
    """A printed letter."""
    return _sheet(_text(LETTERS[random.integers(len(LETTERS))], random), random)


def word(random: Random) -> bytes:
    """A printed word of three to seven letters."""
    letters = random.choice(list(LETTERS[:-5]), random.integers(3, 8))
    return _sheet(_text("".join(letters), random), random)


def scribble(random: Random) -> bytes:
    """A scribble of a pen."""
    image = Image.new("L", _SIZE)
    middle = random.uniform((150, 120), (330, 240))
    knots = middle + random.normal(0, 50, (random.integers(6, 14), 2))
    spots = [(float(x), float(y)) for x, y in knots]
    ImageDraw.Draw(image).line(spots, 255, int(random.integers(3, 10)), joint="curve")
    return _sheet(_covered(image), random)


def shape(random: Random) -> bytes:
    """An outline of three to five corners, a star or a cross. More corners would look like a 0."""
    image = Image.new("L", _SIZE)
    pen, width = ImageDraw.Draw(image), int(random.integers(4, 12))
    x, y = random.uniform((150, 130), (330, 230))
    size, turn = random.uniform(40, 90), random.uniform(0, 2 * np.pi)
    kind = random.integers(3)
    corners = int(random.integers(3, 9 if kind else 6))
    if kind < 2:
        points = corners * (1 + kind)
        angles = turn + 2 * np.pi * np.arange(points + 1) / points
        reach = np.where(np.arange(points + 1) % 2 * kind, 0.45, 1) * size
        outline = np.stack([x + reach * np.cos(angles), y + reach * np.sin(angles)], -1)
        pen.line([(float(a), float(b)) for a, b in outline], 255, width, joint="curve")
    else:
        for angle in turn + np.array([0, np.pi / 2, np.pi / 4][: random.integers(2, 4)]):
            dx, dy = size * np.cos(angle), size * np.sin(angle)
            pen.line([(x - dx, y - dy), (x + dx, y + dy)], 255, width)
    return _sheet(_covered(image), random)


def blank_paper(random: Random) -> bytes:
    """A blank sheet with grain, in even or uneven light."""
    light = np.full(_SIZE[::-1], 0.9, np.float32) * (1 - 0.3 * clouds(_SIZE, random))
    return _photo(light, random)


def shadow_alone(random: Random) -> bytes:
    """A blank sheet under a soft or hard shadow."""
    return _photo(0.9 * kinds.shade(_SIZE, random), random)


def ruled_paper(random: Random) -> bytes:
    """A lined or squared sheet without writing."""
    lines = kinds.rules(_SIZE, random, squared=random.random() < 0.5)
    return _photo(0.95 - 0.35 * lines, random)


def desk(random: Random) -> bytes:
    """A blank sheet on a desk."""
    light = 0.25 + 0.1 * clouds(_SIZE, random)
    left, top = random.integers(20, 140, 2)
    light[top : top + 200, left : left + 280] = 0.9
    return _photo(light, random)


def cloth(random: Random) -> bytes:
    """Woven threads, more or less even."""
    x, y = np.meshgrid(np.arange(_SIZE[0]), np.arange(_SIZE[1]))
    pitch, turn = random.uniform(3, 20), random.uniform(-0.3, 0.3)
    waves = np.sin((x + turn * y) * 6.28 / pitch) + np.sin((y - turn * x) * 6.28 / pitch)
    return _photo(0.5 + 0.12 * waves.astype(np.float32) + 0.2 * clouds(_SIZE, random), random)


def wood(random: Random) -> bytes:
    """The grain of a board."""
    x, y = np.meshgrid(np.linspace(-1, 1, _SIZE[0]), np.linspace(-1, 1, _SIZE[1]))
    radius = np.hypot(x * random.uniform(0.05, 0.4) + random.uniform(-1, 1), y)
    rings = np.sin((radius + 0.2 * clouds(_SIZE, random)) * random.uniform(20, 120))
    return _photo((0.5 + 0.15 * rings).astype(np.float32), random)


def foliage(random: Random) -> bytes:
    """Light and dark spots of all sizes."""
    light = np.zeros(_SIZE[::-1], np.float32)
    for cells in (4, 8, 16, 32, 64):
        coarse = Image.fromarray(as_bytes(random.random((cells, cells))))
        smooth = coarse.resize(_SIZE, Image.Resampling.BICUBIC)
        light += np.asarray(smooth, np.float32) / 255 / cells**0.5
    return _photo((light - light.min()) / np.ptp(light), random)


NON_DIGITS: tuple[Callable[[Random], bytes], ...] = (
    *(letter, word, scribble, shape, blank_paper, shadow_alone),
    *(ruled_paper, desk, cloth, wood, foliage),
)


def _text(text: str, random: Random) -> Light:
    image = Image.new("L", _SIZE)
    font = ImageFont.load_default(float(random.uniform(50, 160 if len(text) == 1 else 80)))
    place = int(random.integers(30, 120)), int(random.integers(40, 140))
    ImageDraw.Draw(image).text(place, text, 255, font)
    return _covered(image.rotate(random.uniform(-10, 10), Image.Resampling.BICUBIC))


def _sheet(cover: Light, random: Random) -> bytes:
    return _photo(on_paper(cover, 0.92, random.uniform(0.1, 0.3)), random)


def _photo(light: Light, random: Random) -> bytes:
    grain = kinds.noise(light.shape, random.uniform(0.003, 0.015), random)
    return kinds.encoded(light + grain, "JPEG", quality=85)


def _covered(image: Image.Image) -> Light:
    return (np.asarray(image) / 255).astype(np.float32)
