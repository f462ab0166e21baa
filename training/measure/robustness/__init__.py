"""How a served file fares on digits that came another way than MNIST's, and on what is no digit.

Measured on the file itself, as it serves. Every figure is a share of images, 0 to 1, and can be had
again: the generators are the functions of this package, and their seed is fixed.

:mod:`corruptions <training.measure.robustness.corruptions>` damages all test images,
:mod:`non_digits <training.measure.robustness.non_digits>` draws what should be doubted, and
:mod:`operating_point <training.measure.robustness.operating_point>` says where doubt begins.
"""

from __future__ import annotations

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
    """The accuracy under each corruption of test images (n, 28, 28), and on printed digits."""
    found = {
        name: _accuracy(answers(corrupt(images)), labels) for name, corrupt in CORRUPTIONS.items()
    }
    printed, digits = printed_digits(min(MOST_OF_A_KIND, len(images)))
    return {**found, "printed digits, fonts never trained on": _accuracy(answers(printed), digits)}


def doubt(answers: Answers, held_out: Images, images: Images, *, trained: bool) -> dict[str, Any]:
    """The operating point of "not a digit", and what passes and what is caught at it.

    The point is chosen on digits (n, 28, 28) that were held out of training; the test images
    (n, 28, 28) only show what it comes to. ``trained`` says whether the network was shown the
    non-digits that training has.

    Returns:
        ``score`` and ``threshold``, which the service reads; ``chosen_on``, the images it was
        chosen on and the share of them below it, or None where they were too few; ``digits``, the
        share of test digits that ``pass``, and that are in no doubt at all (``undoubted``: the
        service also looks at the ink); ``kinds``, for each kind of non-digit whether the network
        was ``trained`` on it, the area under the ROC curve of digits against it (``auroc``), the
        share ``caught`` by the threshold, and the share in any doubt (``doubted``).
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
    """The share that the service answers with any doubt."""
    return float(np.mean([bool(found) for found in doubts(images, probabilities, threshold)]))
