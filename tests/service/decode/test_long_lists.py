"""Long lists read in pieces: the same result as without, for good and for damaged texts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.decode import long_lists
from service.decode.long_lists import Lists, take_out
from service.decode.v1 import from_classify, from_predict
from service.decode.v2 import from_infer
from service.errors import Fault
from service.types import Images, Limits
from tests.service.decode.samples import digits

IMAGES = digits()[:60]
NESTED, ROWS, FLAT = IMAGES.tolist(), IMAGES.reshape(60, 784).tolist(), IMAGES.ravel().tolist()
FLOATS = (IMAGES * 0.5 + 1).tolist()


def infer(data: Any, **more: Any) -> dict[str, Any]:
    tensor = {"name": "image", "datatype": "UINT8", "shape": [60, 28, 28], "data": data}
    return {"id": "x", "inputs": [tensor], "outputs": [{"name": "probabilities"}], **more}


def decode_infer(text: bytes, limits: Limits) -> Images:
    return from_infer(text, None, limits).images


def decode_predict(text: bytes, limits: Limits) -> Images:
    return from_predict(text, limits)[0]


Decode = Callable[[bytes, Limits], Images]
GOOD: dict[str, tuple[Decode, Any]] = {
    "v2 flat": (decode_infer, infer(FLAT)),
    "v2 rows": (decode_infer, infer(ROWS)),
    "v2 nested": (decode_infer, infer(NESTED)),
    "v1 rows": (decode_predict, {"instances": NESTED}),
    "v1 flat rows": (decode_predict, {"signature_name": "serving_default", "instances": ROWS}),
    "v1 floats": (decode_predict, {"instances": FLOATS}),
    "v1 objects": (decode_predict, {"instances": [{"image": i} for i in NESTED]}),
    "v1 flat objects": (decode_predict, {"instances": [{"image": i} for i in ROWS]}),
    "v1 mixed": (decode_predict, {"instances": [*NESTED[:30], {"image": NESTED[0]}, *ROWS[30:]]}),
    "v1 column": (decode_predict, {"inputs": {"image": NESTED}, "signature_name": ""}),
    "v1 bare column": (decode_predict, {"inputs": ROWS}),
    "v1 examples": (from_classify, {"examples": [{"image": i} for i in FLOATS]}),
    "v1 context": (from_classify, {"context": {"image": NESTED[0]}, "examples": [{}] * 5000}),
}
BAD: dict[str, tuple[Decode, Any]] = {
    "v2 fraction": (decode_infer, infer([0.5, *FLAT[1:]])),
    "v2 boolean": (decode_infer, infer([True, *FLAT[1:]])),
    "v2 one short": (decode_infer, infer(FLAT[1:])),
    "v2 one image": (decode_infer, infer([[0] * 28] * 28)),
    "v2 lists in wrong places": (decode_infer, infer(FLAT) | {"id": FLAT}),
    "v2 a list for the shape": (
        decode_infer,
        {"inputs": [{"name": "image", "datatype": "UINT8", "shape": FLAT, "data": FLAT}]},
    ),
    "v2 a list for the name": (decode_infer, {"inputs": [{"name": FLAT}]}),
    "v1 256": (decode_predict, {"instances": [*NESTED[:-1], [[256] * 28] * 28]}),
    "v1 scaled": (decode_predict, {"instances": (IMAGES / 255).tolist()}),
    "v1 a row short": (decode_predict, {"instances": [*NESTED, NESTED[0][1:]]}),
    "v1 null": (decode_predict, {"instances": [*ROWS, [None] * 784]}),
    "v1 one image": (decode_predict, {"instances": NESTED[0], "more": NESTED}),
    "v1 a flat column": (decode_predict, {"inputs": FLAT}),
    "v1 both": (decode_predict, {"instances": NESTED, "inputs": NESTED}),
    "v1 objects": (decode_predict, {"instances": [{"image": i[1:]} for i in NESTED]}),
    "v1 a list for an object": (decode_predict, {"instances": [{"image": NESTED}] * 2}),
}
SPACINGS = [(",", ":"), (", ", ": "), (" ,\n", ":\t")]


def outcome(decode: Decode, text: bytes, limits: Limits) -> Any:
    """The images as bytes, or the fault as its kind and its words."""
    try:
        return decode(text, limits).tobytes()
    except Fault as fault:
        return type(fault), fault.detail, fault.flaws


def both(patch: pytest.MonkeyPatch, decode: Decode, text: bytes, limits: Limits) -> tuple[Any, Any]:
    """What comes of a text with its long lists taken out, and what comes of it whole."""
    in_pieces = outcome(decode, text, limits)
    with patch.context() as inner:
        inner.setattr(long_lists, "_MOST_QUOTES", -1)
        return in_pieces, outcome(decode, text, limits)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("name", GOOD)
def test_the_images_are_the_same(
    monkeypatch: pytest.MonkeyPatch, name: str, spacing: tuple[str, str]
) -> None:
    decode, content = GOOD[name]
    text = json.dumps(content, separators=spacing).encode()
    assert bool(take_out(text)[1].left) is (name != "v1 mixed")
    in_pieces, whole = both(monkeypatch, decode, text, Limits(images=5000))
    assert isinstance(whole, bytes)
    assert in_pieces == whole


@pytest.mark.parametrize("limit", [59, 4096])
@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_told_in_the_same_words(
    monkeypatch: pytest.MonkeyPatch, name: str, limit: int
) -> None:
    decode, content = BAD[name]
    in_pieces, whole = both(monkeypatch, decode, json.dumps(content).encode(), Limits(images=limit))
    assert not isinstance(whole, bytes)
    assert in_pieces == whole


PIECES = st.sampled_from(
    [b"", b",", b"[", b"]", b'"', b" ", b"1", b".", b"-", b"e", b"\\", b"0", b":"]
)


@pytest.mark.slow
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    name=st.sampled_from([*GOOD]),
    offset=st.integers(-60, 4000),
    cut=st.integers(0, 3),
    piece=PIECES,
)
def test_a_damaged_text_is_judged_the_same(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    offset: int,
    cut: int,
    piece: bytes,
) -> None:
    decode, content = GOOD[name]
    text = json.dumps(content, separators=(",", ":")).encode()
    place = offset % len(text)
    damaged = text[:place] + piece + text[place + cut :]
    in_pieces, whole = both(monkeypatch, decode, damaged, Limits(images=5000))
    assert in_pieces == whole


@pytest.mark.parametrize("end", [b",]", b", ]", b"],]", b",", b""])
def test_a_comma_before_the_end_is_no_json_wherever_a_piece_ends(
    monkeypatch: pytest.MonkeyPatch, end: bytes
) -> None:
    for count in range(1, 60, 7):
        rows = b",".join(json.dumps(row).encode() for row in NESTED[:count])
        text = b'{"instances":[' + rows + end + b"}" + b" " * 9000
        in_pieces, whole = both(monkeypatch, decode_predict, text, Limits())
        assert in_pieces == whole
        assert not isinstance(whole, bytes)


def test_what_looks_like_a_list_in_a_string_is_none() -> None:
    inside = json.dumps(NESTED)
    for text in (f":{inside}", f"\\:{inside}", f'":{inside}"', f"[{inside}"):
        body = json.dumps({"more": text, "instances": NESTED[:1]}).encode()
        assert np.array_equal(from_predict(body, Limits())[0], IMAGES[:1])


def test_a_string_stands_for_a_list_of_its_own_text_alone() -> None:
    ours, others = Lists(), Lists()
    name = ours.put(IMAGES)
    assert ours.left == {name}
    assert others.get(name) == name
    assert ours.get(name) is IMAGES
    assert ours.get(name) is IMAGES
    assert not ours.left
    others_values: list[Any] = [None, 7, "x", [], {}]
    for value in others_values:
        assert ours.get(value) == value
