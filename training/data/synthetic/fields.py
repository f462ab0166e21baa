"""Non-digits without strokes: textures, noise and flat fields."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from service.types import SIDE, Images
from training.data.synthetic.fonts import normal_form


def textures(count: int, random: np.random.Generator) -> Images:
    """Draws waves, checks, ramps and clouds of random direction, size and contrast."""
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


def noise(count: int, random: np.random.Generator) -> Images:
    """Draws uniform, normal, sparse and blurred noise."""
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


def flat(count: int, random: np.random.Generator) -> Images:
    """Draws fields of one level: a third of them blank, half of them slightly noisy."""
    level = random.random((count, 1, 1)) * (random.random((count, 1, 1)) > 0.3)
    grain = random.normal(0, 0.008, (count, 28, 28)) * (random.random((count, 1, 1)) > 0.5)
    return _bytes(level + grain)


def _bytes(fields: NDArray[np.floating]) -> Images:
    pixels: Images = (np.clip(fields, 0, 1) * 255).astype(np.uint8)
    return pixels


NEAR, FAR = 5, 9  # pixels from the middle


def two(digits: Images, count: int, random: np.random.Generator) -> Images:
    """Draws two of ``digits`` (n, 28, 28) side by side: cropped, or in normal form, in turn."""
    pictures = []
    for index in range(count):
        pair = digits[random.integers(0, len(digits), 2)]
        apart = random.integers(NEAR, FAR + 1, 2)
        wide = side_by_side(pair, random.integers(-2, 3, 2), int(apart.sum()))
        if index % 2:
            pictures.append(normal_form(Image.fromarray(wide)))
        else:
            left = SIDE // 2 + apart[0]  # the margin and the first digit's distance
            pictures.append(wide[SIDE : 2 * SIDE, left : left + SIDE])
    return np.stack(pictures)


def side_by_side(digits: Images, down: NDArray[np.integer], apart: int) -> Images:
    """Draws digits (k, 28, 28), each ``apart`` pixels right of the last and ``down`` (k,) lower."""
    canvas = np.zeros((3 * SIDE, 2 * SIDE + apart * (len(digits) - 1)), np.uint8)
    for index, (digit, lower) in enumerate(zip(digits, down, strict=True)):
        top, left = SIDE + lower, SIDE // 2 + index * apart
        field = canvas[top : top + SIDE, left : left + SIDE]
        np.maximum(field, digit, out=field)
    return canvas
