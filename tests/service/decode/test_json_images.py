"""JSON bodies: which images are accepted, how faults are worded, and large bodies in pieces."""

from __future__ import annotations

import base64
import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.decode import json_fast, json_images, labelled
from service.decode.json_images import parse_json
from service.decode.pictures import Pictures
from service.decode.v1 import from_classify, from_predict
from service.decode.v2 import from_infer
from service.errors import Fault, Invalid, Malformed, TooLarge
from service.types import Images, Limits
from tests.service.decode.samples import LIMITS, digits, picture

ROWS: list[list[int]] = digits()[0].tolist()


def from_json(text: bytes, limits: Limits) -> Images:
    """The images in a body, those of pictures too."""
    read = json_images.from_json(text, limits)
    if isinstance(read, Pictures):
        return np.array([seen.image for seen in read.look(limits)])
    return read


def body(*images: Any) -> bytes:
    return json.dumps({"images": images}, separators=(",", ":")).encode()


def changed(value: Any, row: int = 3, column: int = 4) -> list[list[Any]]:
    """A real image with one entry replaced."""
    rows: list[list[Any]] = [list(numbers) for numbers in ROWS]
    rows[row][column] = value
    return rows


@pytest.mark.parametrize("count", [1, 2, 3, 4, 64, 300])
@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("as_floats", [False, True])
def test_images_are_read_in_both_forms_whatever_their_number(
    count: int, flat: bool, as_floats: bool
) -> None:
    array = digits()[:count].astype(float if as_floats else int)
    images = from_json(body(*(array.reshape(count, 784) if flat else array).tolist()), LIMITS)
    assert images.dtype == np.uint8
    assert images.flags.c_contiguous
    assert np.array_equal(images, digits()[:count])


@pytest.mark.parametrize("count", [2, 40])
def test_both_forms_may_stand_in_one_body(count: int) -> None:
    mixed = [d.ravel().tolist() if i % 2 else d.tolist() for i, d in enumerate(digits()[:count])]
    assert np.array_equal(from_json(body(*mixed), LIMITS), digits()[:count])


@pytest.mark.parametrize("indent", [None, 0, 2])
def test_spacing_does_not_matter(indent: int | None) -> None:
    text = json.dumps({"images": digits()[:20].tolist()}, indent=indent).encode()
    assert np.array_equal(from_json(b"\r\n\t " + text + b" \n", LIMITS), digits()[:20])


def test_fractions_are_rounded_half_to_even() -> None:
    numbers = [0.5, 1.5, 2.5, 254.5, 254.51, 0.49, 1e2, *[0] * 777]
    assert from_json(body(numbers), LIMITS).ravel()[:7].tolist() == [0, 2, 2, 254, 255, 0, 100]


def test_a_blank_image_is_read() -> None:
    assert not from_json(body([0] * 784), LIMITS).any()


@pytest.mark.parametrize("peak", [1, 1.0, 0.5, 1e-9])
@pytest.mark.parametrize("before", [0, 3, 70])
def test_an_image_scaled_to_0_1_is_named_among_good_ones(peak: float, before: int) -> None:
    with pytest.raises(Invalid) as caught:
        from_json(body(*[ROWS] * before, [[0] * 28] * 27 + [[0] * 27 + [peak]]), LIMITS)
    assert caught.value.detail == (
        f"image {before}: its largest value is {peak:g}; it looks scaled to 0..1, send 0..255"
    )
    assert [(flaw.index, flaw.field) for flaw in caught.value.flaws] == [(before, "images")]


