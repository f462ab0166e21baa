"""Builds the reasons of an answer: what ``?include=why`` adds, and the answer of ``/explain``."""

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import TooLarge
from service.imaging.load import encode_png
from service.reasons.otherwise import search
from service.reasons.shapley import Image, attribute, cells, clusters
from service.reasons.steps import Steps
from service.reasons.training_images import TrainingImages
from service.types import Probabilities

_WHY_PATCHES, WHY_ROWS = 8, 128
EXPLAIN_ROWS = 640
EXPLAIN_COST = 1100
"""The images of a whole explanation, in the mean; some 460 are of the search for another digit."""
_EXAMPLES, _NEAREST = 7, 5
MOST_IMAGES = 64  # the images of a request that are explained: some four seconds of work
_FOR, _AGAINST = (255, 140, 0), (0, 110, 255)


def why(image: Image, probabilities: Probabilities) -> Steps[dict[str, Any]]:
    """What ``?include=why`` adds for an image (28, 28) with its ``probabilities`` (10,)."""
    digit = int(probabilities.argmax())
    patches = clusters(image, _WHY_PATCHES)
    found = yield from attribute(image, digit, float(probabilities[digit]), patches, WHY_ROWS)
    told = {"attributions": found.values, "base": found.base, "method": found.method}
    return told | {"png": _png(overlay(found.values))}


def explanation(
    image: Image, probabilities: Probabilities, against: int | None, training: TrainingImages | None
) -> Steps[dict[str, Any]]:
    """The members of ``/explain`` for an image (28, 28) with its ``probabilities`` (10,).

    ``against`` is the other digit, None for the second likeliest; ``training`` may be missing.
    """
    digit = int(probabilities.argmax())
    patches = cells(image)
    found = yield from attribute(image, digit, float(probabilities[digit]), patches, EXPLAIN_ROWS)
    other = int(probabilities.argsort(kind="stable")[-2]) if against is None else against
    otherwise = None
    if training is not None and other != digit:
        examples = training.nearest(image, _EXAMPLES, other)
        changed = yield from search(image, other, [each.image for each in examples])
        if changed:
            png, ink = _png(changed.image), round(changed.changed, 2)
            sure = changed.confidence
            otherwise = {"digit": other, "png": png, "confidence": sure, "changed": ink}
    told: dict[str, Any] = {"digit": digit, "confidence": probabilities[digit]}
    told |= {"attributions": found.values, "standard_error": found.errors}
    told |= {"base": found.base, "method": found.method, "otherwise": otherwise}
    nearest = [
        {"index": place, "label": label, "distance": round(far, 4), "png": _png(example)}
        for place, label, far, example in (training.nearest(image, _NEAREST) if training else ())
    ]
    return told | {"nearest": nearest}


def check_explained(count: int) -> None:
    """Raises :class:`TooLarge` if a request asks for the reasons of too many images."""
    if count > MOST_IMAGES:
        raise TooLarge(f"{count} images; at most {MOST_IMAGES} are explained in a request")


def overlay(attributions: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Colours attributions (h, w) as RGBA (h, w, 4): orange for the digit, blue against it."""
    strength = np.abs(attributions) / max(float(np.abs(attributions).max()), 1e-9)
    colours = np.where((attributions > 0)[..., None], _FOR, _AGAINST)
    return np.dstack([colours, np.round(255 * strength)]).astype(np.uint8)


def _png(pixels: NDArray[np.uint8]) -> str:
    return base64.b64encode(encode_png(pixels)).decode()
