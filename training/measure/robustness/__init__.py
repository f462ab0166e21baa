"""Measures an ONNX file on damaged and printed digits, and on non-digits.

Every figure is a share of images, 0 to 1, and repeatable: the images come from a fixed seed.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.answer.quality import LEAST_CONFIDENCE, doubts
from service.types import Images, Labels, Probabilities
from training.measure.compare import at_most
from training.measure.robustness import non_digits
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

    Returns the card's ``doubt``: ``caught`` are shares below the threshold, ``doubted`` those with
    any doubt, also about the ink. ``trained`` says whether the training data had non-digits.
    """
    sure = answers(held_out).max(axis=1) if len(held_out) else np.empty(0, np.float32)
    threshold, chosen_on = choose(sure)
    digits = answers(images)
    count = min(MOST_OF_A_KIND, len(images))
    known = non_digits.known(images[:count])
    kinds: dict[str, Mapping[str, Any]] = {}
    for name, pictures in {**known, **non_digits.new(images[:count])}.items():
        theirs = answers(pictures)
        kinds[name] = {
            "trained": trained and name in known,
            "auroc": auroc(digits.max(axis=1), theirs.max(axis=1)),
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
    return float(np.mean([bool(found) for found in doubts(images, probabilities, threshold)]))


DIGITS_BELOW = 0.006  # the largest share of all digits that may lie below the threshold
RISK = 0.05  # the probability that more lie below it, because the held-out digits were easy
LOWEST, HIGHEST = 0.5, 0.99
"""The threshold's range: an answer below 0.5 is always in doubt, one above 0.99 never."""


def choose(confidences: NDArray[np.floating]) -> tuple[float, dict[str, Any] | None]:
    """Returns the threshold for the largest probabilities (n,) of held-out digits, and on what.

    With too few digits it is the service's own threshold, and None.
    """
    most = most_below(len(confidences))
    if most is None:
        return LEAST_CONFIDENCE, None
    quantile = float(np.sort(confidences)[most])
    threshold = min(max(int(quantile * 1e4) / 1e4, LOWEST), HIGHEST)
    share = float(np.mean(confidences < threshold))
    return threshold, {"images": len(confidences), "share_below": share}


def most_below(count: int) -> int | None:
    """Returns how many of ``count`` digits may lie below the threshold, 19 of 4,800, or None.

    That is the one-sided bound of Clopper and Pearson (1934) for DIGITS_BELOW and RISK.
    """
    chances = (at_most(below, count, DIGITS_BELOW) for below in range(count))
    too_many = next((below for below, chance in enumerate(chances) if chance > RISK), count)
    return too_many - 1 if too_many else None


def auroc(digits: NDArray[np.floating], others: NDArray[np.floating]) -> float:
    """Returns the probability that a digit's confidence exceeds a non-digit's; ties count half."""
    return float(np.sign(digits[:, np.newaxis] - others).mean(dtype=float) + 1) / 2
