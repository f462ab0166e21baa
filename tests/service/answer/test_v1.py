"""TensorFlow Serving's answers: numbers that read back exactly, under the key of the form."""

from __future__ import annotations

import json

import numpy as np

from service.answer.predictions import of_rows

PROBABILITIES = np.random.default_rng(1).dirichlet(np.full(10, 0.05), 3).astype(np.float32)


def test_rows_and_columns_have_their_own_key() -> None:
    for field, key in (("instances", "predictions"), ("inputs", "outputs")):
        answer = json.loads(of_rows(PROBABILITIES, field))
        assert answer.keys() == {key}
        assert np.array_equal(np.array(answer[key], np.float32), PROBABILITIES)


def test_classify_pairs_each_label_with_its_score() -> None:
    answer = json.loads(of_rows(PROBABILITIES, "examples"))
    assert answer.keys() == {"results"}
    for pairs, row in zip(answer["results"], PROBABILITIES, strict=True):
        assert [label for label, _ in pairs] == list("0123456789")
        assert np.array_equal(np.array([score for _, score in pairs], np.float32), row)


def test_a_slice_of_a_batch_is_answered_like_a_copy_of_it() -> None:
    part = PROBABILITIES[1:2]
    assert of_rows(part, "instances") == of_rows(part.copy(), "instances")
