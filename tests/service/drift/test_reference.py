from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from service.drift.reference import BINS, Reference, unsure
from service.types import Labels, Probabilities
from tests.service.imaging.champion import MODELS

INK = np.full((4000, 28, 28), 255, np.uint8)


def answers(count: int, seed: int = 0) -> tuple[Probabilities, Labels]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, 10, count)
    logits = random.normal(0, 2, (count, 10))
    logits[np.arange(count), labels] += 8
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32), labels


def test_answers_whose_confidence_rounds_to_one_are_told_apart() -> None:
    rows = np.full((3, 10), 1e-12, np.float32)
    rows[1] *= 1000
    rows[2] = 0
    rows[:, 4] = 1
    digits, how = unsure(rows)
    assert (rows.max(axis=1) == 1).all()
    assert digits.tolist() == [4, 4, 4]
    assert how.tolist() == pytest.approx([np.log10(9e-12), np.log10(9e-9), -30], abs=1e-4)


def test_each_held_out_answer_is_counted_once_and_bins_hold_equally_many() -> None:
    probabilities, labels = answers(4000)
    reference = Reference.of(INK, probabilities, labels, threshold=0.8)
    assert reference is not None
    assert reference.count == 4000
    sure = probabilities.max(axis=1) >= 0.8
    digits = probabilities.argmax(axis=1)
    for digit in range(10):
        assert reference.doubtful[digit] == np.sum(~sure & (labels == digit))
        assert reference.bins[digit].sum() == np.sum(sure & (digits == digit))
        assert np.ptp(reference.bins[digit]) <= 4
    assert reference.confusion[3, 5] == np.sum(sure & (labels == 3) & (digits == 5))
    _, how = unsure(probabilities)
    assert abs(int(np.sum(how > reference.unsure_as_wrong)) - np.sum(digits != labels)) <= 1


def test_it_reads_back_from_json_as_it_was() -> None:
    reference = Reference.of(INK[:500], *answers(500), threshold=0.8)
    assert reference is not None
    read = Reference.from_card(json.loads(json.dumps({"reference": reference.as_dict()})))
    assert read is not None
    assert read.as_dict() == reference.as_dict()
    digits, how = unsure(answers(500, seed=1)[0])
    assert (read.counted(digits, how) == reference.counted(digits, how)).all()


@pytest.mark.parametrize("part", [None, {}, 3, [], {"right": "x"}, {"confusion": [[1]]}])
def test_a_card_without_a_usable_one_has_none(part: Any) -> None:
    assert Reference.from_card({"reference": part}) is None
    assert Reference.from_card({}) is None


@pytest.mark.parametrize(
    "change",
    [
        {"bins": [[-1.0] * BINS] * 10},
        {"bins": [[0.0] * BINS] * 10},
        {"edges": [[float("nan")] * (BINS - 1)] * 10},
        {"strata": [[1, 2]]},
        {"most_unsure": "no"},
    ],
)
def test_a_damaged_one_is_none(change: dict[str, Any]) -> None:
    reference = Reference.of(INK[:500], *answers(500), threshold=0.8)
    assert reference is not None
    assert Reference.from_card({"reference": {**reference.as_dict(), **change}}) is None


def test_nothing_held_out_gives_none() -> None:
    assert Reference.of(INK[:0], np.empty((0, 10), np.float32), np.empty(0, np.int64), 0.8) is None


def test_the_champion_has_one() -> None:
    number = (MODELS / "mnist" / "champion").read_text().strip()
    card = json.loads((MODELS / "mnist" / number / "card.json").read_text())
    reference = Reference.from_card(card)
    assert reference is not None
    assert reference.count == card["data"]["validation_images"]
