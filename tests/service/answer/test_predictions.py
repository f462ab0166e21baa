"""The JSON that a run's probabilities become."""

from __future__ import annotations

import json

import numpy as np

from service.answer.predictions import members, predictions
from service.inference.batch import BatchResult, digits
from service.types import Probabilities


def run_of(probabilities: Probabilities) -> BatchResult:
    return BatchResult(np.zeros((len(probabilities), 28, 28), np.uint8), probabilities)


def test_an_answer_holds_model_version_and_the_predictions_in_order() -> None:
    probabilities = np.zeros((2, 10), np.float32)
    probabilities[0, 7], probabilities[0, 1] = 0.75, 0.25
    probabilities[1, 0] = 1.0
    body = predictions("12", members(run_of(probabilities)), [[], ["blank"]])
    seven = {"digit": 7, "confidence": 0.75, "probabilities": [0, 0.25, *[0] * 5, 0.75, 0, 0]}
    zero = {"digit": 0, "confidence": 1.0, "probabilities": [1, *[0] * 9]}
    assert json.loads(body) == {
        "model": "mnist",
        "version": "12",
        "predictions": [
            {**seven, "doubtful": False, "doubts": []},
            {**zero, "doubtful": True, "doubts": ["blank"]},
        ],
    }


def test_numbers_read_back_to_the_same_float32() -> None:
    random = np.random.default_rng(0)
    probabilities = np.concatenate(
        [
            random.dirichlet(np.full(10, 0.1), 200).astype(np.float32),
            np.full((1, 10), np.finfo(np.float32).smallest_subnormal),
            np.full((1, 10), np.nextafter(np.float32(1), np.float32(0))),
        ]
    )
    body = predictions("1", members(run_of(probabilities)), [[]] * len(probabilities))
    answered = json.loads(body)["predictions"]
    read = np.array([p["probabilities"] for p in answered]).astype(np.float32)
    assert read.tobytes() == probabilities.tobytes()
    confidences = np.array([p["confidence"] for p in answered]).astype(np.float32)
    assert confidences.tobytes() == probabilities.max(axis=1).tobytes()


def test_of_equal_probabilities_the_lowest_digit_is_answered() -> None:
    run = run_of(np.full((1, 10), 0.1, np.float32))
    assert digits(run) == [0]
    assert members(run)[0].startswith(b'"digit":0,')
