"""Numbers read without a parser, and large bodies of every protocol read in pieces."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.decode import json_images, json_pieces, labelled
from service.decode.json_pieces import FLAT, NESTED, NUMBERS, Form, read_plain
from service.decode.v1 import from_classify, from_predict
from service.decode.v2 import from_infer
from service.errors import Fault, Malformed, TooLarge
from service.types import Limits
from tests.service.decode.samples import JSON_EDITS, LIMITS, Edits, digits, edited


def spaced(value: object, indent: str | None = None) -> bytes:
    return json.dumps(value, indent=indent).encode()


SHAPES: dict[str, tuple[Form, tuple[int, ...]]] = {
    "nested": (NESTED, (-1, 28, 28)),
    "flat": (FLAT, (-1, 784)),
    "numbers": (NUMBERS, (-1,)),
}


def read(items: bytes, form: Form = FLAT) -> NDArray[np.uint8] | None:
    """Reads the items between a beginning and an end as in a body."""
    lead = b'{"images":['
    return read_plain(lead + items + b"]}", len(lead), len(lead) + len(items), form)


@pytest.mark.parametrize("dump", [orjson.dumps, spaced, partial(spaced, indent="\t")])
@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("count", [1, 2, 30])
def test_it_reads_what_was_written(dump: Callable[[object], bytes], name: str, count: int) -> None:
    form, shape = SHAPES[name]
    images = digits()[:count]
    read_back = read(dump(images.reshape(shape).tolist())[1:-1], form)
    assert read_back is not None
    assert read_back.dtype == np.uint8
    assert np.array_equal(read_back, images.ravel() if form is NUMBERS else images)


def test_it_reads_every_value_from_0_to_255() -> None:
    image = (np.arange(784) % 256).astype(np.uint8)
    read_back = read(orjson.dumps([image.tolist()])[1:-1])
    assert read_back is not None
    assert np.array_equal(read_back.ravel(), image)


PLAIN = orjson.dumps([digits()[0].ravel().tolist()])[1:-1]
assert PLAIN.startswith(b"[0,0,0,")


@pytest.mark.parametrize(
    "start",
    [
        *(
            b"[%b,0,0," % number
            for number in b"256 999 1000 1234 00 01 001 010 -1 -0 1.5 1e1".split()
        ),
        *(b'["1",0,0,', b"[1 2,0,0,", b"[1\x0b,0,0,", b"[,0,0,0,", b"[0,,0,0,", b"[0,0,0 0,"),
        *(b"[0,0,0", b"[[0],0,0,", b"[0,0,0,0,", b"[0,0,", b"0,[0,0,", b"[0,0,]0,"),
        *(b"[0,true,0,", b"[0,\xa00,0,", b""),
    ],
)
def test_it_leaves_all_else_to_the_parser(start: bytes) -> None:
    assert read(start + PLAIN[7:]) is None


def test_it_takes_no_number_outside_an_image_and_no_image_of_the_other_form() -> None:
    short = PLAIN.replace(b"0,", b",", 1)  # with a number outside, their count is right
    assert [read(b"5" + short), read(short + b"5")] == [None, None]
    assert read(PLAIN, NESTED) is None
    assert read(orjson.dumps(digits()[:1].tolist())[1:-1]) is None


@given(edits=JSON_EDITS, name=st.sampled_from([*SHAPES]), with_spaces=st.booleans())
def test_it_never_differs_from_the_parser(edits: Edits, name: str, with_spaces: bool) -> None:
    form, shape = SHAPES[name]
    dump = spaced if with_spaces else orjson.dumps
    text = edited(dump(digits()[:2].reshape(shape).tolist())[1:-1], edits)
    read_back = read(text, form)
    if read_back is not None:
        parsed = orjson.loads(b"[%b]" % text)
        assert read_back.reshape(shape).tolist() == parsed


IMAGES = digits()[:60]
SQUARES, LINES, VALUES = (IMAGES.reshape(s).tolist() for s in ((60, 28, 28), (60, 784), (-1,)))


def infer(data: Any, count: int = 60, **more: Any) -> dict[str, Any]:
    tensor = {"name": "image", "datatype": "UINT8", "shape": [count, 28, 28], "data": data}
    return {"id": "x", "inputs": [tensor], "outputs": [{"name": "probabilities"}], **more}


def named(images: Any) -> Any:
    return [{"image": image} for image in images]


DECODERS: dict[str, Callable[[bytes, Limits], Any]] = {
    "images": json_images.from_json,
    "labelled": lambda text, limits: labelled.from_json(text, limits)[0],
    "predict": lambda text, limits: from_predict(text, limits)[0],
    "classify": lambda text, limits: from_classify(text, limits)[0],
    "infer": lambda text, limits: from_infer(text, None, limits).images,
}


def good(count: int) -> list[tuple[str, Any]]:
    """Returns bodies of so many images whose list can be set apart."""
    images = digits()[:count]
    nested, flat = images.tolist(), images.reshape(-1, 784).tolist()
    floats = (images / 2 + 1).tolist()
    b64 = [{"b64": base64.b64encode(image.tobytes()).decode()} for image in images]
    return [
        ("images", {"images": nested}),
        ("images", {"images": floats}),
        ("labelled", {"images": flat, "labels": [7] * count}),
        ("labelled", {"labels": [7] * count, "images": floats}),
        ("infer", infer(images.ravel().tolist(), count)),
        ("infer", infer(flat, count)),
        ("infer", infer(nested, count, parameters={})),
        ("predict", {"instances": nested, "more": [1, {}]}),
        ("predict", {"signature_name": "serving_default", "instances": flat}),
        ("predict", {"instances": [*flat[:2], *nested[2:]]}),
        ("predict", {"instances": named(flat), "more": [1, {}]}),
        ("predict", {"instances": [*b64, *named(nested)]}),
        ("predict", {"inputs": {"image": nested}, "signature_name": ""}),
        ("predict", {"inputs": floats}),
        ("classify", {"examples": named(floats)}),
        ("classify", {"context": {"image": nested[0]}, "examples": [{}] * count}),
    ]


WHOLE: list[tuple[str, Any]] = [
    ("infer", infer(LINES, more={"data": None})),
    ("predict", {"instances": [SQUARES[0], *LINES[1:]]}),
    ("predict", {"instances": [*SQUARES, {"image": SQUARES[0]}]}),
    ("predict", {"instances": [*named(SQUARES), {"x": [{}], "image": SQUARES[0]}]}),
]
"""Bodies whose list cannot be set apart."""
BAD: list[tuple[str, Any]] = [
    ("infer", infer([0.5, *VALUES[1:]])),
    ("infer", infer([True, *VALUES[1:]])),
    ("infer", infer([*SQUARES[:30], *LINES[30:]])),
    ("infer", infer(VALUES[1:])),
    ("infer", infer([[0] * 28] * 280)),
    ("infer", infer(VALUES) | {"id": VALUES}),
    ("infer", {"inputs": [infer(VALUES)["inputs"][0] | {"shape": VALUES}]}),
    ("infer", {"inputs": [{"name": VALUES}], "more": {"data": VALUES}}),
    ("predict", {"instances": [*SQUARES[:-1], [[256] * 28] * 28]}),
    ("predict", {"instances": (IMAGES / 255).tolist()}),
    ("predict", {"instances": [*SQUARES, SQUARES[0][1:]]}),
    ("predict", {"instances": [*LINES, [None] * 784]}),
    ("predict", {"instances": SQUARES[0] * 20, "more": SQUARES}),
    ("predict", {"inputs": VALUES[:5001]}),
    ("predict", {"inputs": SQUARES[0] * 20}),
    ("predict", {"instances": SQUARES, "inputs": SQUARES}),
    ("predict", {"inputs": [], "more": {"instances": SQUARES}}),
    ("predict", {"instances": named(image[1:] for image in SQUARES)}),
    ("predict", {"instances": [*named(SQUARES[:50]), {"b64": "A"}, {"b64": 7}]}),
    ("predict", {"instances": [{"image": SQUARES}] * 2}),
    ("images", {"images": SQUARES, "more": {"images": SQUARES}}),
]


MANY_IMAGES = Limits(images=5000)


def outcome(decoder: str, text: bytes, limits: Limits = MANY_IMAGES, **constants: int) -> Any:
    """Returns the images as bytes, or the kind of the fault and its words."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in constants.items():
            patch.setattr(json_pieces if name == "PIECE_BYTES" else json_images, name, value)
        try:
            return DECODERS[decoder](text, limits).tobytes()
        except Fault as fault:
            return type(fault), fault.detail, fault.flaws