def test_above_1_is_no_longer_suspect() -> None:
    assert from_json(body([0] * 783 + [1.1]), LIMITS).max() == 1


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (changed(256), "holds 256, above 255"),
        (changed(255.4), "holds 255.4, above 255"),
        (changed(2**63), "holds 9.22337e+18, above 255"),
        (changed(10**30), "holds 1e+30, above 255"),
        (changed(-1), "holds -1, below 0"),
        (changed(-0.4), "holds -0.4, below 0"),
        (changed(True), "row 3, column 4 is true or false"),
        (changed(None), "row 3, column 4 is null"),
        (changed("7"), "row 3, column 4 is a string"),
        (changed([7]), "row 3, column 4 is a list"),
        (changed({}), "row 3, column 4 is an object"),
        ([*ROWS[:5], 7, *ROWS[6:]], "row 5 is a number"),
        ([*ROWS[:5], 28, *ROWS[6:]], "row 5 is a number"),
        ([*ROWS[:5], "x" * 28, *ROWS[6:]], "row 5 is a string"),
        ([*ROWS[:5], dict.fromkeys(map(str, range(28)), 7), *ROWS[6:]], "row 5 is an object"),
        ([*ROWS[:5], [7] * 27, *ROWS[6:]], "row 5 has 27 numbers"),
        ([*ROWS[:5], [7] * 29, *ROWS[6:]], "row 5 has 29 numbers"),
        ([*ROWS[:5], [7] * 27, [7] * 29, *ROWS[7:]], "row 5 has 27 numbers"),
        (ROWS[:27], "has 27 rows"),
        ([*ROWS, ROWS[0]], "has 29 rows"),
        ([7] * 783, "has 783 numbers"),
        ([7] * 785, "has 785 numbers"),
        ([*[7] * 783, True], "number 783 is true or false"),
        ([*[7] * 783, [7]], "number 783 is a list"),
        ([28] * 28, "row 0 is a number"),
        ([ROWS], "has 1 rows"),
        ([[[number] for number in row] for row in ROWS], "row 0, column 0 is a list"),
        ([], "has 0 numbers"),
        ({}, "is an object"),
        ("x" * 784, "is a string"),
        (None, "is null"),
        (7, "is a number"),
        (784, "is a number"),
        (False, "is true or false"),
    ],
)
@pytest.mark.parametrize("before", [0, 30])
def test_a_faulty_image_is_named_with_its_fault(image: Any, message: str, before: int) -> None:
    with pytest.raises(Invalid) as caught:
        from_json(body(*[ROWS] * before, image, *[ROWS] * before), LIMITS)
    assert caught.value.detail.startswith(f"image {before}: {message}")
    assert [flaw.index for flaw in caught.value.flaws] == [before]
    assert caught.value.flaws[0].message.startswith(message)


@pytest.mark.parametrize("good", [ROWS, [7] * 784])
def test_many_faults_are_counted_and_the_first_20_listed(good: list[Any]) -> None:
    images = [good, [0] * 783 + [1], changed(-1), good[:-1], changed(None)] * 10
    with pytest.raises(Invalid) as caught:
        from_json(body(*images), LIMITS)
    assert caught.value.detail.startswith("40 images are faulty, the first is image 1: its largest")
    assert caught.value.detail.endswith("(the first 20 are listed)")
    assert [flaw.index for flaw in caught.value.flaws] == [i for i in range(25) if i % 5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "the body is empty"),
        (b" ", "not JSON"),
        (b"{", "not JSON"),
        (b'{"images": [[1, 2', "not JSON"),
        (b'{"images": [[NaN]]}', r"not JSON: .*line 1 column 14"),
        (b'{"images": [[Infinity]]}', r"not JSON: .*column 14"),
        (b'{"images": [[-Infinity]]}', "not JSON"),
        (b'{"images": [[1e999]]}', "not JSON"),
        (b'{"images": [[01]]}', "not JSON"),
        (b'{"images": [[1,]]}', "not JSON"),
        (b"{'images': []}", "not JSON"),
        (b'{"images": ["\xff"]}', "not JSON"),
        (b'\xef\xbb\xbf{"images": []}', "not JSON"),
        (b'{"images": []} {}', "not JSON"),
        (b'{"images": ' + b"[" * 5000 + b"]" * 5000 + b"}", "not JSON"),
        (b'{"images": [], "images": []}', '"images" is repeated'),
        (body(ROWS)[:-1] + b', "images" : []}', '"images" is repeated'),
        (body(*[ROWS] * 20)[:-1] + b', "images":[]}', '"images" is repeated'),
        (body(*[ROWS] * 20)[:-1] + b',"images":' + body(*[ROWS] * 20)[10:], "is repeated"),
        (body(*[ROWS] * 20)[:-1], "not JSON"),
        (body(*[ROWS] * 20) + b"x", "not JSON"),
        (body(*[ROWS] * 20).replace(b"]],[[", b"]],,[[", 1), "not JSON"),
        (body(*[ROWS] * 20).replace(b"]],[[", b"]][[", 1), "not JSON"),
        (body(*[ROWS] * 20).replace(b"[0,0", b"[00,0", 1), "not JSON"),
        (body(*[ROWS] * 20).replace(b"[0,0", b"[0 0,0", 1), "not JSON"),
        (body(*[ROWS] * 20).replace(b"[0,0", b"[0,NaN", 1), "not JSON"),
    ],
)
def test_what_is_no_json_is_malformed(text: bytes, message: str) -> None:
    with pytest.raises(Malformed, match=message) as caught:
        from_json(text, LIMITS)
    assert "\n" not in caught.value.detail
    assert len(caught.value.detail) < 200


