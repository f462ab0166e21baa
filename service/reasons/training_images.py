"""Finds the training images that are nearest to an image, by their pixels.

The index holds every image in some 19 MB: which pixels have ink and how much, and 16 principal
components of its 14 x 14 form, which preselect. The distance is that of the pixels themselves.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.background.kept import Kept
from service.background.large_work import give_way, when_large
from service.decode.idx import read_idx
from service.errors import Fault
from service.observe.logs import LOGGER
from service.reasons.patches import Image
from service.types import PIXELS, SIDE, Images

Floats = NDArray[np.float32]
_COMPONENTS, _PRESELECTED = 16, 256
"""Of the five nearest images, 99 % are among the preselected."""
_CHUNK, _ROUNDS = 500, 20
"""The principal components are those of the first chunk."""


class Neighbour(NamedTuple):
    """A training image (28, 28): its place in the training set, from 0, and how far away it is."""

    place: int
    label: int
    distance: float
    """Euclidean, of pixels from 0 to 1."""
    image: Image


@dataclass(frozen=True, slots=True)
class TrainingImages:
    """The index; any number of threads may ask it."""

    _labels: NDArray[np.uint8]
    _inked: NDArray[np.uint8]
    """Which pixels have ink, a bit each, (n, 98)."""
    _ink: NDArray[np.uint8]
    """Those pixels of all images, one after the other."""
    _starts: NDArray[np.int32]
    _mean: Floats
    _axes: Floats
    _places: Floats
    """The images' principal components, (n, 16)."""
    _squares: Floats

    @classmethod
    def load(cls, folder: Path) -> TrainingImages:
        """Reads MNIST's training files in ``folder``, in about a second.

        Raises OSError, EOFError, zlib.error, ValueError or a Fault if it cannot.
        """
        labels = read_idx((folder / "train-labels-idx1-ubyte.gz").read_bytes())
        inked = np.empty((len(labels), PIXELS // 8), np.uint8)
        places = np.empty((len(labels), _COMPONENTS), np.float32)
        ink, mean, axes = bytearray(), None, None
        for part, chunk in _chunks(folder / "train-images-idx3-ubyte.gz", len(labels)):
            pixels, halved = chunk.reshape(len(chunk), PIXELS), _halved(chunk)
            give_way()
            if mean is None or axes is None:
                mean, axes = _principal(halved)
            places[part] = np.einsum("ni,ij->nj", halved - mean, axes)
            give_way()
            inked[part] = np.packbits(pixels > 0, axis=1)
            ink += pixels[pixels > 0].tobytes()
            give_way()
        if mean is None or axes is None:
            raise ValueError(f"{folder} holds no training images")
        starts = np.zeros(len(labels) + 1, np.int32)
        np.cumsum(np.bitwise_count(inked).sum(1), out=starts[1:])
        pixels, squares = np.frombuffer(ink, np.uint8), np.square(places).sum(1)
        return cls(labels, inked, pixels, starts, mean, axes, places, squares)

    def nearest(self, image: Image, count: int, label: int | None = None) -> list[Neighbour]:
        """Returns the ``count`` nearest training images, or those of one ``label``."""
        place = np.einsum("i,ij->j", _halved(image[None])[0] - self._mean, self._axes)
        distance = self._squares - np.einsum("ni,i->n", self._places, 2 * place)
        if label is not None:
            distance[self._labels != label] = np.inf
        give_way()
        most = min(_PRESELECTED, len(distance) - 1)
        near = np.argpartition(distance, most)[: most + 1]
        images = self._images(near[np.isfinite(distance[near])])
        give_way()
        apart = images.reshape(-1, PIXELS).astype(np.float32) - image.reshape(PIXELS)
        exact = np.sqrt(np.square(apart).sum(1)) / 255
        return [
            Neighbour(int(near[i]), int(self._labels[near[i]]), float(exact[i]), images[i])
            for i in exact.argsort(kind="stable")[:count].tolist()
        ]

    def _images(self, places: NDArray[np.int64]) -> Images:
        """The images (n, 28, 28) at these places of the training set."""
        images = np.zeros((len(places), PIXELS), np.uint8)
        ends = zip(self._starts[places].tolist(), self._starts[places + 1].tolist(), strict=True)
        ink = [self._ink[start:end] for start, end in ends]
        if ink:
            inked = np.unpackbits(self._inked[places], axis=1)
            images[inked > 0] = np.concatenate(ink)
        return images.reshape(-1, SIDE, SIDE)


class FirstUse:
    """The training images in ``folder``, loaded when somebody first asks for them."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._kept = folder, Kept[TrainingImages | None](1)

    async def get(self, deadline: float) -> TrainingImages | None:
        """Returns the index; None, and a line in the log, if the files cannot be read.

        Raises :class:`DeadlineExceeded` at ``deadline``, on ``perf_counter``'s clock; the loading
        goes on.
        """
        return await self._kept.get("", partial(when_large, True, self._load), deadline)

    def _load(self) -> TrainingImages | None:
        try:
            return TrainingImages.load(self._folder)
        except (OSError, EOFError, zlib.error, ValueError, Fault) as error:
            LOGGER.warning("explanations lack the training images: %s", error)
            return None


def _chunks(path: Path, count: int) -> Iterator[tuple[slice, Images]]:
    """The ``count`` images of an IDX file, a few at a time: all of them take 47 MB."""
    with gzip.open(path) as file:
        if np.frombuffer(file.read(16), ">u4").tolist() != [0x803, count, SIDE, SIDE]:
            raise ValueError(f"{path} does not hold {count} images of 28 x 28 pixels")
        for first in range(0, count, _CHUNK):
            part = slice(first, min(first + _CHUNK, count))
            chunk = np.frombuffer(file.read((part.stop - first) * PIXELS), np.uint8)
            yield part, chunk.reshape(part.stop - first, SIDE, SIDE)


def _halved(images: Images) -> Floats:
    """Images (n, 28, 28) at half their size, as rows (n, 196) of sums of four pixels."""
    rows = images[:, ::2].astype(np.uint16) + images[:, 1::2]
    halved = rows[:, :, ::2] + rows[:, :, 1::2]
    return halved.reshape(len(images), -1).astype(np.float32)


def _principal(rows: Floats) -> tuple[Floats, Floats]:
    """The mean of rows (n, 196), and their principal components (196, m), by orthogonal iteration.

    ``einsum`` keeps to one thread. The threads of a BLAS would wait in loops for each other, on the
    cores of the requests.
    """
    mean = rows.mean(0, dtype=np.float32)
    centred = rows - mean
    covariance = np.einsum("ni,nj->ij", centred, centred)
    axes = np.eye(len(mean), dtype=np.float32)[:, np.argsort(-covariance.diagonal())[:_COMPONENTS]]
    for _ in range(_ROUNDS):
        axes = np.linalg.qr(np.einsum("ij,jk->ik", covariance, axes))[0]
        give_way()
    return mean, axes
