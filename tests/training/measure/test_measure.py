from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from service.answer.quality import LEAST_CONFIDENCE, least_confidence
from service.drift.reference import Reference
from service.inference.runtime import Runtime
from service.models.repository import Repository
from tests.training.digits import few
from training.measure.measure import Parts, measure
from training.measure.robustness import non_digits
from training.measure.robustness.corruptions import CORRUPTIONS

REPOSITORY = Repository(Path(__file__).parents[3] / "models")
MLP = REPOSITORY.read_model(1)
DATASET = few(600, 300)


@pytest.fixture(scope="module")
def measured() -> Parts:
    held_out = DATASET.train_images, DATASET.train_labels
    return measure(MLP, DATASET, held_out, non_digits=True)


def test_accuracies_are_those_of_the_damaged_images(measured: Parts) -> None:
    runtime = Runtime.load(MLP, provider="cpu")
    for name, corrupt in CORRUPTIONS.items():
        digits = runtime.run(corrupt(DATASET.test_images)).argmax(axis=1)
        assert measured["robustness"][name] == np.mean(digits == DATASET.test_labels), name
    assert set(measured["robustness"]) - set(CORRUPTIONS) == {
        "printed digits, fonts never trained on"
    }


def test_the_threshold_is_chosen_on_held_out_images_and_applied_to_the_others(
    measured: Parts,
) -> None:
    doubt = measured["doubt"]
    threshold = doubt["threshold"]
    runtime = Runtime.load(MLP, provider="cpu")
    sure = runtime.run(DATASET.test_images).max(axis=1)
    assert doubt["chosen_on"]["images"] == 600
    assert doubt["digits"]["pass"] == np.mean(sure >= threshold)
    assert doubt["digits"]["undoubted"] <= doubt["digits"]["pass"]
    kinds = non_digits.new(DATASET.test_images)
    assert {name for name, kind in doubt["kinds"].items() if not kind["trained"]} == set(kinds)
    for name, pictures in kinds.items():
        theirs, kind = runtime.run(pictures).max(axis=1), doubt["kinds"][name]
        assert kind["caught"] == np.mean(theirs < threshold), name
        pairs = np.sign(np.subtract.outer(sure, theirs))
        assert kind["auroc"] == pytest.approx((pairs.mean(dtype=float) + 1) / 2, abs=1e-9)
        assert kind["doubted"] >= kind["caught"]


def test_the_service_reads_the_threshold_and_the_card_is_plain(measured: Parts) -> None:
    card = json.loads(json.dumps(measured, allow_nan=False))
    assert least_confidence(card) == measured["doubt"]["threshold"]
    assert card["test"]["count"] == 300


def test_the_reference_is_of_the_held_out_digits_and_reads_back(measured: Parts) -> None:
    card = json.loads(json.dumps(measured, allow_nan=False))
    probabilities = Runtime.load(MLP, provider="cpu").run(DATASET.train_images)
    right = probabilities.argmax(axis=1) == DATASET.train_labels
    doubtful = probabilities.max(axis=1) < measured["doubt"]["threshold"]
    read = Reference.from_card(card)
    assert read is not None
    assert read.count == 600
    assert read.strata.sum(axis=0).tolist() == [right.sum(), (~right).sum()]
    assert read.doubtful.sum() == doubtful.sum()
    assert read.bins.sum() == (~doubtful).sum()
    assert read.as_dict() == card["reference"]
    assert len(json.dumps(card["reference"])) < 4000


def test_the_card_says_if_nothing_was_held_out_and_training_had_no_non_digits() -> None:
    nothing = DATASET.train_images[:0], DATASET.train_labels[:0]
    figures = measure(MLP, DATASET, nothing, non_digits=False)
    doubt = figures["doubt"]
    assert "reference" not in figures
    assert (doubt["threshold"], doubt["chosen_on"]) == (LEAST_CONFIDENCE, None)
    assert {kind["trained"] for kind in doubt["kinds"].values()} == {False}