def test_the_position_of_a_mistake_in_a_large_body_is_that_in_the_body() -> None:
    good = body(*[ROWS] * 100)
    place = len(good) // 2 + good[len(good) // 2 :].index(b"0,")
    with pytest.raises(Malformed, match=rf"\(char {place}\)"):
        from_json(good[:place] + b"x" + good[place + 1 :], LIMITS)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "is a list; an object"),
        ("images", "is a string; an object"),
        (None, "is null; an object"),
        ({}, 'one of "images" and "pictures"'),
        ({"images": [ROWS], "pictures": []}, 'one of "images" and "pictures"'),
        ({"image": [ROWS]}, "unknown key 'image'"),
        ({"images": [ROWS], "a\nb" + "x" * 100: 1}, r"unknown key 'a\\nbx{37}'"),
        ({"images": [ROWS] * 20, "labels": []}, "unknown key 'labels'; the known keys are"),
        ({"images": ROWS}, "images: is one image; a list of images is expected"),
        ({"images": [7] * 784}, "images: is one image; a list of images is expected"),
        ({"images": [[x / 7 for x in row] for row in ROWS]}, "images: is one image"),
        ({"images": {}}, "images: is an object; a list of images"),
        ({"images": "x"}, "images: is a string; a list of images"),
        ({"images": None}, "images: is null"),
        ({"images": []}, "no images"),
        ({"pictures": []}, "no pictures"),
        ({"pictures": "x"}, "pictures: is a string; a list"),
    ],
)
def test_wrong_fields_are_invalid(value: Any, message: str) -> None:
    with pytest.raises(Invalid, match=message) as caught:
        from_json(orjson.dumps(value), LIMITS)
    assert "\n" not in caught.value.detail


@pytest.mark.parametrize("count", [3, 200])
def test_more_images_than_the_limit_are_too_large(count: int) -> None:
    limits = Limits(images=count - 1)
    with pytest.raises(TooLarge, match="at most"):
        from_json(body(*[ROWS] * count), limits)
    assert len(from_json(body(*[ROWS] * (count - 1)), limits)) == count - 1


def test_pictures_are_read_beside_images() -> None:
    texts = [base64.b64encode(picture(index=index)).decode() for index in range(3)]
    assert np.array_equal(from_json(orjson.dumps({"pictures": texts}), LIMITS), digits()[:3])


