"""v2 requests: every form of a tensor holds the same images, and each fault is named."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.decode.v2 import from_infer
from service.errors import Fault, Invalid, Malformed, TooLarge
from service.types import Limits
from tests.service.decode.samples import JSON, LIMITS, check, digits

IMAGES = digits()[:2]
FLAT: list[int] = IMAGES.ravel().tolist()


def tensor(data: Any = FLAT, **changed: Any) -> dict[str, Any]:
    """Returns the input as declared; a change to None removes the key."""
    whole = {"name": "image", "datatype": "UINT8", "shape": [2, 28, 28], "data": data} | changed
    return {key: value for key, value in whole.items() if value is not None}


def body(*inputs: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"inputs": list(inputs) or [tensor()], **more}).encode()


def with_header(head: bytes, tail: bytes = b"") -> tuple[bytes, str]:
    """Returns a body with bytes after its JSON, and the value of its header."""
    return head + tail, str(len(head))


def binary(blob: bytes = IMAGES.tobytes(), size: Any = 1568) -> tuple[bytes, str]:
    """Returns a body with the tensor after its JSON, and the value of its header."""
    return with_header(body(tensor(None, parameters={"binary_data_size": size})), blob)


def output(**parameters: Any) -> dict[str, Any]:
    """The one output, with these parameters."""
    return {"outputs": [{"name": "probabilities", "parameters": parameters}]}


@pytest.mark.parametrize("shape", [(1568,), (2, 784), (2, 28, 28)])
def test_flat_and_nested_data_hold_the_same_images(shape: tuple[int, ...]) -> None:
    request = from_infer(body(tensor(IMAGES.reshape(shape).tolist())), None, LIMITS)
    assert np.array_equal(request.images, IMAGES)
    assert request.images.dtype == np.uint8
    assert (request.id, request.binary) == (None, False)
    assert (request.classes, request.timeout_s) == (0, None)


def test_a_binary_tensor_is_a_view_of_the_body() -> None:
    sent, length = binary()
    images = from_infer(sent, length, LIMITS).images
    assert np.array_equal(images, IMAGES)
    assert not images.flags.owndata
    assert not images.flags.writeable


def test_with_header_0_the_body_is_one_image_and_the_answer_binary() -> None:
    request = from_infer(IMAGES[0].tobytes(), "0", LIMITS)
    assert np.array_equal(request.images, IMAGES[:1])
    assert request.binary


def test_a_header_over_all_json_reads_data_in_it_and_unknown_keys_are_ignored() -> None:
    sent = body(
        tensor(parameters={"mine": 1}, more=2),
        parameters={"priority": 3, "sequence_id": 1, "mine": True},
        outputs=[{"name": "probabilities", "parameters": {"mine": "x"}, "more": []}],
        more={},
    )
    assert np.array_equal(from_infer(*with_header(sent), LIMITS).images, IMAGES)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        *(({"outputs": given}, False) for given in ([], None, [{"name": "probabilities"}])),
        ({"parameters": {"binary_data_output": True}}, True),
        (output(binary_data=True), True),
        ({"parameters": {"binary_data_output": True}} | output(binary_data=False), False),
    ],
)
def test_the_outputs_own_form_beats_the_requests(more: dict[str, Any], expected: bool) -> None:
    assert from_infer(body(**more), None, LIMITS).binary is expected


@pytest.mark.parametrize(("asked", "classes"), [(1, 1), (10, 10), (11, 10), (10**9, 10)])
def test_at_most_ten_classes_are_named(asked: int, classes: int) -> None:
    assert from_infer(body(**output(classification=asked)), None, LIMITS).classes == classes


@pytest.mark.parametrize(
    ("timeout", "seconds"), [(0, None), (1, 1e-6), (250_000, 0.25), (1.5, 1.5e-6)]
)
def test_timeout_is_in_microseconds_and_0_is_none(timeout: float, seconds: float | None) -> None:
    sent = body(parameters={"timeout": timeout}, id="x")
    request = from_infer(sent, None, LIMITS)
    assert (request.timeout_s, request.id) == (seconds, "x")


OUTPUT = {"name": "probabilities"}
SHAPES: list[tuple[Any, str]] = [
    ([2, 784], "[2,784] is not [n, 28, 28]"),
    ("2", '"2" is not'),
    *((shape, "[") for shape in ([28, 28], [2, 28, 28, 1], [-1, 28, 28], [2.0, 28, 28], [])),
    *((shape, "[") for shape in ([2, 28.0, 28], [True, 28, 28])),
]
SHARED = {"shared_memory_region": "r", "shared_memory_byte_size": 784}


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (b"[]", "an object with inputs"),
        *(
            (sent, 'one tensor, "image", is expected')
            for sent in (b"{}", b'{"inputs":[]}', b'{"inputs":{}}', b'{"inputs":[1]}')
        ),
        (body(tensor(name="x")), 'one tensor, "image", is expected'),
        (body(tensor(name=None)), 'one tensor, "image", is expected'),
        (body(tensor(), tensor(name="x")), 'one tensor, "image", is expected'),
        (body(tensor(), tensor()), 'one tensor, "image", is expected'),
        (body(tensor(datatype="FP32")), 'datatype "FP32" is not supported; the model has UINT8'),
        (body(tensor(datatype=None)), "image: datatype null is not supported"),
        *((body(tensor(shape=shape)), f"image: shape {text}") for shape, text in SHAPES),
        (body(tensor(shape=[0, 28, 28])), "image: no images"),
        (body(tensor(shape=[3, 28, 28])), "data has 1,568 numbers; shape [3, 28, 28] takes 2,352"),
        (body(tensor(None)), "image: has neither or both of data"),
        (body(tensor(7)), "image: data is a number; a list is expected"),
        (body(tensor([])), "data has 0 numbers"),
        (body(tensor(parameters=3)), "image: parameters is a number; an object is expected"),
        (body(tensor(None, parameters=SHARED)), "shared memory is not supported"),
        (body(parameters=[]), "request: parameters is a list"),
        (body(parameters={"binary_data_output": 1}), "binary_data_output is 1; true or false"),
        (body(parameters={"timeout": "1"}), 'timeout is "1"; a number of microseconds'),
        (body(parameters={"timeout": -1}), "timeout is -1; a number of microseconds"),
        (body(parameters={"timeout": True}), "timeout is true; a number of microseconds"),
        (body(id=7), "id is 7; a string is expected"),
        (body(outputs={}), 'one tensor, "probabilities", is expected'),
        (body(outputs=[1]), 'one tensor, "probabilities", is expected'),
        (body(outputs=[{"name": "x"}]), 'one tensor, "probabilities", is expected'),
        (body(outputs=[OUTPUT, OUTPUT]), 'one tensor, "probabilities", is expected'),
        (body(**output(classification=0)), "classification is 0"),
        (body(**output(classification=True)), "classification is true"),
        (body(**output(binary_data="yes")), 'binary_data is "yes"; true or false is expected'),
        (body(**output(**SHARED)), "shared memory is not supported"),
    ],
)
def test_a_flaw_is_named(sent: bytes, message: str) -> None:
    with pytest.raises(Invalid) as caught:
        from_infer(sent, None, LIMITS)
    assert message in caught.value.detail
    assert "\n" not in caught.value.detail


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (12.5, "image: data[3] is 12.5; UINT8 takes whole numbers from 0 to 255"),
        (256, "image: data[3] is 256; UINT8"),
        (-1, "image: data[3] is -1; UINT8"),
        *((value, "image: data has another form; a list of") for value in (True, None, [7])),
    ],
)
def test_only_whole_numbers_from_0_to_255_are_uint8(value: Any, message: str) -> None:
    with pytest.raises(Invalid) as caught:
        from_infer(body(tensor([*FLAT[:3], value, *FLAT[4:]])), None, LIMITS)
    assert caught.value.detail.startswith(message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[1][5].pop(), "data has another form"),
        (lambda rows: rows[1].pop(), "data has another form"),
        (lambda rows: rows.insert(1, 4), "data has another form"),
        (lambda rows: rows[1].__setitem__(2, 4), "data has another form"),
        (lambda rows: rows[1][2].__setitem__(3, 0.5), "data[1][2][3] is 0.5; UINT8"),
        (lambda rows: rows.__setitem__(0, [0.5, *FLAT[1:784]]), "data has another form"),
        (lambda rows: rows.__setitem__(1, FLAT[784:]), "data has another form"),
    ],
)
def test_a_flaw_in_nested_data_is_named(change: Any, message: str) -> None:
    rows = IMAGES.tolist()
    change(rows)
    with pytest.raises(Invalid) as caught:
        from_infer(body(tensor(rows)), None, LIMITS)
    assert caught.value.detail.startswith(f"image: {message}")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        *(
            (text, "Content-Length is .*; a number of bytes")
            for text in ("", "x", "-1", "+5", "1.5", "٣", "9" * 19)
        ),
        ("9999", "is '9999'; a number of bytes of the body, which has"),
    ],
)
def test_a_header_that_is_not_a_number_of_bytes_of_the_body_is_malformed(
    header: str, message: str
) -> None:
    with pytest.raises(Malformed, match=message):
        from_infer(body(), header, LIMITS)


@pytest.mark.parametrize("length", [0, 783, 785, 1568])
def test_a_raw_body_is_exactly_one_image(length: int) -> None:
    with pytest.raises(Invalid, match=f"^image: {length:,} bytes; .* one image of 784 bytes"):
        from_infer(bytes(length), "0", LIMITS)


@pytest.mark.parametrize("size", [1567, 0, -1, "1568", True, 1568.0])
def test_a_binary_size_that_is_not_the_shapes_is_rejected(size: Any) -> None:
    sent, length = binary(size=size)
    with pytest.raises(Invalid, match=r"^image: binary_data_size is .* takes 1,568 bytes$"):
        from_infer(sent, length, LIMITS)


SIZE = {"binary_data_size": 1568}


@pytest.mark.parametrize(
    ("sent", "kind", "message"),
    [
        (binary(IMAGES.tobytes()[:-1]), Malformed, "1,567 bytes .* the tensor takes 1,568"),
        (binary(IMAGES.tobytes() + b"x"), Malformed, "the tensor takes 1,568"),
        ((body(tensor(None, parameters=SIZE)), None), Malformed, "0 bytes follow the JSON"),
        (
            with_header(body(tensor(parameters=SIZE)), b"x" * 1568),
            Invalid,
            "has neither or both of data",
        ),
        (with_header(body(), b"more"), Malformed, "4 bytes .* and belong to no tensor"),
        (binary(b"\1" * 1568), Invalid, r"looks scaled to 0\.\.1"),
        ((b"\1" * 784, "0"), Invalid, r"looks scaled to 0\.\.1"),
        ((body(tensor([1] * 1568)), None), Invalid, r"looks scaled to 0\.\.1"),
        ((body(tensor([float("nan")])), None), Malformed, "not JSON"),
    ],
)
def test_other_bodies_are_rejected(
    sent: tuple[bytes, str | None], kind: type[Fault], message: str
) -> None:
    with pytest.raises(kind, match=message):
        from_infer(*sent, LIMITS)


def test_more_images_than_the_limit_are_too_large_before_they_are_read() -> None:
    for claimed in (3, 10**15):
        sent = body(tensor([], shape=[claimed, 28, 28]))
        with pytest.raises(TooLarge):
            from_infer(sent, None, Limits(images=2))


KEYS = ["name", "shape", "datatype", "data", "parameters"]


@given(
    st.sampled_from(KEYS), JSON, st.sampled_from(["id", "parameters", "outputs", "inputs"]), JSON
)
def test_any_json_in_any_place_gives_a_request_or_a_fault(
    key: str, value: Any, place: str, other: Any
) -> None:
    content = {"inputs": [tensor(FLAT[:784], shape=[1, 28, 28]) | {key: value}], place: other}
    check(lambda sent: from_infer(sent, None, LIMITS), json.dumps(content).encode())