def both(
    decoder: str, text: bytes, limits: Limits = MANY_IMAGES, piece: int = 1 << 16
) -> tuple[Any, Any]:
    """Returns the outcome of a body read in pieces of this size, and of the body read whole."""
    in_pieces = outcome(decoder, text, limits, LARGE_BYTES=0, PIECE_BYTES=piece)
    return in_pieces, outcome(decoder, text, limits, LARGE_BYTES=len(text))


@pytest.mark.parametrize("spacing", [(",", ":"), (", ", ": "), (" ,\n", ":\t")])
@pytest.mark.parametrize(("decoder", "content"), [*good(60), *WHOLE])
def test_images_read_in_pieces_are_those_read_whole(
    decoder: str, content: Any, spacing: tuple[str, str]
) -> None:
    text = json.dumps(content, separators=spacing).encode()
    in_pieces, whole = both(decoder, text)
    assert isinstance(whole, bytes)
    assert in_pieces == whole
    again = outcome(decoder, text, MOST_VALUES=40_000, LARGE_BYTES=0)
    if (decoder, content) in WHOLE:
        assert again[0] is TooLarge
    else:
        assert again == whole


@pytest.mark.parametrize("limit", [59, 4096])
@pytest.mark.parametrize(("decoder", "content"), BAD)
def test_a_fault_found_in_pieces_has_the_words_of_one_found_in_the_whole(
    decoder: str, content: Any, limit: int
) -> None:
    in_pieces, whole = both(decoder, json.dumps(content).encode(), Limits(images=limit))
    assert not isinstance(whole, bytes)
    assert in_pieces == whole


