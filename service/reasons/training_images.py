"""Finds the training images that are nearest to an image, by their pixels.

The index holds every image in some 17 MB: compressed, and as 5 x 5 squares, which preselect.
"""

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from service.background.large_work import give_way, when_large
from service.decode.arrays import read_idx
from service.errors import Fault
from service.observe.logs import LOGGER
from service.reasons.shapley import Image
from service.types import PIXELS, SIDE, Images

_PRESELECTED = 256  # of the five nearest images, 97 % are among the preselected
_CHUNK = 8  # images that are read at a time: all of them take 47 MB


class Neighbour(NamedTuple):
    """A training image (28, 28): its place in the training set, from 0, and how far away it is."""

    place: int
    label: int
    distance: float  # Euclidean, of pixels from 0 to 1
    image: Image


@dataclass(frozen=True, slots=True)
class TrainingImages:
    """The index; any number of threads may ask it."""

    _labels: NDArray[np.uint8]
    _packed: list[bytes]  # each image, compressed
    _squares: NDArray[np.uint8]  # each image's squares, (n, 25)
    _lengths: NDArray[np.float32]  # the squared Euclidean lengths of these rows

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads MNIST's training files in ``folder``, in about a second, or raises."""
        labels = read_idx((folder / "train-labels-idx1-ubyte.gz").read_bytes())
        path, packed = folder / "train-images-idx3-ubyte.gz", list[bytes]()
        squares = np.empty((len(labels), 25), np.uint8)
        with gzip.open(path) as file:
            header = np.frombuffer(file.read(16), ">u4").tolist()
            if header != [0x803, len(labels), SIDE, SIDE] or not len(labels):
                raise ValueError(f"{path} does not hold an image of 28 x 28 pixels for each label")
            for first in range(0, len(labels), _CHUNK):
                count = min(_CHUNK, len(labels) - first)
                images = np.frombuffer(file.read(count * PIXELS), np.uint8).reshape(-1, SIDE, SIDE)
                squares[first : first + count] = _squares(images)
                packed += [zlib.compress(image.tobytes(), 1) for image in images]
                give_way()
        return cls(labels, packed, squares, np.square(squares, dtype=np.float32).sum(1))

    def nearest(self, image: Image, count: int, label: int | None = None) -> list[Neighbour]:
        """Returns the ``count`` nearest training images, or those of one ``label``."""
        squares = self._squares.astype(np.float32)
        give_way()
        distance = self._lengths - 2 * np.einsum("ni,i->n", squares, _squares(image[None])[0])
        if label is not None:
            distance[self._labels != label] = np.inf
        give_way()
        most = min(_PRESELECTED, len(distance)) - 1
        places = np.argpartition(distance, most)[: most + 1]
        places = places[np.isfinite(distance[places])]
        content = b"".join([zlib.decompress(self._packed[place]) for place in places.tolist()])
        images = np.frombuffer(content, np.uint8).reshape(-1, SIDE, SIDE)
        give_way()
        exact = np.sqrt(np.square(images.astype(np.float32) - image).sum((1, 2))) / 255
        return [
            Neighbour(int(places[i]), int(self._labels[places[i]]), float(exact[i]), images[i])
            for i in exact.argsort(kind="stable")[:count].tolist()
        ]


async def load_index(folder: Path) -> TrainingImages | None:
    """Loads the index; None if it cannot be read."""
    try:
        return await when_large(True, TrainingImages.load, folder)
    except (OSError, EOFError, zlib.error, ValueError, Fault) as error:
        LOGGER.warning("explanations lack the training images: %s", error)
        return None


def _squares(images: Images) -> NDArray[np.uint8]:
    """The mean of each square of 4 x 4 pixels in the middle of images (n, 28, 28), as (n, 25)."""
    middle = images[:, 4:24, 4:24].reshape(-1, 5, 4, 5, 4)
    means: NDArray[np.uint16] = middle.sum((2, 4), dtype=np.uint16) // 16
    return means.astype(np.uint8).reshape(-1, 25)
