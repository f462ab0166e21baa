"""Strings of digits as pictures, and the share of them that the service reads right.

The functions place digits side by side, each slightly larger or smaller, higher or lower than the
previous one, apart or with overlapping ink. Rows of separate digits are also rotated, stacked in
lines, framed as house numbers, or written on a ruled line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from time import process_time

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from service.imaging.load import Picture
from service.inference.runtime import Runtime
from service.numbers.number import Digit, segment
from service.types import Images
from tests.corpus.digits import Shape, mnist

_TALL = 80  # pixels of a digit's longer side
Random = np.random.Generator


def string_rows(
    runtime: Runtime, least: float, count: int, seed: int, subset: str
) -> Iterator[str]:
    """Yields for each kind and length the count, the per cent that is read right, and CPU ms."""
    random = np.random.default_rng(seed)
    shapes = mnist(5000, seed, subset)
    for make, lengths in LENGTHS.items():
        for length in lengths:
            strings = [make(shapes, length, random) for _ in range(count)]
            start = process_time()
            right = sum(read(runtime, Picture(g, g.shape[::-1]), least) == t for g, t in strings)
            ms = 1000 * (process_time() - start) / count
            name = f"{length} {make.__name__}"
            yield f"{name:<16}{count:>6}{100 * right / count:>9.2f}{ms:>8.1f}"


def read(runtime: Runtime, picture: Picture, least: float) -> str:
    """Returns the text that ``POST /read`` answers for a picture."""
    number = segment(picture)
    if not len(number.images):
        return ""
    probabilities = runtime.run(number.images)
    pieces = number.cut(probabilities)
    if len(pieces.images) > len(number.images):
        more = runtime.run(pieces.images[len(number.images) :])
        probabilities = np.concatenate([probabilities, more])
    return text_of(pieces.read(probabilities, least))


def text_of(lines: list[list[Digit]]) -> str:
    """Returns the digits, with a newline between lines."""
    return "\n".join("".join(str(one.digit) for one in line) for line in lines)


def apart(shapes: Sequence[Shape], length: int, random: Random) -> tuple[Images, str]:
    """Returns a picture (h, w) of digits, 0.1 to 0.5 of their height apart, and their text."""
    chosen = [shapes[i] for i in random.integers(0, len(shapes), length)]
    sheet, right = _sheet(length), _TALL // 2
    for shape in chosen:
        ink, top = _written(shape, random)
        right = _put(sheet, ink, top, right + int(random.uniform(0.1, 0.5) * _TALL))
    return _as_picture(sheet, right), _text(chosen)


def touching(shapes: Sequence[Shape], length: int, random: Random) -> tuple[Images, str]:
    """Returns a picture (h, w) of digits, each touching the previous one, and their text."""
    while True:
        chosen = [shapes[i] for i in random.integers(0, len(shapes), length)]
        sheet, right = _sheet(length), _TALL // 2
        for place, shape in enumerate(chosen):
            ink, top = _written(shape, random)
            left = _in_touch(sheet, ink, top, right) if place else right
            if left is None:
                break
            right = _put(sheet, ink, top, left)
        else:
            return _as_picture(sheet, right), _text(chosen)


def slanted(shapes: Sequence[Shape], length: int, random: Random) -> tuple[Images, str]:
    """Returns a row of separate digits (h, w), rotated by up to ten degrees, and their text."""
    grey, text = apart(shapes, length, random)
    turned = Image.fromarray(grey).rotate(
        random.uniform(-10, 10), Image.Resampling.BICUBIC, expand=True, fillcolor=250
    )
    return np.asarray(turned), text


def in_lines(shapes: Sequence[Shape], length: int, random: Random) -> tuple[Images, str]:
    """Returns lines (h, w) of two to five digits, each line in its own size, and their text."""
    rows, texts = [], []
    for _ in range(length):
        grey, text = apart(shapes, int(random.integers(2, 6)), random)
        inked = np.flatnonzero((grey < 128).any(axis=1))
        grey = grey[inked[0] : inked[-1] + 1]
        scale = random.uniform(0.6, 1.2)
        size = round(grey.shape[1] * scale), round(grey.shape[0] * scale)
        rows.append(np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BICUBIC)))
        texts.append(text)
    gaps = [int(random.uniform(0.2, 0.6) * _TALL) for _ in rows]
    wide = max(row.shape[1] for row in rows) + _TALL
    sheet = np.full((sum(map(len, rows)) + sum(gaps) + _TALL, wide), 250, np.uint8)
    top = _TALL // 2
    for row, gap in zip(rows, gaps, strict=True):
        left = int(random.integers(0, _TALL))
        sheet[top : top + len(row), left : left + row.shape[1]] = row
        top += len(row) + gap
    return sheet, "\n".join(texts)


def framed(shapes: Sequence[Shape], length: int, random: Random) -> tuple[Images, str]:
    """Returns a row of separate digits (h, w) in a rectangle as on a house, and their text."""
    grey, text = apart(shapes, length, random)
    image = Image.fromarray(np.pad(grey, _TALL // 4, constant_values=250))
    width, gap = int(random.integers(2, 7)), int(random.uniform(0.1, 0.4) * _TALL)
    sides = gap, gap, image.width - 1 - gap, image.height - 1 - gap
    ImageDraw.Draw(image).rectangle(sides, outline=40, width=width)
    return np.asarray(image), text


def on_a_line(shapes: Sequence[Shape], length: int, random: Random) -> tuple[Images, str]:
    """Returns a row of separate digits (h, w) on or across a ruled line, and their text."""
    grey, text = apart(shapes, length, random)
    inked = np.flatnonzero((grey < 128).any(axis=1))
    row, width = int(inked[-1] - random.uniform(0, 0.15) * _TALL), int(random.integers(1, 4))
    ruled = grey.copy()
    ruled[row : row + width] = np.minimum(ruled[row : row + width], random.integers(60, 160))
    return ruled, text


def with_a_sign(shapes: Sequence[Shape], length: int, random: Random) -> tuple[Images, str]:
    """Returns digits (h, w) with a letter, slash, dash or dot between two, and the digits' text."""
    before = int(random.integers(1, length))
    left, text = apart(shapes, before, random)
    right, more = apart(shapes, length - before, random)
    sign, side = _sign(random), _TALL // 2
    sign = _as_picture(sign, sign.shape[1])
    return np.concatenate([left[:, :-side], sign, right[:, side:]], axis=1), text + more


