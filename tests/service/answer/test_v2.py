"""v2 answers: valid JSON around exact numbers, and strings as the extensions spell them."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from service.answer.predictions import classification, inference
from service.decode.v2 import InferRequest
from service.types import Probabilities

IMAGES = np.zeros((2, 28, 28), np.uint8)


def probabilities(rows: int = 2) -> Probabilities:
    logits = np.random.default_rng(1).normal(0, 9, (rows, 10)).astype(np.float32)
    exponents = np.exp(logits)
    result: Probabilities = exponents / exponents.sum(axis=1, keepdims=True)
    return result


def test_numbers_in_json_read_back_to_the_same_float32() -> None:
    given = probabilities()
    body, length = inference("3", given, InferRequest(IMAGES))
    assert length is None
    answer = json.loads(body)
    (output,) = answer.pop("outputs")
    assert answer == {"model_name": "mnist", "model_version": "3"}
    data = output.pop("data")
    assert output == {"name": "probabilities", "datatype": "FP32", "shape": [2, 10]}
    assert np.array_equal(np.array(data, np.float32).reshape(2, 10), given)


def test_binary_numbers_follow_the_json_little_endian() -> None:
    given = probabilities()
    body, length = inference("3", given, InferRequest(IMAGES, binary=True))
    assert length is not None
    (output,) = json.loads(body[:length])["outputs"]
    assert output["parameters"] == {"binary_data_size": 80}
    assert np.array_equal(np.frombuffer(body[length:], "<f4").reshape(2, 10), given)


@pytest.mark.parametrize("given", ["", "7", 'a"b\\\n', "é€😀"])
def test_an_id_comes_back_whatever_is_in_it(given: str) -> None:
    body, _ = inference("3", probabilities(), InferRequest(IMAGES, id=given))
    assert json.loads(body)["id"] == given


def test_classes_are_named_best_first_and_read_back_to_the_same_float32() -> None:
    given = probabilities()
    texts = classification(given, 3)
    assert len(texts) == 6
    for row, best in zip(given, (texts[:3], texts[3:]), strict=True):
        parts = [text.split(":") for text in best]
        assert [int(index) for _, index, _ in parts] == np.argsort(-row)[:3].tolist()
        assert all(label == index for _, index, label in parts)
        assert all(np.float32(value) == row[int(index)] for value, index, _ in parts)
    even = np.full((1, 10), 0.1, np.float32)
    assert [text.split(":")[1] for text in classification(even, 4)] == ["0", "1", "2", "3"]


def test_binary_classes_are_strings_with_their_length_before_them() -> None:
    given = probabilities()
    body, length = inference("3", given, InferRequest(IMAGES, binary=True, classes=2))
    assert length is not None
    (output,) = json.loads(body[:length])["outputs"]
    assert (output["datatype"], output["shape"]) == ("BYTES", [2, 2])
    texts = [text.encode() for text in classification(given, 2)]
    assert body[length:] == b"".join(struct.pack("<I", len(text)) + text for text in texts)
    assert output["parameters"] == {"binary_data_size": len(body) - length}


def test_classes_in_json_are_strings() -> None:
    given = probabilities()
    body, _ = inference("3", given, InferRequest(IMAGES, classes=1))
    (output,) = json.loads(body)["outputs"]
    assert output["data"] == classification(given, 1)
    assert (output["datatype"], output["shape"]) == ("BYTES", [2, 1])
