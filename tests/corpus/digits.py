"""The digits of the corpus: MNIST's, other writers' and strokes of a mouse."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from service.decode import arrays
from service.imaging.components import bounding_box

MNIST = Path(__file__).resolve().parent.parent.parent / "training" / "mnist"
OTHERS = Path(__file__).resolve().parent / "digits.csv.gz"


@dataclass(frozen=True, slots=True)
class Shape:
    """One digit: its ink (h, w), 0 to 1, cropped to its box, and its label."""

    ink: NDArray[np.float32]
    label: int


def mnist(count: int, seed: int, subset: str = "t10k") -> list[Shape]:
    """Returns random images of MNIST's ``subset``, t10k or train, as large smooth shapes."""
    files = [MNIST / f"{subset}-{name}-ubyte.gz" for name in ("images-idx3", "labels-idx1")]
    images, labels = (arrays.read_idx(file.read_bytes()) for file in files)
    chosen = np.random.default_rng(seed).permutation(len(images))[:count]
    return [Shape(_enlarged(_cropped(images[i]), 10), int(labels[i])) for i in chosen]


def other_writers(count: int, seed: int) -> list[Shape]:
    """Returns digits of 43 writers (Alpaydin and Kaynak 1998), scikit-learn's ``digits``."""
    with gzip.open(OTHERS, "rt") as file:  # (1797, 65): 64 pixels 0..16 row by row, and the digit
        table = np.loadtxt(file, delimiter=",", dtype=np.int64)
    chosen = np.random.default_rng(seed).permutation(len(table))[:count]
    shapes = []
    for row in table[chosen]:
        small = (row[:64].reshape(8, 8) * 15.9375).astype(np.uint8)
        shapes.append(Shape(_enlarged(_cropped(small), 24, middle=0.45, steep=1.4), int(row[64])))
    return shapes


# Points of each digit's strokes as people draw it, on a grid 10 wide and 10 high.
_PATHS: dict[int, list[list[str]]] = {
    0: [["5,0 2,1 0,4 0,7 2,10 5,10 8,8 8,4 7,1 5,0"]],
    1: [["4,0 4,10"], ["2,2 5,0 5,10"], ["5,0 3,10"]],
    2: [["1,2 3,0 6,0 8,2 7,5 4,7 1,10 8,10"], ["0,2 4,0 7,2 6,5 1,9 2,10 9,9"]],
    3: [["1,1 4,0 7,1 7,3 4,5 7,6 8,8 5,10 1,9"], ["1,0 7,0 4,4 7,6 7,9 4,10 1,9"]],
    4: [["5,0 0,7 8,7", "6,3 6,10"], ["1,0 1,5 7,5", "7,0 7,10"]],
    5: [["8,0 2,0 1,5 5,4 8,6 7,9 4,10 1,9"], ["2,0 1,5 5,4 8,6 7,9 4,10 1,9", "2,0 8,0"]],
    6: [["6,0 2,3 1,7 3,10 6,10 7,8 6,6 3,6 1,8"], ["5,0 2,4 1,7 3,10 6,9 7,7 5,5 2,7"]],
    7: [["0,0 8,0 3,10"], ["0,1 8,0 5,5 4,10"], ["0,0 8,0 3,10", "2,5 7,5"]],
    8: [["6,1 4,0 2,1 2,3 6,6 7,8 5,10 2,9 2,7 6,4 7,2 6,1"]],
    9: [["7,2 5,0 2,1 2,4 5,5 7,3 7,1 7,10"], ["7,3 5,5 2,4 2,1 5,0 7,2 6,6 5,10"]],
}


def drawn(label: int, width: float, size: int, random: np.random.Generator) -> Shape:
    """Draws a digit as a mouse or a finger does, with ``width`` and ``size`` in pixels."""
    scale, paths = (size - width) / 10, _PATHS[label]
    image = Image.new("L", (size * 2, size * 2))
    pen = ImageDraw.Draw(image)
    slant, narrow = random.normal(0, 0.1), random.uniform(0.7, 1.0)
    for path in paths[random.integers(len(paths))]:
        points = np.array([[float(v) for v in p.split(",")] for p in path.split()])
        points += random.normal(0, 0.3, points.shape)
        points[:, 0] = points[:, 0] * narrow + slant * (10 - points[:, 1])
        smooth = _smooth(points) * scale + size / 2
        spots = [(float(x), float(y)) for x, y in smooth]
        pen.line(spots, fill=255, width=max(1, round(width)), joint="curve")
        for x, y in (spots[0], spots[-1]):
            r = width / 2
            pen.ellipse((x - r, y - r, x + r, y + r), fill=255)
    return Shape((_cropped(np.asarray(image)) / 255).astype(np.float32), label)


def _smooth(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns a curve through the points (Catmull and Rom 1974)."""
    padded = np.concatenate([points[:1], points, points[-1:]])
    t = np.linspace(0, 1, 12, endpoint=False)[:, None]
    pieces = []
    for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        pieces.append(
            0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2)
            + 0.5 * (3 * b - a - 3 * c + d) * t**3
        )
    return np.concatenate([*pieces, points[-1:]])


def _cropped(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return image[bounding_box(image > 0).slices]


def _enlarged(
    small: NDArray[np.uint8], factor: int, middle: float = 0.5, steep: float = 3.0
) -> NDArray[np.float32]:
    """Enlarges a shape, with sharp edges as a pen leaves them."""
    padded = Image.fromarray(np.pad(small, 1))
    size = padded.width * factor, padded.height * factor
    soft = np.asarray(padded.resize(size, Image.Resampling.BICUBIC), np.float32) / 255
    sharp = np.clip((soft - middle) * steep + 0.5, 0, 1)
    return (_cropped((sharp * 255).astype(np.uint8)) / 255).astype(np.float32)
