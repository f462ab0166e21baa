"""Pictures beside MNIST's: printed digits, and what is no digit at all.

Drawn by this module from fonts that come with matplotlib and Pillow, and from random numbers: the
same seed gives the same pictures. Printed digits are learnt as the
digits they are. Non-digits are learnt as "any digit is as likely": the network's confidence then
tells them from digits, and needs no second output for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from service.decode import Images

# Of matplotlib's folder; the last is Pillow's own (Aileron), thrice: its 1 is the rarest kind.
FONTS = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique"),
    *("DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique"),
    *("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic"),
    *("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta"),
    *("cmb10", "cmr10", "cmti10"),
    *("", "", ""),
)
# Never trained on: three designs of which nothing is, and a new cut of three of which other cuts
# are. cmmi10 has old-style figures.
FONTS_HELD_OUT = (
    *("cmss10", "cmtt10", "cmmi10"),
    *("DejaVuSans-BoldOblique", "DejaVuSansMono-BoldOblique", "DejaVuSerif-BoldItalic"),
)
DIGITS = "0123456789"
# Without what is written like a digit: b B D g G i I l o O q Q s S z Z.
LETTERS = "ACEFHKMNPRTUVWXYacdefhkmnprtuvwxyjJL@#%&?+*=$"
GLYPH = 80  # pixels: drawn large, then shrunk

Floats = NDArray[np.float32]


def printed_digits(fonts: Sequence[str] = FONTS) -> tuple[Images, NDArray[np.int64]]:
    """One picture of each digit in each font, (n, 28, 28) uint8, and their digits (n,)."""
    return glyphs(DIGITS, fonts), np.tile(np.arange(10), len(fonts))


def non_digits(seed: int, count: int = 10_000) -> Images:
    """Letters and scribbles, the rest textures, noise and flat fields, (count, 28, 28)."""
    shares = {"letters": 0.4, "scribbles": 0.4, "textures": 0.08, "noise": 0.08}
    shares["flat fields"] = 0.04
    drawn = kinds(np.random.default_rng(seed), round(0.4 * count))
    return np.concatenate([drawn[kind][: round(share * count)] for kind, share in shares.items()])


def kinds(random: np.random.Generator, count: int) -> dict[str, Images]:
    """``count`` pictures of every kind of non-digit, (count, 28, 28) uint8 each."""
    letters = glyphs(LETTERS, FONTS)
    return {
        "letters": letters[random.integers(0, len(letters), count)],
        "scribbles": _scribbles(count, random),
        "textures": _textures(count, random),
        "noise": _noise(count, random),
        "flat fields": _flat(count, random),
    }


def normal_form(picture: Image.Image) -> Images:
    """A grey picture brought to MNIST's form, (28, 28): 20 pixels, centre of mass in the middle.

    LeCun et al. 1998, "Gradient-Based Learning Applied to Document Recognition", section III.
    """
    ink = picture.crop(picture.getbbox())
    ratio = 20 / max(ink.size)
    size = (max(1, round(ink.width * ratio)), max(1, round(ink.height * ratio)))
    small = np.asarray(ink.resize(size, Image.Resampling.BOX), np.float32)
    mass = small.sum()
    at = []
    for axis, side in enumerate(small.shape):
        centre = (small.sum(axis=1 - axis) * np.arange(side)).sum() / mass
        at.append(int(np.clip(round(13.5 - centre), 0, 28 - side)))
    field = np.zeros((28, 28), np.uint8)
    field[at[0] : at[0] + small.shape[0], at[1] : at[1] + small.shape[1]] = small
    return field


def glyphs(characters: str, fonts: Sequence[str]) -> Images:
    """Each character in each font, font by font, (fonts * characters, 28, 28) uint8."""
    import matplotlib as mpl

    folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
    pictures = []
    for name in fonts:
        path = str(folder / f"{name}.ttf")
        font = ImageFont.truetype(path, GLYPH) if name else ImageFont.load_default(GLYPH)
        for character in characters:
            picture = Image.new("L", (2 * GLYPH, 2 * GLYPH))
            ImageDraw.Draw(picture).text((40, 20), character, fill=255, font=font)
            pictures.append(normal_form(picture))
    return np.stack(pictures)


def _scribbles(count: int, random: np.random.Generator) -> Images:
    """Two to five strokes of random course and width; fewer could be a 1."""
    pictures = []
    for _ in range(count):
        picture = Image.new("L", (112, 112))
        draw = ImageDraw.Draw(picture)
        for _ in range(random.integers(2, 6)):
            knots = int(random.integers(3, 8))
            points = random.uniform(14, 98, (knots, 2))
            if random.random() < 0.5:
                points = points[:1] + np.cumsum(random.normal(0, 18, (knots, 2)), axis=0)
            time, at = np.linspace(0, knots - 1, 40), np.arange(knots)
            course = np.stack([np.interp(time, at, points[:, axis]) for axis in (0, 1)], axis=1)
            if random.random() < 0.7:
                course = np.stack([_smooth(course[:, axis]) for axis in (0, 1)], axis=1)
            width = int(random.integers(5, 15))
            draw.line([tuple(point) for point in course], fill=255, width=width, joint="curve")
        soft = picture.filter(ImageFilter.GaussianBlur(2))
        pictures.append(np.asarray(soft.resize((28, 28), Image.Resampling.BOX)))
    return np.stack(pictures)


def _smooth(line: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.convolve(np.pad(line, 5, mode="edge"), np.ones(11) / 11, "valid")


def _textures(count: int, random: np.random.Generator) -> Images:
    """Waves, checks, ramps and clouds, of any direction, size and contrast."""
    y, x = np.mgrid[:28, :28].astype(np.float32)
    fields = []
    for index in range(count):
        angle, pitch = random.uniform(0, np.pi), random.uniform(0.15, 3)
        along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        match index % 4:
            case 0:
                field = 0.5 + 0.5 * np.sin(pitch * along + random.uniform(0, 6))
            case 1:
                field = np.float32(np.sin(pitch * along) * np.sin(pitch * across) > 0)
            case 2:
                field = (along - along.min()) / np.ptp(along)
            case _:
                side = int(random.integers(2, 14))
                cells = Image.fromarray(random.random((side, side), np.float32))
                field = np.asarray(cells.resize((28, 28), Image.Resampling.BICUBIC))
        if random.random() < 0.3:
            field = np.float32(field > 0.5)
        low, high = np.sort(random.uniform(0, 1, 2))
        dark = random.random() < 0.5
        fields.append(field * max(high, 0.2) if dark else low + field * (high - low))
    return _bytes(np.stack(fields))


def _noise(count: int, random: np.random.Generator) -> Images:
    """Even, normal and sparse noise, and clouds of it."""
    fields: list[NDArray[np.floating]] = []
    for index in range(count):
        even = random.random((28, 28), np.float32)
        match index % 4:
            case 0:
                field: NDArray[np.floating] = even
            case 1:
                mean, deviation = random.uniform(-0.3, 0.6), random.uniform(0.05, 0.5)
                field = random.normal(mean, deviation, (28, 28))
            case 2:
                field = (even < random.uniform(0.01, 0.6)) * random.uniform(0.3, 1)
            case _:
                blur = ImageFilter.GaussianBlur(random.uniform(0.4, 2))
                soft = np.asarray(Image.fromarray(_bytes(even)).filter(blur), np.float32)
                level, contrast = random.uniform(0, 0.5), random.uniform(0.1, 0.4)
                field = level + contrast * (soft - soft.mean()) / (soft.std() + 1e-6)
        fields.append(field)
    return _bytes(np.stack(fields))


def _flat(count: int, random: np.random.Generator) -> Images:
    """Fields of one level, a third of them blank, half of them a little noisy."""
    level = random.random((count, 1, 1)) * (random.random((count, 1, 1)) > 0.3)
    grain = random.normal(0, 0.008, (count, 28, 28)) * (random.random((count, 1, 1)) > 0.5)
    return _bytes(level + grain)


def _bytes(fields: NDArray[np.floating]) -> Images:
    pixels: Images = (np.clip(fields, 0, 1) * 255).astype(np.uint8)
    return pixels