def uneven(shapes: Sequence[Shape], length: int, random: Random) -> tuple[Images, str]:
    """Returns a row of separate digits (h, w), the last one small or faint, and their text."""
    first, text = apart(shapes, length - 1, random)
    last, one = apart(shapes, 1, random)
    scale, ink = (random.uniform(0.25, 0.5), 1.0) if random.random() < 0.5 else (1.0, 0.3)
    size = round(last.shape[1] * scale), round(last.shape[0] * scale)
    small = np.full((len(first), size[0]), 250, np.uint8)
    top = int(random.uniform(0, 1) * (len(first) - size[1]) / 2 + (len(first) - size[1]) / 4)
    resized = np.asarray(Image.fromarray(last).resize(size, Image.Resampling.BICUBIC))
    small[top : top + size[1]] = 250 - (ink * (250 - resized.clip(0, 250))).astype(np.uint8)
    return np.concatenate([first, small[:, round(_TALL * scale) // 2 :]], axis=1), text + one


LENGTHS: dict[Callable[[Sequence[Shape], int, Random], tuple[Images, str]], Sequence[int]] = {
    apart: range(1, 9),
    touching: range(2, 4),
    slanted: (4, 8),
    in_lines: (2, 3),
    framed: (3,),
    **dict.fromkeys((on_a_line, with_a_sign, uneven), (4,)),
}
LETTERS = "ACEFHKMNPRTUVWXYadefhkmnprtuvwxy&#@%?"  # without letters that look like a digit
_SIGNS = "/-+=.,:"


def _sheet(length: int) -> Images:
    return np.zeros((_TALL * 2, _TALL * (2 * length + 1)), np.uint8)


def _written(shape: Shape, random: Random) -> tuple[Images, int]:
    """Returns the digit's ink at its size, and the first row of the sheet that it covers."""
    scale = _TALL * random.uniform(0.88, 1.12) / max(shape.ink.shape)
    image = Image.fromarray((shape.ink * 255).astype(np.uint8))
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    ink = np.asarray(image.resize(size, Image.Resampling.BICUBIC))
    return ink, round(_TALL - len(ink) / 2 + random.uniform(-0.07, 0.07) * _TALL)


def _sign(random: Random) -> Images:
    """Returns the ink (h, w) of a letter or another sign, as high as a sheet."""
    signs = LETTERS if random.random() < 0.5 else _SIGNS
    sign = signs[random.integers(len(signs))]
    image = Image.new("L", (3 * _TALL, 2 * _TALL))
    size = random.uniform(1.1, 1.5) * (1.2 if sign == "/" else 1)
    font = ImageFont.load_default(_TALL * size)
    foot = _TALL, round(1.45 * _TALL)
    bold = float(random.uniform(0, 3))
    pen = ImageDraw.Draw(image)
    pen.text(foot, sign, 255, font, "ls", stroke_width=bold)
    lean = random.uniform(-0.1, 0.3)
    leaning = 1, lean, -_TALL * lean, 0, 1, 0
    image = image.transform(image.size, Image.Transform.AFFINE, leaning, Image.Resampling.BICUBIC)
    ink = np.asarray(image)
    columns = np.flatnonzero(ink.any(axis=0))
    gap = int(random.uniform(0.1, 0.3) * _TALL)
    return np.pad(ink[:, columns[0] : columns[-1] + 1], ((0, 0), (gap, 0)))


def _in_touch(sheet: Images, ink: Images, top: int, right: int) -> int | None:
    """Returns the column where the inks overlap. None if a shift of 0.25 heights is too little."""
    for left in range(right, right - _TALL // 4, -1):
        field = sheet[top : top + len(ink), left : left + ink.shape[1]]
        if np.count_nonzero((field > 127) & (ink > 127)) >= _TALL // 20:
            return left
    return None


def _put(sheet: Images, ink: Images, top: int, left: int) -> int:
    field = sheet[top : top + len(ink), left : left + ink.shape[1]]
    np.maximum(field, ink, out=field)
    return left + int(ink.shape[1])


def _as_picture(sheet: Images, right: int) -> Images:
    """Returns dark ink on a light sheet."""
    return np.ascontiguousarray(250 - (sheet[:, : right + _TALL // 2] * 0.9).astype(np.uint8))


def _text(chosen: Sequence[Shape]) -> str:
    return "".join(str(shape.label) for shape in chosen)
