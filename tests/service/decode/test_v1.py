"""TensorFlow Serving's requests: rows, columns and examples give the same images."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.decode.v1 import from_classify, from_predict
from service.errors import Invalid, Malformed, TooLarge
from service.types import Limits
from tests.service.decode.samples import JSON, LIMITS, check, digits

IMAGES = digits()[:2]
ROWS: list[Any] = IMAGES.tolist()
FLAT: list[Any] = IMAGES.reshape(2, 784).tolist()
B64 = [{"b64": base64.b64encode(image.tobytes()).decode()} for image in IMAGES]


def body(**content: Any) -> bytes:
    return json.dumps(content).encode()


def named(values: list[Any]) -> list[Any]:
    return [{"image": value} for value in values]


ITEMS = [ROWS, FLAT, B64, named(ROWS), named(FLAT), named(B64), [ROWS[0], B64[1]]]


@pytest.mark.parametrize("items", ITEMS)
def test_every_form_of_a_row_or_an_example_gives_the_same_images(items: list[Any]) -> None:
    images, field = from_predict(body(instances=items), LIMITS)
    assert field == "instances"
    assert np.array_equal(images, IMAGES)
    assert np.array_equal(from_classify(body(examples=items), LIMITS)[0], IMAGES)


@pytest.mark.parametrize(
    ("column", "count"),
    [
        *((column, 2) for column in (ROWS, FLAT, B64, {"image": ROWS}, {"image": B64})),
        *((column, 1) for column in (B64[0], {"image": B64[0]})),
    ],
)
def test_every_form_of_a_column_gives_the_same_images(column: Any, count: int) -> None:
    images, field = from_predict(body(inputs=column), LIMITS)
    assert field == "inputs"
    assert np.array_equal(images, IMAGES[:count])


def test_the_context_is_under_every_example() -> None:
    sent = body(context={"image": ROWS[1]}, examples=[{}, {"image": ROWS[0]}])
    assert np.array_equal(from_classify(sent, LIMITS)[0], IMAGES[::-1])


def test_the_signature_may_be_named_and_other_keys_are_ignored() -> None:
    for name in ("serving_default", ""):
        from_predict(body(signature_name=name, instances=ROWS, more=1), LIMITS)


EXAMPLES: list[tuple[Any, str]] = [
    ({}, 'body: "examples" is expected'),
    ({"examples": None}, "examples: is null; a list of images"),
    ({"examples": ROWS, "context": 7}, "context: is a number; an object is expected"),
    ({"examples": [{}]}, 'image 0: has neither "image" nor "b64"'),
]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "body: is a list; an object is expected"),
        ({}, '"instances" or "inputs" is expected'),
        ({"instances": ROWS, "inputs": ROWS}, '"instances" or "inputs" is expected'),
        ({"instances": []}, "instances: no images"),
        ({"instances": {"image": ROWS}}, "instances: is an object; a list of images"),
        ({"instances": FLAT[0]}, "instances: is one image; a list of images"),
        ({"instances": [ROWS[0], {"x": 1}]}, 'image 1: has neither "image" nor "b64"'),
        ({"instances": [{"b64": 7}]}, 'image 0: has neither "image" nor "b64" with a string'),
        ({"instances": [{"b64": "?"}]}, "image 0: b64 is not base64"),
        ({"instances": [{"b64": "é"}]}, "image 0: b64 is not base64"),
        (
            {"instances": [{"b64": "AAAA"}]},
            "image 0: b64 holds neither 784 raw bytes nor a",
        ),
        ({"instances": [ROWS[0], {"image": [1]}]}, "image 1: has the length 1"),
        ({"instances": [[[True] * 28] * 28]}, "row 0 does not consist of numbers"),
        ({"instances": [[[0.5] * 28] * 28]}, "looks scaled to 0..1"),
        ({"inputs": {"x": ROWS}}, 'inputs: has no "image"'),
        ({"inputs": ROWS[0]}, "inputs: is one image; a list of images"),
        ({"signature_name": "other", "instances": ROWS}, "signature_name: there is no such"),
        ({"signature_name": 7, "instances": ROWS}, "signature_name: there is no such"),
        *EXAMPLES,
    ],
)
def test_a_flaw_is_named(content: Any, message: str) -> None:
    decode = from_classify if (content, message) in EXAMPLES else from_predict
    with pytest.raises(Invalid) as caught:
        decode(json.dumps(content).encode(), LIMITS)
    assert message in caught.value.detail
    assert "\n" not in caught.value.detail


def test_a_text_that_is_not_json_is_malformed_and_more_images_than_the_limit_too_large() -> None:
    with pytest.raises(Malformed):
        from_predict(b'{"instances":[NaN]}', LIMITS)
    with pytest.raises(TooLarge):
        from_predict(body(instances=ROWS), Limits(images=1))


@given(st.sampled_from(["instances", "inputs", "examples", "context", "signature_name"]), JSON)
def test_any_json_gives_images_or_a_fault(key: str, value: Any) -> None:
    sent = body(**({"examples": [{}]} | {key: value}))
    check(lambda body: from_predict(body, LIMITS), sent)
    check(lambda body: from_classify(body, LIMITS), sent)
