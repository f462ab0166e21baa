"""The tests are quiet in steady traffic, see each drift within 1,000 answers, and name its kind."""

from __future__ import annotations

from math import exp, log
from pathlib import Path

import numpy as np
import pytest

from service.drift.evidence import LEVEL, Evidence, unlike
from service.drift.evidence import THRESHOLD as THRESHOLD_OF_SCORES
from service.drift.reference import Reference, unsure
from tests.service.drift.simulate import (
    CARD,
    DRIFTS,
    answered,
    seen_after,
    shares_error,
    steady_alarms,
)


@pytest.mark.parametrize(("kind", "name"), DRIFTS.items())
def test_each_drift_is_seen_and_named_within_a_thousand_answers(kind: str, name: str) -> None:
    random = np.random.default_rng(1)
    seen = [seen_after(kind, random) for _ in range(5)]
    assert {found for _, found in seen} == {name}
    assert max(after for after, _ in seen) <= 1000


def test_steady_traffic_raises_no_alarm() -> None:
    assert steady_alarms(20, np.random.default_rng(2)) == 0


@pytest.mark.campaign
def test_at_most_one_false_alarm_in_ten_thousand_windows() -> None:
    """Of 30,000; none shows it with 95 % confidence (the rule of three)."""
    services = 3000
    assert steady_alarms(services, np.random.default_rng(3)) <= LEVEL * services * 10


def test_scores_of_steady_windows_are_as_rare_as_they_say() -> None:
    """A score of 2 in at most 1 of 100 windows for each kind, against references of any size."""
    random, pool = np.random.default_rng(4), answered("test")
    for size, window in ((500, 100), (500, 1000), (3000, 300)):
        scores = []
        for _ in range(60):
            held_out = pool.some(size, random)
            reference = held_out.reference()
            evidence = Evidence(reference)
            for _ in range(10):
                counts = reference.counted(*unsure(pool.some(window, random).probabilities))
                scores.append(evidence.scores(counts))
        rare = np.mean(np.array(scores) >= 1.3, axis=0)
        assert (rare <= 0.05 + 0.027).all(), (size, window, rare)
        assert np.min(scores) >= 0


def test_two_samples_are_compared_and_the_bound_is_that_of_hoeffding() -> None:
    joint = 40 / 400
    entropy = 0.2 * log(0.2 / joint) + 0.8 * log(0.8 / (1 - joint))
    assert 10 ** -unlike(20, 100, 20, 300) == pytest.approx(exp(-100 * entropy))
    assert unlike(10, 100, 30, 300) == 0
    assert unlike(0, 0, 30, 300) == 0
    assert unlike(100, 100, 0, 300) > 50
    # Against a small reference the same share says less.
    assert unlike(20, 100, 2, 20) < unlike(20, 100, 200, 2000)


@pytest.mark.parametrize("kind", ["test", "30 % ones"])
def test_the_estimated_shares_of_the_digits_are_within_three_points(kind: str) -> None:
    random = np.random.default_rng(5)
    assert max(shares_error(kind, random) for _ in range(10)) <= 0.03


def test_other_shares_of_the_digits_are_no_evidence_of_another_appearance() -> None:
    reference = Reference.from_card(CARD)
    assert reference is not None
    random, test = np.random.default_rng(6), answered("test")
    few = test[np.isin(test.labels, (1, 7))]
    scores = [
        Evidence(reference).scores(reference.counted(*unsure(few.some(1000, random).probabilities)))
        for _ in range(20)
    ]
    labels, appearance, no_digits = np.max(scores, axis=0)
    assert labels > 100
    assert appearance < 5
    assert no_digits < 5


def test_the_alert_rule_has_the_services_threshold() -> None:
    rules = Path(__file__).parents[3] / "deploy/helm/mnist-serve/files/alerts.yaml"
    assert f"(mnist_drift_score) > {THRESHOLD_OF_SCORES:.2f}" in rules.read_text()