@given(body=st.sampled_from(good(5)), edits=JSON_EDITS, piece=st.integers(1, 9000))
def test_a_damaged_body_has_the_same_outcome_in_pieces_and_whole(
    body: tuple[str, Any], edits: Edits, piece: int
) -> None:
    decoder, content = body
    text = edited(json.dumps(content, separators=(",", ":")).encode(), edits)
    in_pieces, whole = both(decoder, text, piece=piece)
    assert in_pieces == whole


@pytest.mark.parametrize("end", [b",]", b", ]", b"],]", b",", b""])
def test_a_comma_after_the_last_image_is_no_json_wherever_a_piece_ends(end: bytes) -> None:
    images = [json.dumps(rows, separators=(",", ":")).encode() for rows in SQUARES]
    for count in range(1, 60, 3):
        text = b'{"instances":[' + b",".join(images[:count])
        assert len(both("predict", text + b"]}")[0]) == count * 784
        assert both("predict", text + end + b"}", piece=5000)[0][0] is Malformed


def test_a_list_in_a_string_is_not_read() -> None:
    for before in (":", "\\:", '":', '"instances": '):
        text = f"{before}{SQUARES}"
        content = json.dumps({"more": text, "instances": SQUARES[:1]}).encode()
        assert np.array_equal(from_predict(content, LIMITS)[0], IMAGES[:1])


MANY = (np.arange(2000 * 784) % 256).reshape(2000, 784)


@pytest.mark.parametrize("as_type", [int, float])
@pytest.mark.parametrize("key", ["images", "instances"])
def test_large_bodies_are_read_up_to_the_limit_of_images(key: str, as_type: type) -> None:
    text = orjson.dumps({key: MANY.astype(as_type).tolist()})
    decode = DECODERS["images" if key == "images" else "predict"]
    assert np.array_equal(decode(text, LIMITS).reshape(2000, 784), MANY)
    for damaged in (text.replace(b",9", b",09"), text.replace(b",9", b",NaN"), text[:-2] + b",]}"):
        with pytest.raises(Malformed, match="not JSON between its bytes"):
            decode(damaged, LIMITS)


def test_many_values_that_cannot_be_read_in_pieces_are_too_large() -> None:
    text = orjson.dumps({"instances": MANY.tolist(), "more": "\\"})
    for body in (text, text[:-1], text.replace(b"instances", b"more", 1)):
        with pytest.raises(TooLarge, match=r"more than 131,072 values .* or send them as bytes"):
            from_predict(body, LIMITS)
