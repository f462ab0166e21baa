"""The labels of MNIST's test set that are known to be wrong or ambiguous: 15 of 10,000.

Northcutt, Athalye and Mueller 2021, "Pervasive Label Errors in Test Sets Destabilize Machine
Learning Benchmarks", https://arxiv.org/abs/2103.14749: the images that confident learning flagged
and of which fewer than 3 of 5 raters chose the given label
(https://github.com/cleanlab/label-errors, ``mturk/mnist_mturk.json``). The test accuracy still
counts them by their given labels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.types import Labels

MNIST_TEST_IMAGES = 10_000
# Index from 0 and given label.
LABELS = dict(
    (
        *((947, 8), (1621, 0), (1901, 9), (2130, 4), (2462, 2), (2597, 5), (2654, 6), (3520, 6)),
        *((3558, 5), (5937, 5), (6651, 0), (6783, 1), (8527, 4), (9679, 6), (9729, 5)),
    )
)


def accuracy_without(digits: NDArray[np.integer[Any]], labels: Labels) -> float | None:
    """Returns the accuracy of ``digits`` (n,) against ``labels`` (n,) without those images.

    None if the labels are not those of MNIST's test set.
    """
    wrong = list(LABELS)
    if len(labels) != MNIST_TEST_IMAGES or labels[wrong].tolist() != list(LABELS.values()):
        return None
    return float(np.delete(digits == labels, wrong).mean())
