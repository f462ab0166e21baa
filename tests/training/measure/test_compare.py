from __future__ import annotations

import math

import numpy as np
import pytest

from training.measure.compare import compare, mcnemar


@pytest.mark.parametrize(
    ("first", "second", "p_value"),
    [
        (0, 0, 1.0),
        (5, 5, 1.0),
        (1, 9, 22 / 1024),  # 2 (C(10,0) + C(10,1)) / 2^10
        (9, 1, 22 / 1024),
        (0, 6, 2 / 64),
    ],
)
def test_mcnemar_gives_the_exact_binomial_p_value(first: int, second: int, p_value: float) -> None:
    assert mcnemar(first, second) == pytest.approx(p_value, rel=1e-12)


def test_mcnemar_agrees_with_its_normal_approximation_on_many_images() -> None:
    z = (5200 - 4800 - 1) / math.sqrt(10_000)  # with the continuity correction
    assert mcnemar(4800, 5200) == pytest.approx(math.erfc(z / math.sqrt(2)), rel=1e-2)
    assert mcnemar(0, 10_000) == 0.0  # underflows


def test_every_image_is_counted_once_and_those_that_changed_sides_are_named() -> None:
    labels = np.array([1, 2, 3, 4, 5])
    assert compare(np.array([1, 2, 0, 4, 9]), np.array([1, 2, 3, 7, 8]), labels) == {
        "count": 5,
        "first_accuracy": 0.6,
        "second_accuracy": 0.6,
        "p_value": 1.0,
        "both_right": 2,
        "only_first_right": 1,
        "only_second_right": 1,
        "both_wrong": 1,
        "changes": [
            {"index": 2, "label": 3, "first": 0, "second": 3},
            {"index": 3, "label": 4, "first": 4, "second": 7},
        ],
    }
