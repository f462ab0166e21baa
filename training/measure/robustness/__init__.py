"""Measures an ONNX file on damaged and printed digits, and on non-digits.

Every figure is a share of images, 0 to 1, and repeatable: the images come from a fixed seed.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from service.answer.quality import doubts
from service.types import Images, Labels, Probabilities
from training.measure.robustness import non_digits, operating_point
from training.measure.robustness.corruptions import CORRUPTIONS
from training.measure.robustness.non_digits import printed_digits

Answers = Callable[[Images], Probabilities]
"""Images (n, 28, 28) uint8 -> probabilities (n, 10) float32."""

MOST_OF_A_KIND = 1000


def accuracies(answers: Answers, images: Images, labels: Labels) -> dict[str, float]:
    """Returns the accuracy under each corruption of images (n, 28, 28), and on printed digits."""
    found = {
        name: _accuracy(answers(corrupt(images)), labels) for name, corrupt in CORRUPTIONS.items()
    }
    printed, digits = printed_digits(min(MOST_OF_A_KIND, len(images)))
    return {**found, "printed digits, fonts never trained on": _accuracy(answers(printed), digits)}


def doubt(answers: Answers, held_out: Images, images: Images, *, trained: bool) -> dict[str, Any]:
    """Chooses the threshold of doubt, and measures how many digits pass and non-digits do not.

    It chooses the threshold on ``held_out`` digits (n, 28, 28) and measures with the test images
    (n, 28, 28). ``trained`` says whether the training data had non-digits.

    Returns ``score`` and ``threshold``, which the service reads; ``chosen_on``, the number of
    held-out images and the share below the threshold, or None if there were too few; ``digits``,
    the share of test digits that ``pass`` the threshold, and that raise no doubt at all
    (``undoubted``: the service also checks the ink); ``kinds``, for each kind of non-digit whether
    the network was ``trained`` on it, the area under the ROC curve of digits against it
    (``auroc``), and the shares ``caught`` below the threshold and ``doubted`` at all.
    """
    sure = answers(held_out).max(axis=1) if len(held_out) else np.empty(0, np.float32)
    threshold, chosen_on = operating_point.choose(sure)
    digits = answers(images)
    count = min(MOST_OF_A_KIND, len(images))
    known = non_digits.known(images[:count])
    kinds: dict[str, Mapping[str, Any]] = {}
    for name, pictures in {**known, **non_digits.new(images[:count])}.items():
        theirs = answers(pictures)
        kinds[name] = {
            "trained": trained and name in known,
            "auroc": operating_point.auroc(digits.max(axis=1), theirs.max(axis=1)),
            "caught": float(np.mean(theirs.max(axis=1) < threshold)),
            "doubted": _doubted(pictures, theirs, threshold),
        }
    return {
        "score": "max_probability",
        "threshold": threshold,
        "chosen_on": chosen_on,
        "digits": {
            "pass": float(np.mean(digits.max(axis=1) >= threshold)),
            "undoubted": 1 - _doubted(images, digits, threshold),
        },
        "kinds": kinds,
    }


def _accuracy(probabilities: Probabilities, labels: Labels) -> float:
    return float(np.mean(probabilities.argmax(axis=1) == labels))


def _doubted(images: Images, probabilities: Probabilities, threshold: float) -> float:
    """Returns the share of images for which the service reports any doubt."""
    return float(np.mean([bool(found) for found in doubts(images, probabilities, threshold)]))
