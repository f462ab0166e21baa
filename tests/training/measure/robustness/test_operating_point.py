from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np
import pytest

from service.answer.quality import LEAST_CONFIDENCE
from training.measure import robustness
from training.measure.robustness import auroc, choose, most_below

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("count", [0, 1, 497, 498, 1000])
def test_the_bound_is_that_of_clopper_and_pearson(count: int) -> None:
    """Against the binomial distribution in whole numbers."""

    def chance(most: int) -> Fraction:
        """Of ``most`` below at most, where six in 1,000 are below."""
        ways = sum(comb(count, k) * 6**k * 994 ** (count - k) for k in range(most + 1))
        return Fraction(ways, 1000**count)

    most = most_below(count)
    assert (most is None) == (count < 498)
    assert most is None or chance(most) <= Fraction(1, 20)
    assert chance(0 if most is None else most + 1) > Fraction(1, 20)


def test_as_many_as_the_bound_allows_are_below_the_threshold() -> None:
    confidences = RANDOM.beta(20, 1, 4800)
    threshold, chosen_on = choose(confidences)
    below = int((confidences < threshold).sum())
    assert 0 <= 19 - below <= 2  # the threshold is rounded down
    assert chosen_on == {"images": 4800, "share_below": below / 4800}


@pytest.mark.parametrize(
    ("confidence", "threshold"),
    [(1.0, robustness.HIGHEST), (0.3, robustness.LOWEST), (0.75, 0.75)],
)
def test_the_threshold_stays_in_its_range_or_is_the_services_own(
    confidence: float, threshold: float
) -> None:
    assert choose(np.full(5000, confidence, np.float32))[0] == threshold
    for count in (0, 200):
        assert choose(np.full(count, confidence)) == (LEAST_CONFIDENCE, None)


def test_the_area_under_the_curve_is_the_chance_of_being_surer_of_a_digit() -> None:
    digits, others = RANDOM.random(50).round(1), RANDOM.random(60).round(1)
    pairs = np.subtract.outer(digits, others)
    expected = np.mean((pairs > 0) + (pairs == 0) / 2)
    assert auroc(digits, others) == pytest.approx(expected, abs=1e-12)
