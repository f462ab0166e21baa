"""JSON bodies of /predict: which images are accepted, and how faults are worded."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import orjson
import pytest

from service.decode import json_images
from service.decode.pictures import Pictures
from service.errors import Invalid, Malformed, TooLarge
from service.types import Images, Limits
from tests.service.decode.samples import LIMITS, digits, memory_below

ROWS: list[list[int]] = digits()[0].tolist()


def from_json(text: bytes, limits: Limits) -> Images:
    images = json_images.from_json(text, limits)
    assert isinstance(images, np.ndarray)
    return images


def body(*images: Any) -> bytes:
    return json.dumps({"images": images}, separators=(",", ":")).encode()


def changed(value: Any, row: int = 3, column: int = 4) -> list[list[Any]]:
    """Returns a real image with one entry replaced."""
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


@pytest.mark.parametrize("indent", [None, 0, 2])
@pytest.mark.parametrize("count", [2, 40])
def test_both_forms_may_stand_in_one_body_with_any_spacing(count: int, indent: int | None) -> None:
    mixed = [d.ravel().tolist() if i % 2 else d.tolist() for i, d in enumerate(digits()[:count])]
    text = json.dumps({"images": mixed}, indent=indent).encode()
    assert np.array_equal(from_json(b"\r\n\t " + text + b" \n", LIMITS), digits()[:count])


def test_fractions_are_rounded_half_to_even_and_blank_images_are_accepted() -> None:
    numbers = [0.5, 1.5, 2.5, 254.5, 254.51, 0.49, 1e2, *[0] * 777]
    images = from_json(body(numbers, [0] * 784, [0] * 783 + [1.1]), LIMITS).reshape(3, 784)
    assert images[0, :7].tolist() == [0, 2, 2, 254, 255, 0, 100]
    assert not images[1].any()
    assert images[2].max() == 1


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (changed(256), "holds 256, above 255"),
        (changed(255.4), "holds 255.4, above 255"),
        (changed(2**63), "holds 9.22337e+18, above 255"),
        (changed(10**30), "holds 1e+30, above 255"),
        (changed(-1), "holds -1, below 0"),
        (changed(-0.4), "holds -0.4, below 0"),
        *(
            ([0] * 783 + [peak], f"its largest value is {peak:g}; it looks scaled to 0..1, send 0")
            for peak in (1, 1.0, 0.5, 1e-9)
        ),
        (changed(True), "row 3 does not consist of numbers"),
        (changed(None), "row 3 does not consist of numbers"),
        (changed("7"), "row 3 does not consist of numbers"),
        (changed([7]), "row 3 does not consist of numbers"),
        (changed({}), "row 3 does not consist of numbers"),
        ([*ROWS[:5], 28, *ROWS[6:]], "row 5 is a number"),
        ([*ROWS[:5], "x" * 28, *ROWS[6:]], "row 5 is a string"),
        ([*ROWS[:5], dict.fromkeys(map(str, range(28)), 7), *ROWS[6:]], "row 5 is an object"),
        ([*ROWS[:5], [7] * 29, *ROWS[6:]], "row 5 has 29 numbers"),
        ([*ROWS[:5], [7] * 27, [7] * 29, *ROWS[7:]], "row 5 has 27 numbers"),
        (ROWS[:27], "has the length 27"),
        ([*ROWS, ROWS[0]], "has the length 29"),
        ([7] * 783, "has the length 783"),
        ([7] * 785, "has the length 785"),
        ([*[7] * 783, True], "row 0 does not consist of numbers"),
        ([*[7] * 783, [7]], "row 0 does not consist of numbers"),
        ([28] * 28, "row 0 is a number"),
        ([ROWS], "has the length 1"),
        ([[[number] for number in row] for row in ROWS], "row 0 does not consist of numbers"),
        ([], "has the length 0"),
        ({}, "is an object"),
        ("x" * 784, "is a string"),
        *((None, "is null"), (784, "is a number"), (False, "is true or false")),
    ],
)
@pytest.mark.parametrize("before", [0, 30])
def test_a_faulty_image_is_named_with_its_fault(image: Any, message: str, before: int) -> None:
    with pytest.raises(Invalid) as caught:
        from_json(body(*[ROWS] * before, image, *[ROWS] * before), LIMITS)
    assert caught.value.detail.startswith(f"image {before}: {message}")
    assert [(flaw.index, flaw.field) for flaw in caught.value.flaws] == [(before, "images")]
    assert caught.value.flaws[0].message.startswith(message)


LARGE = body(*[ROWS] * 20)


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
        (b"", "the body is empty; JSON is expected"),
        *((text, "not JSON") for text in (b" ", b"{", b'{"images": [[1, 2', b'{"images": []} {}')),
        (b'{"images": [[NaN]]}', r"not JSON: .*line 1 column 14 \(char 13\)"),
        *((b'{"images": [[%b]]}' % n, "not JSON") for n in (b"Infinity", b"-Infinity", b"1e999")),
        *((b'{"images": [[%b]]}' % n, "not JSON") for n in (b"01", b"1,")),
        (b"{'images': []}", "not JSON"),
        (b'{"images": ["\xe2\x82"]}', "not JSON: .* not valid UTF-8"),
        (b"\x89PNG\r\n\x1a\n", "not JSON: .* not valid UTF-8"),
        ("{}".encode("utf-16"), "not JSON: .* not valid UTF-8"),
        (b'\xef\xbb\xbf{"images": []}', "not JSON: UTF-8 byte order mark"),
        (b'{"images": ' + b"[" * 5000 + b"]" * 5000 + b"}", "not JSON"),
        (b'{"images": [], "images": []}', '"images" is repeated'),
        (body(ROWS)[:-1] + b', "images" : []}', '"images" is repeated'),
        (LARGE[:-1] + b', "images":[]}', '"images" is repeated'),
        (LARGE[:-1] + b',"images":' + LARGE[10:], "is repeated"),
        *((text, "not JSON") for text in (LARGE[:-1], LARGE + b"x")),
        *((LARGE.replace(b"]],[[", ends, 1), "not JSON") for ends in (b"]],,[[", b"]][[")),
        *((LARGE.replace(b"[0", b"[" + to, 1), "not JSON") for to in (b"00", b"0 0", b"NaN")),
    ],
)
def test_a_text_that_is_not_json_is_malformed(text: bytes, message: str) -> None:
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
        ({}, 'one of "images" and "pictures"'),
        ({"images": [ROWS], "pictures": []}, 'one of "images" and "pictures"'),
        ({"image": [ROWS]}, "unknown key 'image'"),
        ({"images": [ROWS], "a\nb" + "x" * 100: 1}, r"unknown key 'a\\nbx{37}'"),
        ({"images": [ROWS] * 20, "labels": []}, "unknown key 'labels'; known here: "),
        ({"images": ROWS}, "images: is one image; a list of images is expected"),
        ({"images": [7] * 784}, "images: is one image"),
        ({"images": [[x / 7 for x in row] for row in ROWS]}, "images: is one image"),
        ({"images": {}}, "images: is an object; a list of images"),
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


def test_pictures_are_returned_as_files() -> None:
    texts = [base64.b64encode(text).decode() for text in (b"a", b"b")]
    read = json_images.from_json(orjson.dumps({"pictures": texts}), LIMITS)
    assert read == Pictures([b"a", b"b"], "pictures")


@pytest.mark.parametrize(
    "text",
    [
        *(b'{"images":[%b[]]}' % (item * 500_000) for item in (b"[],", b"{},", b'"",')),
        b'{"images":[[%b[]]]}' % (b"[]," * 500_000),
        b'{"images":[%b1]}' % (b"1," * 5_000_000),
        b'{"pictures":[%b[]]}' % (b"[]," * 500_000),
    ],
    ids=range(6),
)
def test_no_text_takes_many_times_its_size(text: bytes) -> None:
    with memory_below(80 << 20), pytest.raises(TooLarge):
        from_json(text, LIMITS)
