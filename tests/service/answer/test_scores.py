"""The scores agree with counts made in another way, and say null where they would divide by 0."""

from __future__ import annotations

import json
import math
from dataclasses import asdict

import numpy as np
import pytest
from numpy.typing import NDArray

from service.answer.scores import Mistake, least_sure, score


def random_case(n: int = 2000, seed: int = 3) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Probabilities that are right about half the time, and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, n)
    logits = rng.normal(size=(n, 10)) + 1.5 * np.eye(10)[labels]
    exponents = np.exp(logits)
    return (exponents / exponents.sum(1, keepdims=True)).astype(np.float32), labels


def certain(digits: list[int], confidence: float = 1.0) -> NDArray[np.float32]:
    """Rows that give ``confidence`` to one digit and the rest to the others."""
    rows = np.full((len(digits), 10), (1 - confidence) / 9, np.float32)
    rows[np.arange(len(digits)), digits] = confidence
    return rows


def test_figures_agree_with_a_count_one_by_one() -> None:
    probabilities, labels = random_case()
    scores = score(probabilities, labels)
    rows = probabilities.tolist()
    guesses = [row.index(max(row)) for row in rows]
    pairs = list(zip(labels.tolist(), guesses, strict=True))
    assert scores.count == 2000
    assert scores.accuracy == pytest.approx(sum(t == g for t, g in pairs) / 2000)
    assert 0.3 < (scores.accuracy or 0) < 0.9
    losses = [-math.log(max(row[t], 1e-7)) for row, t in zip(rows, labels, strict=True)]
    assert scores.loss == pytest.approx(sum(losses) / 2000, rel=1e-9)
    for true in range(10):
        counts = [pairs.count((true, guess)) for guess in range(10)]
        assert list(scores.confusion_matrix[true]) == counts
    assert [entry.digit for entry in scores.per_class] == list(range(10))
    for entry in scores.per_class:
        hits, guessed = pairs.count((entry.digit, entry.digit)), guesses.count(entry.digit)
        assert entry.support == sum(t == entry.digit for t, _ in pairs)
        figures = (hits / entry.support, hits / guessed, 2 * hits / (entry.support + guessed))
        assert (entry.recall, entry.precision, entry.f1) == pytest.approx(figures)


def test_calibration_error_agrees_with_its_definition() -> None:
    probabilities, labels = random_case()
    confidence, correct = probabilities.max(1).astype(float), probabilities.argmax(1) == labels
    expected = 0.0
    for m in range(1, 16):
        inside = ((m - 1) / 15 < confidence) & (confidence <= m / 15)
        if inside.any():
            gap = correct[inside].mean() - confidence[inside].mean()
            expected += inside.sum() / len(labels) * abs(gap)
    assert score(probabilities, labels).calibration_error == pytest.approx(expected, rel=1e-6)
    assert expected > 0.01


def test_a_bin_is_open_below_and_closed_above() -> None:
    """0.2 ends the third of 15 bins: were it in the fourth, with 0.25, the two would cancel."""
    rows = np.zeros((2, 10), np.float64)
    rows[0, 0], rows[1, 0] = 3 / 15, 0.25
    error = score(rows.astype(np.float64), np.array([0, 1])).calibration_error
    assert error == pytest.approx((abs(1 - 0.2) + abs(0 - 0.25)) / 2)


def test_perfect_answers_and_a_certain_error_which_costs_the_clipped_loss() -> None:
    scores = score(certain(list(range(10))), np.arange(10))
    assert (scores.accuracy, scores.loss, scores.calibration_error) == (1.0, 0.0, 0.0)
    assert scores.mistakes == ()
    assert [entry.f1 for entry in scores.per_class] == [1.0] * 10
    assert score(certain([1]), np.array([0])).loss == pytest.approx(-math.log(1e-7))


def test_what_would_divide_by_zero_is_null() -> None:
    scores = score(certain([3, 3, 5]), np.array([3, 4, 3]))
    expected = {
        0: (None, None, None, 0),  # neither in the labels nor answered
        3: (0.5, 0.5, 0.5, 2),
        4: (None, 0.0, 0.0, 1),  # never answered
        5: (0.0, None, 0.0, 0),  # never a label
    }
    found = {e.digit: (e.precision, e.recall, e.f1, e.support) for e in scores.per_class}
    assert found | expected == found
    scores = score(np.zeros((0, 10), np.float32), np.zeros(0, np.int64))
    assert scores.count == 0
    assert {scores.accuracy, scores.loss, scores.calibration_error} == {None}


def test_what_was_read_right_is_listed_least_sure_first() -> None:
    probabilities, labels = random_case()
    found = least_sure(probabilities, labels, 30)
    right = [
        (max(row), index, label)
        for index, (row, label) in enumerate(zip(probabilities.tolist(), labels, strict=True))
        if row.index(max(row)) == label
    ]
    wanted = [(index, label, label) for _, index, label in sorted(right)[:30]]
    assert [(one.index, one.label, one.digit) for one in found] == wanted
    assert len(least_sure(probabilities, labels, 3000)) == len(right)
    assert least_sure(probabilities[:0], labels[:0], 5) == []


def test_mistakes_are_the_20_most_confident_and_equals_keep_their_order() -> None:
    digits = [1] * 30
    probabilities = np.concatenate([certain(digits, 0.5), certain([2], 0.9), certain([3], 0.4)])
    scores = score(probabilities, np.zeros(32, np.int64))
    assert len(scores.mistakes) == 20
    assert [mistake.index for mistake in scores.mistakes] == [30, *range(19)]
    assert scores.mistakes[0] == Mistake(index=30, label=0, digit=2, confidence=0.9)
    assert np.float32(scores.mistakes[0].confidence) == probabilities[30, 2]


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.int64])
def test_the_dictionary_has_the_contracts_form_and_is_json(kind: type[np.integer]) -> None:
    probabilities, labels = random_case(50)
    scores = score(probabilities, labels)
    assert score(probabilities, labels.astype(kind)) == scores, "labels are of any whole type"
    value = json.loads(json.dumps(asdict(scores), allow_nan=False))
    keys = "count accuracy loss calibration_error per_class confusion_matrix mistakes"
    assert list(value) == keys.split()
    assert list(value["per_class"][0]) == ["digit", "precision", "recall", "f1", "support"]
    assert list(value["mistakes"][0]) == ["index", "label", "digit", "confidence"]
    assert len(value["confusion_matrix"]) == 10
    assert sum(map(sum, value["confusion_matrix"])) == 50


@pytest.mark.parametrize(
    ("shape", "labels"), [((2, 9), [0, 1]), ((2, 10), [0]), ((1, 10), [10]), ((1, 10), [-1])]
)
def test_what_does_not_fit_is_refused(shape: tuple[int, int], labels: list[int]) -> None:
    with pytest.raises(ValueError, match=r"labels"):
        score(np.zeros(shape, np.float32), np.array(labels))