@pytest.mark.parametrize(
    "text",
    [
        b'{"images":[' + b"[]," * 500_000 + b"[]]}",
        b'{"images":[' + b"{}," * 500_000 + b"{}]}",
        b'{"images":[[' + b"[]," * 500_000 + b"[]]]}",
        b'{"images":[' + b"1," * 5_000_000 + b"1]}",
        b'{"images":["' + b'","' * 500_000 + b'"]}',
        b'{"pictures":[' + b"[]," * 500_000 + b"[]]}",
    ],
)
def test_no_text_takes_many_times_its_size(text: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(TooLarge):
        from_json(text, LIMITS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 80 << 20


IMAGES = digits()[:60]
NESTED, ROWS_OF_784, FLAT = (IMAGES.reshape(s).tolist() for s in ((60, 28, 28), (60, 784), (-1,)))


def infer(data: Any, count: int = 60, **more: Any) -> dict[str, Any]:
    tensor = {"name": "image", "datatype": "UINT8", "shape": [count, 28, 28], "data": data}
    return {"id": "x", "inputs": [tensor], "outputs": [{"name": "probabilities"}], **more}


def named(images: Any) -> Any:
    return [{"image": image} for image in images]


DECODERS: dict[str, Callable[[bytes, Limits], Images]] = {
    "images": from_json,
    "labelled": lambda text, limits: labelled.from_json(text, limits)[0],
    "predict": lambda text, limits: from_predict(text, limits)[0],
    "classify": from_classify,
    "infer": lambda text, limits: from_infer(text, None, limits).images,
}


def good(count: int) -> list[tuple[str, Any]]:
    """Returns bodies of so many images whose list can be set apart."""
    images = digits()[:count]
    nested, flat, floats = (
        images.tolist(),
        images.reshape(-1, 784).tolist(),
        (images / 2 + 1).tolist(),
    )
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
    ("infer", infer(ROWS_OF_784, more={"data": None})),
    ("predict", {"instances": [NESTED[0], *ROWS_OF_784[1:]]}),
    ("predict", {"instances": [*NESTED, {"image": NESTED[0]}]}),
    ("predict", {"instances": [*named(NESTED), {"x": [{}], "image": NESTED[0]}]}),
]
"""Bodies whose list cannot be set apart."""
BAD: list[tuple[str, Any]] = [
    ("infer", infer([0.5, *FLAT[1:]])),
    ("infer", infer([True, *FLAT[1:]])),
    ("infer", infer([*NESTED[:30], *ROWS_OF_784[30:]])),
    ("infer", infer(FLAT[1:])),
    ("infer", infer([[0] * 28] * 280)),
    ("infer", infer(FLAT) | {"id": FLAT}),
    ("infer", {"inputs": [{"name": "image", "datatype": "UINT8", "shape": FLAT, "data": FLAT}]}),
    ("infer", {"inputs": [{"name": FLAT}], "more": {"data": FLAT}}),
    ("predict", {"instances": [*NESTED[:-1], [[256] * 28] * 28]}),
    ("predict", {"instances": (IMAGES / 255).tolist()}),
    ("predict", {"instances": [*NESTED, NESTED[0][1:]]}),
    ("predict", {"instances": [*ROWS_OF_784, [None] * 784]}),
    ("predict", {"instances": NESTED[0] * 20, "more": NESTED}),
    ("predict", {"inputs": FLAT[:5001]}),
    ("predict", {"inputs": NESTED[0] * 20}),
    ("predict", {"instances": NESTED, "inputs": NESTED}),
    ("predict", {"inputs": [], "more": {"instances": NESTED}}),
    ("predict", {"instances": named(image[1:] for image in NESTED)}),
    ("predict", {"instances": [*named(NESTED), {"b64": "A"}, {"b64": 7}]}),
    ("predict", {"instances": [{"image": NESTED}] * 2}),
    ("images", {"images": NESTED, "more": {"images": NESTED}}),
]


MANY_IMAGES = Limits(images=5000)


def outcome(decoder: str, text: bytes, limits: Limits) -> Any:
    """Returns the images as bytes, or the kind of the fault and its words."""
    try:
        return DECODERS[decoder](text, limits).tobytes()
    except Fault as fault:
        return type(fault), fault.detail, fault.flaws


def both(
    decoder: str, text: bytes, limits: Limits = MANY_IMAGES, piece: int = 1 << 16
) -> list[Any]:
    """Returns the outcome of a body read in pieces of this size, and of the body read whole."""
    outcomes = []
    for large in (0, len(text)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(json_images, "LARGE_BYTES", large)
            patch.setattr(json_fast, "PIECE_BYTES", piece)
            outcomes.append(outcome(decoder, text, limits))
    return outcomes


@pytest.mark.parametrize("spacing", [(",", ":"), (", ", ": "), (" ,\n", ":\t")])
@pytest.mark.parametrize(("decoder", "content"), [*good(60), *WHOLE])
def test_images_read_in_pieces_are_those_read_whole(
    decoder: str, content: Any, spacing: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = json.dumps(content, separators=spacing).encode()
    in_pieces, whole = both(decoder, text)
    assert isinstance(whole, bytes)
    assert in_pieces == whole
    monkeypatch.setattr(json_images, "MOST_VALUES", 40_000)
    monkeypatch.setattr(json_images, "LARGE_BYTES", 0)
    again = outcome(decoder, text, MANY_IMAGES)
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


EDITS = st.lists(
    st.tuples(
        st.integers(0, 1 << 20),
        st.integers(0, 40),
        st.sampled_from(b' | |0|-|.5|256|,|[|]|]],[[|],[|"|true|\\|}|:|{'.split(b"|")),
    ),
    max_size=3,
)


@given(body=st.sampled_from(good(5)), edits=EDITS, piece=st.integers(1, 9000))
@settings(max_examples=400, deadline=None)
def test_a_damaged_body_has_the_same_outcome_in_pieces_and_whole(
    body: tuple[str, Any], edits: list[tuple[int, int, bytes]], piece: int
) -> None:
    decoder, content = body
    text = json.dumps(content, separators=(",", ":")).encode()
    for anywhere, length, replacement in edits:
        place = anywhere % len(text)
        text = text[:place] + replacement + text[place + length :]
    in_pieces, whole = both(decoder, text, piece=piece)
    assert in_pieces == whole


@pytest.mark.parametrize("end", [b",]", b", ]", b"],]", b",", b""])
def test_a_comma_after_the_last_image_is_no_json_wherever_a_piece_ends(end: bytes) -> None:
    images = [json.dumps(rows, separators=(",", ":")).encode() for rows in NESTED]
    for count in range(1, 60, 3):
        text = b'{"instances":[' + b",".join(images[:count])
        assert len(both("predict", text + b"]}")[0]) == count * 784
        assert both("predict", text + end + b"}", piece=5000)[0][0] is Malformed


def test_a_list_in_a_string_is_not_read() -> None:
    for text in (f":{NESTED}", f"\\:{NESTED}", f'":{NESTED}"', f'"instances": {NESTED}'):
        content = json.dumps({"more": text, "instances": NESTED[:1]}).encode()
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
        with pytest.raises(TooLarge, match=r"more than 262,144 values .* or send them as bytes"):
            from_predict(body, LIMITS)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is empty; JSON is expected"),
        (b'{"a": [1,]}', r"not JSON: .*\(char 8\)"),
        (b'{"a": NaN}', r"not JSON: .*\(char 6\)"),
        (b'{"a": 1} x', r"not JSON: .*\(char 9\)"),
        (b'{"a": "\xe2\x82"}', "not JSON: byte 7 is not UTF-8$"),
        (b"\x89PNG\r\n\x1a\n", "not JSON: byte 0 is not UTF-8$"),
        ("{}".encode("utf-16"), "not JSON: byte 0 is not UTF-8$"),
        ("{}".encode("utf-8-sig"), "not JSON: UTF-8 byte order mark"),
    ],
)
def test_a_text_that_is_not_json_is_malformed_and_the_message_has_the_place(
    body: bytes, message: str
) -> None:
    with pytest.raises(Malformed, match=message) as caught:
        parse_json(body)
    assert "\n" not in caught.value.detail
