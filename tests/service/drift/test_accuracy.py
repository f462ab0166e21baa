"""Accuracy in use: without labels near the truth, and with few an interval that holds it."""

from __future__ import annotations

from pathlib import Path
from time import time

import numpy as np
import pytest

from service.drift.reference import STRATA, Reference, reviewed, unsure
from service.store.store import Store
from service.store.tables import ANSWERS, LABELS, keep_images
from tests.service.drift.simulate import CARD, DAMAGES, ORDERS, TRAFFIC, answered, weeks

NOTHING = np.zeros((len(STRATA) + 1, 2))


@pytest.mark.parametrize("kind", ["test", *DAMAGES])
def test_without_labels_the_estimate_is_near_the_truth(kind: str) -> None:
    reference, answers = Reference.from_card(CARD), answered(kind)
    assert reference is not None
    digits, how = unsure(answers.probabilities)
    told = reference.accuracy(reference.counted(digits, how), NOTHING)
    assert told["estimate"] == pytest.approx(np.mean(digits == answers.labels), abs=0.005)
    assert (told["low"], told["high"], told["labelled"]) == (None, None, 0)


@pytest.mark.parametrize("traffic", TRAFFIC)
def test_the_interval_holds_the_truth_of_most_weeks(traffic: str) -> None:
    found = list(weeks(40, traffic, "half and half", 100, np.random.default_rng(1)))
    assert sum(week.covered for week in found) >= 36
    assert all(week.told["low"] < week.told["estimate"] < week.told["high"] for week in found)
    assert np.mean([week.told["high"] - week.told["low"] for week in found]) < 0.04


@pytest.mark.campaign
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("traffic", TRAFFIC)
def test_the_interval_holds_the_truth_in_95_percent_of_a_thousand_weeks(
    traffic: str, order: str
) -> None:
    found = weeks(1000, traffic, order, 100, np.random.default_rng(2))
    assert np.mean([week.covered for week in found]) >= 0.95


def test_reviewers_labels_of_the_last_week_are_counted_and_no_others(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    with store.begin() as connection:
        ids = keep_images(connection, [bytes([n]) * 784 for n in range(7)])
        kinds = [  # answered: version, confidence, days ago; labelled: digit, source
            ("6", 0.99999, 0, 3, "review"),
            ("6", 1.0, 1, 3, "review"),
            ("6", 0.95, 1, 8, "review"),
            ("6", 0.3, 1, None, "review"),
            ("6", 0.3, 1, 8, "feedback"),
            ("5", 0.3, 1, 8, "review"),
            ("6", 0.3, 8, 8, "review"),
        ]
        for image, (version, confidence, days, digit, source) in zip(ids, kinds, strict=True):
            answer = {"request_id": "r", "position": 0, "answered_at": time() - 86_400 * days}
            answer |= {"caller": "c", "image": image, "digit": 3, "confidence": confidence}
            answer |= {"second": 0.0, "doubts": "", "version": version}
            connection.execute(ANSWERS.insert().values(answer))
            said = {"id": image, "image": image, "digit": digit, "caller": "c", "source": source}
            connection.execute(LABELS.insert().values({**said, "labelled_at": time()}))
        assert reviewed(connection, "6").tolist() == [[2, 0], [0, 0], [0, 1], [0, 0], [0, 1]]
        other = {"id": "x", "image": ids[0], "digit": 4, "caller": "d", "source": "review"}
        connection.execute(LABELS.insert().values({**other, "labelled_at": time()}))
        assert reviewed(connection, "6").tolist()[0] == [1, 0]
    store.close()
