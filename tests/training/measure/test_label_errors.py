from __future__ import annotations

import numpy as np

from tests.training.digits import few, mnist
from training.measure.measure import LABELS, accuracy_without


def test_they_are_fifteen_labels_of_the_test_set() -> None:
    assert len(LABELS) == 15
    assert mnist().test_labels[list(LABELS)].tolist() == list(LABELS.values())


def test_the_accuracy_without_them_neither_counts_nor_divides_by_them() -> None:
    labels = mnist().test_labels
    digits = labels.copy()
    digits[list(LABELS)] = 10
    assert accuracy_without(digits, labels) == 1
    right = next(index for index in range(10_000) if index not in LABELS)
    digits[right] = 10
    assert accuracy_without(digits, labels) == 9984 / 9985


def test_other_test_sets_have_no_known_label_errors() -> None:
    labels = few().test_labels
    assert accuracy_without(labels, labels) is None
    shuffled = np.roll(mnist().test_labels, 1)
    assert accuracy_without(shuffled, shuffled) is None
