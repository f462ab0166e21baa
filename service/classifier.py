"""Classifies digits in this process, without a server, with the same bits as ``POST /predict``."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import ArrayLike

from service.answer.predictions import members, predictions
from service.answer.quality import SURE_ENOUGH, doubts, least_confidence
from service.decode.arrays import images_from_array
from service.decode.pictures import Pictures, picture_doubts
from service.imaging.load import open_picture
from service.inference.batch import BatchResult
from service.inference.runtime import Runtime
from service.models.repository import Repository, RepositoryError, default_root, parse_version
from service.numbers.number import Digit, segment
from service.types import Images, Limits, Probabilities

Picture = str | os.PathLike[str] | bytes  # the path of a picture file, or the bytes of one

_PICTURE = (str, os.PathLike, bytes)
_BATCH_ROWS = 64


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer for one image, with the fields and doubts of ``POST /predict``'s JSON."""

    digit: int
    confidence: float
    probabilities: tuple[float, ...]
    doubtful: bool
    doubts: tuple[str, ...]


class Classifier:
    """One version of a model repository, by default the champion; any threads may call it at once.

    ``models`` is the folder, by default ``./models``, or the packaged champion without that. Raises
    :class:`~service.models.repository.RepositoryError` if the version is missing or damaged, and
    :class:`~service.inference.runtime.RuntimeLoadError` if ONNX Runtime rejects it.
    """

    def __init__(
        self, models: str | os.PathLike[str] | None = None, version: int | str | None = None
    ) -> None:
        repository = Repository(default_root() if models is None else Path(models))
        number = repository.champion() if version is None else parse_version(str(version))
        if number is None:
            raise RepositoryError(f"{version!r} is not the number of a version")
        card, model = repository.read(number)
        self.version = str(number)
        self._least_confidence = least_confidence(card)
        self._runtime = Runtime.load(model)

    def predict(self, images: ArrayLike | Picture | Sequence[Picture]) -> list[Prediction]:
        """Returns one prediction for each image, in their order.

        ``images`` is an array [28, 28], [784], [n, 28, 28], [n, 784] or [n, 28, 28, 1] of numbers
        from 0 = background to 255 = full ink; or one picture of a digit, or a list of them. Raises
        OSError for a path, and a :class:`~service.errors.Fault` for other arrays and pictures.
        """
        known = None
        items = [images] if isinstance(images, _PICTURE) else images
        if isinstance(items, list | tuple) and items and isinstance(items[0], _PICTURE):
            seen = [Pictures([_content(item)]).preprocess(Limits())[0] for item in items]
            rows, known = np.array([one.image for one in seen]), picture_doubts(seen)
        else:
            rows = images_from_array(np.asarray(items), "images", Limits(images=1 << 62))
        probabilities, found = self.answer(rows, known)
        body = predictions(self.version, members(BatchResult(rows, probabilities)), found)
        return [
            Prediction(**one | {name: tuple(one[name]) for name in ("probabilities", "doubts")})
            for one in orjson.loads(body)["predictions"]
        ]

    def answer(
        self, images: Images, known: Sequence[tuple[str, ...] | None] | None = None
    ) -> tuple[Probabilities, list[tuple[str, ...]]]:
        """Returns the probabilities (n, 10) and the doubts of images (n, 28, 28).

        ``known`` are the doubts that the pictures of some images gave, None for the others.
        """
        probabilities = self._probabilities(images)
        return probabilities, doubts(images, probabilities, self._least_confidence, known)

    def read(self, picture: Picture) -> list[list[Digit]]:
        """Returns the digits of a number in a picture, line by line; raises as :meth:`predict`."""
        number = segment(open_picture(_content(picture), Limits()))
        first = self._probabilities(number.images)
        number = number.cut(first)
        both = np.concatenate([first, self._probabilities(number.images[len(first) :])])
        return number.read(both, SURE_ENOUGH * self._least_confidence)

    def _probabilities(self, images: Images) -> Probabilities:
        starts = range(0, len(images), _BATCH_ROWS)
        batches = (self._runtime.run(images[first : first + _BATCH_ROWS]) for first in starts)
        return np.concatenate([np.empty((0, 10), np.float32), *batches])


def _content(picture: Picture) -> bytes:
    return picture if isinstance(picture, bytes) else Path(picture).read_bytes()
